package scenarios

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report/slo"
)

// common is what the scenarios of a suite share, unless they say otherwise.
type common struct {
	language              Language
	target                Target
	prices                *cost.Prices
	faults                strictyaml.Node
	planned               []faults.Planned // of a program, beside those that are written
	workload, phases, slo strictyaml.Node
}

var phaseFields = []string{"warmup", "steady", "fault", "recovery"}

// check notes what is wrong with the shared parts themselves, once and not per scenario.
func (c common) check() {
	c.workload.Fields("the workload", workloadFields...)
	c.phases.Fields("phases", phaseFields...)
	c.slo.Fields("slo", groupNames()...)
}

func (c common) scenario(e strictyaml.Entry) Scenario {
	f := e.Value.FieldsRenamed("scenario "+e.Name, map[string]string{"push": "dip"}, "why", "workload", "phases", "faults", "dip", "slo")
	sc := Scenario{Name: e.Name, Why: f["why"].String("why"), Target: c.target, Prices: c.prices, Language: c.language}
	sc.Workload = decodeWorkload(overlay{
		own:   f["workload"].Fields("the workload", workloadFields...),
		suite: c.workload.Fields("the workload", workloadFields...),
	}, sc.Target)
	http, isHTTP := c.target.(*HTTPTarget)
	if isHTTP {
		sc.Halt, sc.SharedKeys, sc.ForeignWriters = http.Safety.Halt, http.Safety.Shared, true
	}
	if program, ok := c.target.(*GoTarget); ok {
		sc.ForeignWriters = program.ForeignWriters
	}
	if isHTTP && !f["workload"].Fields("", workloadFields...)["timeout"].Present() && !c.workload.Fields("", workloadFields...)["timeout"].Present() {
		sc.Workload.Timeout = http.Service.Timeout
	}
	sc.Phases = decodePhases(overlay{
		own:   f["phases"].Fields("phases", phaseFields...),
		suite: c.phases.Fields("phases", phaseFields...),
	})
	checkLength(e, f, c, sc)
	sc.dip(f["dip"])
	sc.checkRoom(e)
	scope := c.target.Scope()
	for _, p := range c.planned {
		checkTimeline(e.Key, p, sc.Phases)
		sc.Faults = append(sc.Faults, p)
	}
	written := append(c.faults.List("faults"), f["faults"].List("faults")...)
	for _, n := range written {
		if p, ok := c.language.Faults.Decode(n, scope); ok {
			checkTimeline(n, p, sc.Phases)
			sc.Faults = append(sc.Faults, p)
		}
	}
	if len(written)+len(c.planned) == 0 {
		e.Key.Fail(e.Name, "the scenario has no faults", "faults: [{sham: {for: 3s}}] is a drill without one")
	}
	sc.Objectives = c.objectives(f["slo"], &sc)
	sc.doubtClasses(e)
	return sc
}

// checkRoom refuses more writes than a family's values can tell apart.
func (sc *Scenario) checkRoom(e strictyaml.Entry) {
	for _, m := range sc.Workload.Mixes {
		promised, _ := sc.Target.Family(m.Family)
		writes := float64(m.Keys) + sc.Workload.Rate()*sc.Phases.Total().Seconds()*m.Share*m.Writes
		if b := sc.Workload.Bursts; b.Every > 0 {
			writes += float64(b.Size) * sc.Phases.Total().Seconds() / b.Every.Seconds()
		}
		if most := promised.MostWrites; most > 0 && writes > float64(most) {
			e.Key.Fail(e.Name, fmt.Sprintf("%s may be written %.0f times, first values included, and its values can tell %d writes apart", m.Family, math.Ceil(writes), most),
				"more digits or characters in token, fewer keys or writes, or a shorter drill")
		}
	}
}

// dip lowers the load after the recovery phase, and raises it again: dip: {to: 20%, for: 3s}.
func (sc *Scenario) dip(n strictyaml.Node) {
	if !n.Present() {
		return
	}
	f := n.Fields("a dip", "to", "for")
	to := f["to"].Percent("to", 0)
	length := f["for"].Duration("for", 3*time.Second)
	switch {
	case to <= 0 || to >= 1:
		n.Fail("", "a dip lowers the load to a share of itself, above 0% and below 100%", "dip: {to: 20%, for: 3s}")
		return
	case length <= 0:
		n.Fail("", "a dip takes some time", "dip: {to: 20%, for: 3s}")
		return
	case sc.Phases.Recovery <= 0 || len(sc.Workload.Steps) == 0:
		n.Fail("", "a dip comes after the recovery phase, and there is none", "phases: {recovery: 6s}")
		return
	}
	at, rate := sc.Phases.DipBegins(), sc.Workload.Steps[len(sc.Workload.Steps)-1].Rate
	sc.Phases.Dip, sc.Phases.AfterDip = length, sc.Phases.Recovery
	sc.Workload.Steps = append(sc.Workload.Steps, load.Step{At: at, Rate: rate * to}, load.Step{At: at + length, Rate: rate})
}

func decodePhases(f overlay) Phases {
	return Phases{
		Warmup:   f.get("warmup").Duration("warmup", 3*time.Second),
		Steady:   f.get("steady").Duration("steady", 3*time.Second),
		Fault:    f.get("fault").Duration("fault", 3*time.Second),
		Recovery: f.get("recovery").Duration("recovery", 4*time.Second),
	}
}

