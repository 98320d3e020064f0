package drill

import (
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// plan is all that is known of a drill before it begins: a function of the scenario and the seed.
type plan struct {
	scenario  scenarios.Scenario
	run       string // what tokens begin with
	generator *load.Generator
	schedule  load.Schedule
	faults    []faults.Planned
}

func newPlan(sc scenarios.Scenario, opt Options, run string) (*plan, error) {
	p := &plan{scenario: sc, run: run, faults: slices.Clone(sc.Faults)}
	if opt.Sham {
		for i := range p.faults {
			p.faults[i].Fault = faults.Sham(p.faults[i].Fault)
		}
	}
	var err error
	p.generator, err = load.NewGenerator(load.Workload{
		Seed: opt.Seed, Run: run, Mixes: sc.Workload.Mixes, Regions: sc.Target.RegionNames(), Sessions: sc.Workload.Sessions,
	})
	if err != nil {
		return nil, fmt.Errorf("making the workload: %w", err)
	}
	if p.schedule, err = load.NewSchedule(sc.Workload.Steps, sc.Phases.Total()); err != nil {
		return nil, fmt.Errorf("making the schedule: %w", err)
	}
	return p, nil
}

// seeded gives the keys of each family that exist when the drill begins.
func (p *plan) seeded() (families [][]targets.Key) {
	for _, m := range p.scenario.Workload.Mixes {
		families = append(families, p.generator.Seeded(m.Family))
	}
	return families
}

// promises gives what the judge holds each family to, and the families' classes as labels show
// them.
func (p *plan) promises() (families map[string]oracle.Family, classes map[string]string) {
	families, classes = map[string]oracle.Family{}, map[string]string{}
	for _, m := range p.scenario.Workload.Mixes {
		if f, ok := p.scenario.Target.Family(m.Family); ok {
			classes[m.Family], families[m.Family] = f.Class, promise(f)
		}
	}
	return families, classes
}

// classes are the classes of the families.
func (p *plan) classes() map[string]string {
	_, classes := p.promises()
	return classes
}

// promise is what the judge holds a family to.
func promise(f scenarios.Family) oracle.Family {
	out := oracle.Family{Class: oracle.Bounded, Within: f.Within, Horizon: f.TTL}
	switch f.Class {
	case "strong":
		out.Class = oracle.Strong
	case "eventual":
		out.Class = oracle.Eventual
	case "":
		out.Unclassed = true
	}
	return out
}

// ahead counts, for each group of objectives, the operations that were still to end in its phases
// when a drill was halted: those that were not sent, and those in flight, which were cut off.
func (p *plan) ahead(sent load.Sent, cutOff int64) map[slo.Group]int64 {
	out, ph := map[slo.Group]int64{}, p.scenario.Phases
	next := int64(sent.Sent) + int64(sent.Withheld.Total())
	steady := ph.Warmup + ph.Steady
	for group, end := range map[slo.Group]time.Duration{
		slo.GroupSteady: steady, slo.GroupFault: steady + ph.Fault, slo.GroupRecovery: ph.DipBegins(), slo.GroupAlways: ph.DipBegins(),
	} {
		out[group] = max(0, int64(p.schedule.Before(end))-next) + cutOff
	}
	return out
}

// siblings names the families with keys that a mix-up could confuse with each other.
func (p *plan) siblings() map[string]bool {
	out := map[string]bool{}
	for _, m := range p.scenario.Workload.Mixes {
		out[m.Family] = scenarios.Siblings(m)
	}
	return out
}
