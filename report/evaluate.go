package report

import (
	"fmt"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/targets"
)

var inf = math.Inf(1)

// Drill is what the caller knows about a drill besides what was recorded.
type Drill struct {
	Name, Description string
	Target, Policy    string
	Attempts          int // how often the drill was tried, when more than once
	Operations        Operations
	Generator         GeneratorResult
	Faults            []FaultRun // every fault planned, injected or not
	LoadsCounted      bool       // the target counts loads at its source
	// UnlimitedWorkers says that no operation ever waited for a free worker: then what lies between its due
	// time and its sending is the generator's own lateness, which proves nothing against the target. At a
	// limit of workers it may be waiting for a stalled target, which is the target's latency; operations
	// carry no stamp that tells the two apart.
	UnlimitedWorkers       bool
	Prices                 *cost.Prices         // nil: nobody said what anything costs
	Began, Ended           []targets.CacheStats // what the target's caches had counted when steady began, and when recovery ended
	CrossRegionUnavailable string               // why the target does not tell what crosses regions; empty when it does
	Broken                 string               // what of the harness broke by itself during the drill; empty when nothing did
	AuditBlind             string               // why the audit saw too little: "only 3 of 40 written keys were read"; empty when it saw all
	Starved                string               // why the machine was too busy to tell; empty when it was not
	Disturbed              string               // why the machine may have made things slower than they are; empty when it did not
	Interrupted            string               // why the drill stopped early; empty when it did not
	Unreadable             string               // why the target's answers could not be understood; empty when they could
	LoadsUnkeyed           bool                 // loads are counted, and not told apart by key
	LoadsUnlabelled        bool                 // loads are not told apart by tenant, region and the like
	LoadsMeansOnly         bool                 // loads are told too late to say in which second they arrived
	WidthsTold             bool                 // unkeyed loads tell all the same how many of their key were under way
	Traces                 []Trace              // what explains a metric, what explains most first
	Notes                  []string             // for the reader of the report
}

// Trace is what somebody besides the target saw of the cause of something that a metric shows.
type Trace struct {
	Metric string
	At     time.Duration
	Text   string // one line
}

// FaultRun is what became of one planned fault. Offsets of 0 mean never.
type FaultRun struct {
	Name     string
	Injected time.Duration
	Healed   time.Duration // seen healed
	Evidence string        // that it bit; empty when nothing proves it
	Problem  string        // what went wrong with injecting or healing it; empty when nothing did
}

// Evaluate judges every objective and puts together the report of the drill. It is called once, after
// [Recorder.Finish].
//
// A proven safety violation stands whatever happened. Everything else is not judged, and so unknown,
// when the drill was interrupted, the harness broke, the generator saturated, the machine starved, a
// steady objective missed, or (outside steady) a fault left no evidence. On a machine that was merely
// disturbed a miss of an objective about time is unknown, since the machine may have caused it; a pass is
// one all the more. After an audit that saw too little no safety objective passes.
func Evaluate(r *Recorder, d Drill) Scenario {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.agg

	a.recovered.excuse, a.recoveredAfter.excuse = d.UnlimitedWorkers, d.UnlimitedWorkers
	rows := make([]SLO, 0, len(r.objectives)+len(implicitSafety))
	for _, g := range r.objectives {
		rows = append(rows, judge(a, &d, g.Group, g.Objective))
	}
	void := voidReason(&d)
	unsteady := unsteadyReason(rows) // also when the machine may have caused it: it was not steady
	unproven := unprovenReason(d.Faults)
	for i := range rows {
		row := &rows[i]
		if row.Safety {
			row.admitBlindAudit(&d)
			continue
		}
		excused := d.Disturbed != "" && r.objectives[i].Objective.metric().timed()
		if row.Outcome.unlessExcused(excused) != row.Outcome {
			row.withhold("the machine was disturbed, " + d.Disturbed + notJudged)
		}
		switch {
		case void != "":
			row.withhold(void)
		case unsteady != "":
			row.withhold(unsteady)
		case unproven != "" && row.Phase != GroupSteady:
			row.withhold(unproven)
		}
	}
	for _, o := range implicitMissing(r.objectives) {
		row := judge(a, &d, GroupAlways, o)
		row.Implicit = true
		// Without an opportunity the row is left out: unless the opportunity was the audit's to make.
		if row.Outcome == Unknown && (o.Metric != "lost_writes" || d.AuditBlind == "" || a.found.acknowledged == 0) {
			continue
		}
		row.admitBlindAudit(&d)
		rows = append(rows, row)
	}

	whole := firstOf(void, unsteady, unproven)
	s := Scenario{
		Name: d.Name, Description: d.Description, Target: d.Target, Policy: d.Policy, Attempts: d.Attempts,
		Operations: d.Operations, Generator: d.Generator, Faults: faultSummaries(d.Faults), SLOs: rows,
		Phases: a.summaries(d.LoadsCounted, !d.LoadsUnkeyed, !d.LoadsUnkeyed || d.WidthsTold), Oracle: a.found.summary(), RecoveryS: a.recoverySeconds(), Recovery: a.comeback(),
		Notes:       d.Notes,
		Consistency: a.found.consistency(), ConsistentWithin: a.found.consistentWithin(),
	}
	s.Accusations = withFaults(a.found.evidence, d.Faults)
	var complete bool
	s.Breakdown, complete = a.rows.table()
	s.BreakdownCut = !complete
	s.Cache = a.ownFigures(s.Breakdown, &d)
	s.Cost = a.cost(&d)
	verdicts := make([]Verdict, len(rows))
	for i, row := range rows {
		verdicts[i] = Verdict{row.Outcome, row.Safety}
	}
	s.Outcome = DrillOutcome(whole != "", verdicts)
	s.Why = whyOf(s.Outcome, whole, rows)
	return s
}