// checkLength refuses a drill that sends nothing, and steps of the rate that never come.
func checkLength(e strictyaml.Entry, f map[string]strictyaml.Node, c common, sc Scenario) {
	total := sc.Phases.Total()
	if total <= 0 {
		e.Key.Fail(e.Name, "the phases last 0s together", "phases: {steady: 3s, fault: 3s}")
		return
	}
	for _, s := range sc.Workload.Steps {
		if s.At >= total {
			n := f["workload"]
			if !n.Present() {
				n = c.workload
			}
			n.Fail("rate", fmt.Sprintf("a step begins at %v, and the load ends at %v", s.At, total), "begin it earlier, or lengthen a phase")
			return
		}
	}
	if every := sc.Workload.Bursts.Every; every >= total {
		n := f["workload"]
		if !n.Present() {
			n = c.workload
		}
		n.Fail("bursts", fmt.Sprintf("the first burst would be at %v, and the load ends at %v", every, total), "every: 2s")
	}
}

// checkTimeline refuses a fault that can't be over when its phase is.
func checkTimeline(n strictyaml.Node, p faults.Planned, ph Phases) {
	end := faultEnd(p)
	if end <= ph.Fault {
		return
	}
	n.Fail(p.Fault.String(), fmt.Sprintf("ends %v after the start of the fault phase, which lasts %v", end, ph.Fault),
		fmt.Sprintf("shorten it, or write phases: {fault: %v}", end))
}

// faultEnd is when a fault is over at the earliest, from the start of the fault phase.
func faultEnd(p faults.Planned) time.Duration { return p.At + max(p.Fault.Lasts(), p.Observe) }

func groupNames() []string {
	var names []string
	for _, g := range slo.Groups() {
		names = append(names, string(g))
	}
	return names
}

// objectives reads the suite's objectives and the scenario's own. One of the scenario's replaces
// the suite's with the same metric and labels in the same group. What is left must be possible in
// the phases of the scenario.
func (c common) objectives(own strictyaml.Node, sc *Scenario) []slo.PhaseObjective {
	mine := group(own, sc)
	placed := slices.DeleteFunc(group(c.slo, sc), func(old placedObjective) bool {
		return slices.ContainsFunc(mine, func(o placedObjective) bool {
			return old.Group == o.Group && old.Objective.Same(o.Objective)
		})
	})
	placed = append(placed, mine...)
	slices.SortStableFunc(placed, func(a, b placedObjective) int {
		return slices.Index(slo.Groups(), a.Group) - slices.Index(slo.Groups(), b.Group)
	})
	var out []slo.PhaseObjective
	for _, o := range placed {
		checkRecovery(o.at, o.Objective, sc.Phases)
		checkResources(o.at, o.Objective, sc)
		checkSamples(o.at, o.Objective, o.Group, sc)
		sc.doubt(o)
		out = append(out, o.PhaseObjective)
	}
	return out
}

// placedObjective is an objective and where it was written.
type placedObjective struct {
	slo.PhaseObjective
	at strictyaml.Node
}

func group(n strictyaml.Node, sc *Scenario) []placedObjective {
	var out []placedObjective
	f := n.Fields("slo", groupNames()...)
	for _, g := range slo.Groups() {
		for _, item := range f[string(g)].List("objectives") {
			if o, ok := objective(item, g, sc); ok {
				out = append(out, placedObjective{slo.PhaseObjective{Group: g, Objective: o}, item})
			}
		}
	}
	return out
}

// recoveryHold is how long a drill must see that a recovery lasts.
const recoveryHold = time.Second

// checkRecovery refuses an objective on recovery that the phase is too short to show.
func checkRecovery(n strictyaml.Node, o slo.Objective, ph Phases) {
	if o.Metric != "recovery_time" {
		return
	}
	needs := time.Duration(o.Limit.Value*float64(time.Second)) + recoveryHold
	if ph.Recovery < needs {
		n.Fail("", fmt.Sprintf("the recovery phase of %v is too short to show it", ph.Recovery),
			fmt.Sprintf("write phases: {recovery: %v} or more: the limit, and %v to see that it lasts", needs, recoveryHold))
	}
}

// checkResources refuses an objective on what nothing in the plan can show.
func checkResources(n strictyaml.Node, o slo.Objective, sc *Scenario) {
	switch {
	case o.Metric == "cost_per_million" && sc.Prices == nil:
		n.Fail("", "there are no prices", "write into the suite prices: {currency: EUR, per_million_source_loads: 0.20}")
	case o.Metric == "cross_region_bytes" && sc.regions() == 1:
		n.Fail("", "the target has one region only: nothing can cross", "regions: {eu: 2, us: 2}")
	}
}

// regions is how many regions the reference service has; 0 of another target.
func (sc *Scenario) regions() int {
	spec, err := sc.Reference()
	if err != nil {
		return 0
	}
	return len(spec.Regions)
}

func objective(n strictyaml.Node, g slo.Group, sc *Scenario) (slo.Objective, bool) {
	text := n.String("an objective")
	o, err := sc.Language.Metrics.Parse(text)
	if err == nil {
		err = o.CheckGroup(g)
	}
	if err != nil {
		n.FailAt(err.Offset, err.Text, err.Msg, err.Hint)
		return o, false
	}
	bad := o.CheckValues(sc.labelValues())
	for _, e := range bad {
		n.FailAt(e.Offset, e.Text, e.Msg, e.Hint)
	}
	return o, len(bad) == 0
}
