package slo

import "math"

// Cut is a scope that ended before its time, because the drill was halted.
type Cut struct {
	Why   string // "halted at 12.5s: errors > 50% for 5s"; empty: the scope is complete
	Ahead int64  // operations of any labels that were still planned in it, at most
}

// Of a scope that was cut short, what was seen decides only as far as nothing that was still to
// come could have changed it. A metric's Whole function gives what is then known of it over the
// whole scope; seen is what is known of the part. A metric without one knows nothing.

// onlyGrows is for metrics that more operations can only make larger.
func onlyGrows(seen Range, _ Measurements, _ Objective) Range { return Range{seen.Low, math.Inf(1)} }

// errorsOfWhole and those that follow are for shares: each operation ahead may be of the
// kind, or not.
func errorsOfWhole(seen Range, from Measurements, _ Objective) Range {
	return diluted(seen, from.Operations().Ended, from.Scope().Cut.Ahead)
}

func unreadableOfWhole(seen Range, from Measurements, _ Objective) Range {
	return diluted(seen, from.Operations().Answers.Total, from.Scope().Cut.Ahead)
}

func staleOfWhole(seen Range, from Measurements, _ Objective) Range {
	return diluted(seen, from.Reads().Total(), from.Scope().Cut.Ahead)
}

func hitsOfWhole(seen Range, from Measurements, _ Objective) Range {
	ops := from.Operations()
	return diluted(seen, ops.L1+ops.L2+ops.Source, from.Scope().Cut.Ahead)
}

func diluted(seen Range, n, ahead int64) Range {
	if n <= 0 {
		return Nothing()
	}
	whole := float64(n + ahead)
	return Range{seen.Low * float64(n) / whole, (seen.High*float64(n) + float64(ahead)) / whole}
}

// latencyOfWhole is for percentiles of latency: all operations ahead may be faster than those seen.
func latencyOfWhole(_ Range, from Measurements, o Objective) Range {
	ops := from.Operations()
	low := lowOfWhole(ops.Latency, from, o)
	if ops.SentOnTime {
		low = min(low, lowOfWhole(ops.Service, from, o))
	}
	return Range{low, math.Inf(1)}
}

// stalenessOfWhole is the same for percentiles of staleness.
func stalenessOfWhole(_ Range, from Measurements, o Objective) Range {
	return Range{lowOfWhole(from.Reads().Staleness, from, o), math.Inf(1)}
}

// lowOfWhole bounds a percentile of the whole from below: with k samples ahead that are below all n
// that were seen, the p-quantile of the whole is the (p(n+k)-k)/n-quantile of those.
func lowOfWhole(seen Distribution, from Measurements, o Objective) float64 {
	n, ahead := float64(seen.Count()), float64(from.Scope().Cut.Ahead)
	if n == 0 {
		return 0
	}
	p := (o.Definition().Quantile*(n+ahead) - ahead) / n
	if p <= 0 {
		return 0
	}
	return seen.Bounds(p).Low
}

// whole gives what is known of the metric over a scope that was cut short.
func (o Objective) whole(seen Range, from Measurements) Range {
	if of := o.Definition().Whole; of != nil && seen.Known() {
		return of(seen, from, o)
	}
	return Nothing()
}