// judge decides one objective by what was measured, as if nothing else had happened in the drill.
func judge(a *aggregate, d *Drill, g Group, o Objective) SLO {
	row := SLO{Expr: o.Expr, Phase: g, Limit: string(o.Op) + " " + o.Limit.Text, Safety: o.Safety()}
	m := measure(a, d, g, o)
	row.Observed, row.Where, row.Evidence = m.observed, m.where, m.evidence
	limit := o.Limit.Value
	if o.Limit.Unit == UnitTimes && !math.IsNaN(m.known.Low) {
		_, over, _ := a.view(selectionLabels(o), phasesOf(g, false))
		var why string
		if limit, why = timesSteady(a, o, over); why != "" {
			m.why = why
		} else {
			row.Limit += " = " + perSecond(limit)
		}
	}
	decided := m.known.Decide(o.Op, limit)
	row.Outcome = decided.unlessBlind(m.blind != "")
	switch {
	case row.Outcome != decided:
		row.Why = m.blind
	case row.Outcome == Unknown:
		row.Why = firstOf(m.why, m.blind, "nothing was measured")
	}
	return row
}

// withhold takes an outcome back: what was observed stays visible, and decides nothing.
func (s *SLO) withhold(why string) { s.Outcome, s.Why = Unknown, why }

// admitBlindAudit takes back that nothing was wrong, when the audit that had to see it saw too little.
func (s *SLO) admitBlindAudit(d *Drill) {
	if s.Outcome.unlessBlind(d.AuditBlind != "") != s.Outcome {
		s.withhold(d.AuditBlind + notJudged)
	}
}

const notJudged = ": not judged"

func voidReason(d *Drill) string {
	switch {
	case d.Interrupted != "":
		return "interrupted, " + d.Interrupted + notJudged
	case d.Unreadable != "":
		return d.Unreadable + notJudged
	case d.Broken != "":
		return "the harness broke, " + d.Broken + notJudged
	case d.Generator.Saturated:
		return "the load generator was saturated" + detail(d.Generator.Why) + notJudged
	case d.Starved != "":
		return "the machine was starved, " + d.Starved + notJudged
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
func unsteadyReason(rows []SLO) string {
	for _, r := range rows {
		if r.Phase == GroupSteady && !r.Safety && r.Outcome == Fail {
			return fmt.Sprintf("steady %s missed (%s)%s", r.Expr, r.Observed, notJudged)
		}
	}
	return ""
}

// unprovenReason names the first fault that went wrong, or of which nothing proves that it bit.
func unprovenReason(faults []FaultRun) string {
	for _, f := range faults {
		switch {
		case f.Problem != "":
			return "fault " + f.Name + " " + f.Problem + notJudged
		case f.Injected == 0:
			return "fault " + f.Name + " was never injected" + notJudged
		case f.Evidence == "":
			return "fault " + f.Name + " left no evidence" + notJudged
		}
	}
	return ""
}

// whyOf puts the outcome of a drill into one line.
func whyOf(outcome Outcome, whole string, rows []SLO) string {
	switch outcome {
	case Unknown:
		if whole != "" {
			return whole
		}
		for _, r := range rows {
			if r.Outcome == Unknown {
				return r.Expr + " (" + string(r.Phase) + "): " + r.Why
			}
		}
		return "no objective could be judged"
	case Fail:
		for _, safety := range []bool{true, false} {
			for _, r := range rows {
				if r.Outcome == Fail && r.Safety == safety {
					return fmt.Sprintf("%s: observed %s in %s", r.Expr, r.Observed, r.Phase)
				}
			}
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
