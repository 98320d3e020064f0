package verdict

import (
	"cmp"
	"fmt"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Input is what the caller knows about a drill besides what was recorded.
type Input struct {
	Name, Description string
	Target, Policy    string
	Attempts          int // how often the drill was tried, when more than once
	Operations        report.Operations
	Generator         Generator
	Faults            []FaultRun     // every fault planned, injected or not
	Loads             slo.LoadDetail // what is known of loads of the source
	Resources         Resources
	Reasons           Reasons
	Corroborations    []measure.Corroboration // what explains a metric, what explains most first
	Premises          []report.Premise        // what was seen of what the verdict presumes
	Notes             []string                // for the reader of the report
	// Unshown says why nothing in the plan of the drill could have shown that an objective was
	// missed, and which length would do; "" when something could. nil: of no objective.
	Unshown func(slo.Group, slo.Objective) string
}

// Generator is how the load was made.
type Generator struct {
	report.GeneratorResult
	UnlimitedWorkers bool // see [measure.Circumstances]
}

// Resources is what the target used and what that costs, as far as it is known.
type Resources struct {
	Prices *cost.Prices // nil: nothing has a price
	// Began and Ended are what the target's caches had counted when steady began, and when recovery
	// ended.
	Began, Ended           []targets.CacheStats
	CrossRegionUnavailable string // why it is not known what crosses regions; empty when it is
}

// Reasons are why something proves less than it seems to. Each is empty when it does not apply. The
// first four make the drill void as a whole: nothing but a proven safety violation stands.
//
// A drill that was halted is not void: phases that were complete are judged, and of the one that
// was cut short a miss stands that nothing still to come could have undone.
type Reasons struct {
	Interrupted string // why the drill stopped early
	Garbled     string // why the target's answers could not be understood
	Broken      string // what of the harness broke by itself during the drill
	Starved     string // why the machine was too busy to tell
	Disturbed   string // why the machine may have made things slower than they are
	AuditBlind  string // why the audit saw too little: "only 3 of 40 written keys were read"
	Halted      *measure.Halted
}

// Evaluate judges every objective and puts together the report of the drill. It is called once,
// after [measure.Recorder.Finish].
//
// A proven safety violation stands whatever happened. Everything else is not judged, and so
// unknown, when the drill was interrupted, the harness broke, the generator saturated, the machine
// starved, a steady objective missed, or (outside steady) a fault left no evidence. On a machine
// that was merely disturbed a miss of an objective about time is unknown, since the machine may
// have caused it; a pass is one all the more. After an audit that saw too little no safety
// objective passes.
func Evaluate(recorder *measure.Recorder, in Input) report.Drill {
	r := recorder.Results(in.circumstances())
	rows, void := judgeAll(r, &in)
	found := r.Oracle()
	standing, withdrawn := in.standingOnly(accusing(r, rows))
	d := report.Drill{
		Name: in.Name, Description: in.Description, Target: in.Target, Policy: in.Policy, Attempts: in.Attempts,
		Operations: in.Operations, Generator: in.Generator.GeneratorResult, Faults: faultSummaries(in.Faults), SLOs: rows,
		Phases: phaseSummaries(r), Oracle: oracleSummary(found), RecoveryS: recoverySeconds(r), Recovery: recoverySummary(r),
		Notes:       in.Notes,
		Consistency: consistency(found), ConsistentWithin: consistentWithin(found),
		Accusations: withFaults(report.Accusations(standing), in.Faults),
		Premises:    in.Premises, Withdrawn: withdrawn,
		Cost: costSummary(r, in.Resources.Prices),
	}
	d.Breakdown, d.BreakdownCut = breakdown(r)
	d.Cache = cacheFigures(r, d.Breakdown, in.Resources)
	d.Outcome = slo.DrillOutcome(void != "", report.Verdicts(rows))
	if h := in.Reasons.Halted; h != nil {
		d.Outcome = d.Outcome.UnlessBlind(true) // what was to come could have shown a miss
		void = h.Why + report.NotJudged
	}
	d.Why = whyOf(d.Outcome, void, rows)
	return d
}

func (in *Input) circumstances() measure.Circumstances {
	return measure.Circumstances{
		Loads: in.Loads, UnlimitedWorkers: in.Generator.UnlimitedWorkers, Prices: in.Resources.Prices,
		CrossRegionUnavailable: in.Resources.CrossRegionUnavailable, Corroborations: in.Corroborations,
		Halted: in.Reasons.Halted,
	}
}

// judgeAll judges the objectives that were written, and those that hold always. void says why the
// drill as a whole proves nothing; "" when it does.
func judgeAll(r *measure.Results, in *Input) (rows []report.SLO, void string) {
	written := r.Objectives()
	for _, g := range written {
		row := judge(r, g.Group, g.Objective)
		admitUnshown(&row, in.unshown(g.Group, g.Objective))
		in.admitPremises(&row, g.Objective, r.Oracle().Accusations)
		rows = append(rows, row)
	}
	whole := voidReason(in)
	unsteady := unsteadyReason(rows) // also when the machine may have caused it: it was not steady
	unproven := unprovenReason(in.Faults)
	for i := range rows {
		row := &rows[i]
		if h := in.Reasons.Halted; h != nil && row.Why == h.Why {
			row.Why += report.NotJudged
		}
		if row.Safety {
			admitBlindAudit(row, in)
			continue
		}
		excused := in.Reasons.Disturbed != "" && written[i].Objective.Definition().Timed
		if row.Outcome.UnlessExcused(excused) != row.Outcome {
			withhold(row, "the machine was disturbed, "+in.Reasons.Disturbed+report.NotJudged)
		}
		switch {
		case whole != "":
			withhold(row, whole)
		case unsteady != "":
			withhold(row, unsteady)
		case unproven != "" && row.Phase != slo.GroupSteady:
			withhold(row, unproven)
		}
	}
	for _, o := range slo.ImplicitMissing(written) {
		row := judge(r, slo.GroupAlways, o)
		row.Implicit = true
		// Without an opportunity the row is left out: unless the opportunity was the audit's to
		// make, or was planned too short for what a family promises.
		unshown := in.unshown(slo.GroupAlways, o)
		admitUnshown(&row, unshown)
		if in.admitPremises(&row, o, r.Oracle().Accusations) {
			rows = append(rows, row)
			continue
		}
		if unshown == "" && row.Outcome == slo.Unknown && (o.Metric != "lost_writes" || in.Reasons.AuditBlind == "" || r.Oracle().Acknowledged == 0) {
			continue
		}
		admitBlindAudit(&row, in)
		rows = append(rows, row)
	}
	if rows == nil {
		rows = []report.SLO{}
	}
	return rows, cmp.Or(whole, unsteady, unproven)
}

// judge decides one objective by what was measured, as if nothing else had happened in the drill.
func judge(r *measure.Results, g slo.Group, o slo.Objective) report.SLO {
	j := o.Judge(r.For(g, o))
	return report.SLO{Expr: o.Expr, Phase: g, Outcome: j.Outcome, Observed: j.Observed, Limit: j.Limit,
		Where: j.Where, Evidence: j.Evidence, Why: j.Why, Safety: o.Safety()}
}

// withhold takes an outcome back: what was observed stays visible, and decides nothing.
func withhold(row *report.SLO, why string) { row.Outcome, row.Why = slo.Unknown, why }

// admitBlindAudit takes back that nothing was wrong, when the audit that had to see it saw too
// little.
func admitBlindAudit(row *report.SLO, in *Input) {
	if row.Outcome.UnlessBlind(in.Reasons.AuditBlind != "") != row.Outcome {
		withhold(row, in.Reasons.AuditBlind+report.NotJudged)
	}
}

func (in *Input) unshown(g slo.Group, o slo.Objective) string {
	if in.Unshown == nil {
		return ""
	}
	return in.Unshown(g, o)
}

// admitUnshown takes back that nothing was wrong, when nothing could have shown it.
func admitUnshown(row *report.SLO, why string) {
	if why != "" && row.Outcome != slo.Fail {
		withhold(row, why)
	}
}

func voidReason(in *Input) string {
	why := in.Reasons
	switch {
	case why.Interrupted != "":
		return "interrupted, " + why.Interrupted + report.NotJudged
	case why.Garbled != "":
		return why.Garbled + report.NotJudged
	case why.Broken != "":
		return "the harness broke, " + why.Broken + report.NotJudged
	case in.Generator.Saturated:
		return "the load generator was saturated" + detail(in.Generator.Why) + report.NotJudged
	case why.Starved != "":
		return "the machine was starved, " + why.Starved + report.NotJudged
	}
	return ""
}

func detail(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// unsteadyReason names the first missed performance objective of steady state.
func unsteadyReason(rows []report.SLO) string {
	for _, r := range rows {
		if r.Phase == slo.GroupSteady && !r.Safety && r.Outcome == slo.Fail {
			return fmt.Sprintf("steady %s missed (%s)%s", r.Expr, r.Observed, report.NotJudged)
		}
	}
	return ""
}

// whyOf puts the outcome of a drill into one line.
func whyOf(outcome slo.Outcome, whole string, rows []report.SLO) string {
	switch outcome {
	case slo.Unknown:
		if whole != "" {
			return whole
		}
		for _, r := range rows {
			if r.Outcome == slo.Unknown {
				return r.Expr + " (" + string(r.Phase) + "): " + r.Why
			}
		}
		return "no objective could be judged"
	case slo.Fail:
		for _, safety := range []bool{true, false} {
			for _, r := range rows {
				if r.Outcome == slo.Fail && r.Safety == safety {
					return fmt.Sprintf("%s: observed %s in %s", r.Expr, r.Observed, r.Phase)
				}
			}
		}
	}
	return ""
}
