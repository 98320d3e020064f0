package slo

import (
	"slices"
)

// Metric is one quantity that objectives may be about: its name, words for documentation, what
// may be written about it, what it is measured from, and how. A new one is a literal beside its
// function, and a line in the table of [Metrics]; a program adds its own with [Catalogue.With].
type Metric struct {
	Name   string
	Doc    string // what it is, for docs/metrics.md; begins in lower case, without a full stop
	Unit   Unit
	Labels []string // that may narrow it; nil: it is about the drill as a whole
	Groups []Group  // that it may stand in
	Safety bool     // a proven miss fails the drill, whatever else happened
	Needs  Needs
	// Presumes are the premises that it rests on. It is never nil in the table of [Metrics]: what
	// presumes nothing says so; nil is all of them.
	Presumes []Premise
	// Accusations are the kinds of accusation that prove a miss; nil: none does.
	Accusations []string
	Shape

	// Measure says what is known of the metric. It is called for objectives about it only.
	Measure func(Measurements, Objective) Measurement
	// Whole says what is known of it over a scope that was cut short, of which the part that was
	// seen is given; nil: nothing is. See [Cut].
	Whole func(seen Range, from Measurements, o Objective) Range
}

// Shape is what limits fit a metric and how it behaves, where it differs from others of its unit.
type Shape struct {
	Quantile  float64 // of percentiles: which one, 0..1
	Target    float64 // of error budgets: the share of operations that must end ok, 0..1
	Times     bool    // a limit may be a multiple of the mean in steady state: 3x
	OfTier    bool    // label tier names a tier that holds copies, and chooses no operations
	UpperOnly bool    // only < and <= make sense
	Inexact   string  // the word for what is measured, when == makes no sense
	Timed     bool    // a busy machine makes it worse, whatever the target does
	OfStale   bool    // stale reads are evidence of a miss; with a limit in time, those staler than it
}

// Needs says what a metric is measured from, and what must be kept for it during the drill.
type Needs struct {
	Samples   Sample
	Latency   bool // histograms of latency for the objective's labels
	Staleness bool // histograms of staleness for the objective's labels
}

// Sample is what a metric is measured from.
type Sample uint8

// The samples.
const (
	SampleNone      Sample = iota // the drill as a whole, or what it used
	SampleOperation               // operations of every kind
	SampleRead                    // reads, and the loads that they cause
	SampleCommit                  // commits that superseded something
)

// String names several of them.
func (s Sample) String() string {
	switch s {
	case SampleOperation:
		return "operations"
	case SampleRead:
		return "reads"
	case SampleCommit:
		return "writes"
	}
	return "samples"
}

// Catalogue is a set of metrics, in the order that documentation lists them.
type Catalogue []*Metric

// With gives the catalogue and more metrics behind it. A name must be new.
func (all Catalogue) With(more ...*Metric) Catalogue {
	for _, m := range more {
		if all.Named(m.Name) != nil {
			panic("slo: a metric is named " + m.Name + " already")
		}
	}
	return append(slices.Clone(all), more...)
}

// Named gives the metric of a name; nil when there is none.
func (all Catalogue) Named(name string) *Metric {
	i := slices.IndexFunc(all, func(m *Metric) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

func (all Catalogue) names() []string {
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names
}
