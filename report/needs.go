package report

import (
	"math"
	"slices"
)

// Sample is what an objective's metric is measured from.
type Sample uint8

// The samples.
const (
	SampleNone      Sample = iota // the drill as a whole: it can't be narrowed by labels
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

// Needs says what the objective is measured from, and how many of these its phases must have before it
// can pass at all; 0 of [SampleNone].
func (o Objective) Needs() (least int64, of Sample) {
	m := o.metric()
	switch {
	case len(m.Labels) == 0 || m.ofResources():
		return 0, SampleNone
	case isLag(m.Name):
		of = SampleCommit
	case slices.Contains(m.Labels, "kind"):
		of = SampleOperation
	default:
		of = SampleRead
	}
	upper := o.Op == Less || o.Op == LessEqual
	p := m.quantile
	if m.target > 0 {
		// A burn below b is a share of good operations above p.
		p = 1 - o.Limit.Value*(1-m.target)
	}
	switch {
	case m.target > 0 && (!upper || p <= 0 || p >= 1):
		return 1, of
	case p == 0:
		return 1, of
	case !upper:
		// That one sample lies below the percentile bounds it from below.
		return int64(math.Ceil(math.Log(1-confidence) / math.Log(1-p))), of
	}
	return neededSamples(p), of
}
