package measure

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// aggregate is everything counted in a drill. Its owner serialises all access.
type aggregate struct {
	times     timeline
	wanted    []selection
	cells     [phaseCount][]*cell // by phase and index in wanted; nil until something happened
	rows      breakdown
	recovered *recovery
	// recoveredAfter judges the time after a dip as recovered does the time after the heal.
	recoveredAfter *recovery
	trends         [2]trend // of the time after the heal, and after a dip
	seconds        intervalLog
	versions       versionLog
	found          oracle.Findings
	inside         []insideLag
	used           *usage

	at       slo.Labels // of what is being counted: kept here so that pointers to it cost no allocation
	classes  map[string]string
	families map[string]familyLabels
}

// familyLabels are the labels that follow from a family, made once.
type familyLabels struct {
	class     string
	endpoints [targets.Delete + 1]string // by kind
}

func newAggregate(c RecorderConfig) aggregate {
	a := aggregate{
		times:     newTimeline(),
		wanted:    selectionsOf(c.Objectives),
		rows:      newBreakdown(),
		recovered: newRecovery(c.Objectives),

		recoveredAfter: newRecovery(c.Objectives),
		versions:       newVersionLog(),
		classes:        c.Classes,
		families:       map[string]familyLabels{},
	}
	for p := range a.cells {
		a.cells[p] = make([]*cell, len(a.wanted))
	}
	return a
}

func (a *aggregate) family(name string) familyLabels {
	f, ok := a.families[name]
	if !ok {
		f = familyLabels{class: a.classes[name]}
		for _, k := range [...]targets.Kind{targets.Read, targets.Write, targets.Delete} {
			f.endpoints[k] = endpoint(k, name)
		}
		a.families[name] = f
	}
	return f
}

// endpoint names a kind of operation on a family: "read product".
func endpoint(k targets.Kind, family string) string { return k.String() + " " + family }

func (a *aggregate) labels(op *targets.Operation) slo.Labels {
	f := a.family(op.Key.Family)
	return slo.Labels{
		Endpoint: f.endpoints[op.Kind], Family: op.Key.Family, Class: f.class, Tenant: op.Key.Tenant,
		Region: op.Region, Tier: op.Reply.Tier, Kind: op.Kind.String(),
	}
}

// each calls do for the cells of a phase whose selection contains what happened at the given
// labels.
func (a *aggregate) each(p Phase, at *slo.Labels, do func(*cell, *selection)) {
	for i := range a.wanted {
		s := &a.wanted[i]
		if !s.labels.Selects(at) {
			continue
		}
		if a.cells[p][i] == nil {
			a.cells[p][i] = &cell{}
		}
		do(a.cells[p][i], s)
	}
}

func (a *aggregate) observe(op *targets.Operation) {
	p := a.times.attributeOperation(op)
	a.at = a.labels(op)
	a.each(p, &a.at, func(c *cell, s *selection) { c.observe(op, s) })
	a.recovered.observe(op, &a.at, p, a.times.start[p])
	if p == AfterDip {
		a.recoveredAfter.observe(op, &a.at, Recovery, a.times.start[p])
	} else {
		a.recoveredAfter.observe(op, &a.at, min(p, Fault), 0) // what steady state was like
	}
	switch p {
	case Recovery:
		a.trends[0].observe(op, a.times.start[p])
	case AfterDip:
		a.trends[1].observe(op, a.times.start[p])
	}
	a.seconds.record(op.Returned, op.Latency())
	if judgesPerformance(p) {
		a.rows.observe(op, &a.at)
	}
}

func (a *aggregate) judged(v *oracle.Judgement) {
	p := a.times.attributeOperation(&v.Op)
	a.at = a.labels(&v.Op)
	a.each(p, &a.at, func(c *cell, s *selection) { c.reads.judged(v, s.staleness) })
	if judgesPerformance(p) {
		a.rows.judged(v, &a.at)
	}
}

func (a *aggregate) load(l *targets.Load) {
	p := a.times.attribute(l.Arrived)
	redundant := a.versions.redundant(l)
	a.at = slo.Labels{Family: l.Key.Family, Class: a.classes[l.Key.Family], Tenant: l.Key.Tenant, Region: l.Region}
	start := a.times.start[p]
	a.each(p, &a.at, func(c *cell, _ *selection) { c.loads.add(l, start, redundant) })
	switch p {
	case Recovery:
		a.trends[0].load(l, start)
	case AfterDip:
		a.trends[1].load(l, start)
	}
}

func judgesPerformance(p Phase) bool { return p == Steady || p == Fault || p == Recovery }

// view gives what a selection saw over some phases, and how long those lasted. missing names the
// phases that the drill did not reach.
func (a *aggregate) view(l slo.Labels, phases []Phase) (c *cell, length time.Duration, missing []Phase) {
	at := 0
	for i := range a.wanted {
		if a.wanted[i].labels == l {
			at = i
		}
	}
	var parts []*cell
	for _, p := range phases {
		start, end, ok := a.times.span(p)
		if !ok {
			missing = append(missing, p)
			continue
		}
		length += end - start
		parts = append(parts, a.cells[p][at])
	}
	return merged(parts...), length, missing
}
