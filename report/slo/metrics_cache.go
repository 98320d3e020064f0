package slo

import (
	"fmt"
	"math"
)

var (
	hitRatio = Metric{Name: "hit_ratio", Unit: UnitRatio, Labels: perRead, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:   "hits / (hits + misses) of reads; with tier=l1 or tier=l2 of those that reached the tier, else of all tiers together",
		Shape: Shape{OfTier: true}, Measure: hitShare, Whole: hitsOfWhole}
	missPenalty = Metric{Name: "miss_penalty", Unit: UnitDuration, Labels: perCacheRead, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:   "mean latency of reads loaded from the source minus mean latency of reads answered by a cache",
		Shape: Shape{Timed: true}, Measure: penalty}
)

func hitShare(from Measurements, o Objective) Measurement {
	ops := from.Operations()
	hits, tries := ops.L1+ops.L2, ops.L1+ops.L2+ops.Source
	switch o.Labels["tier"] {
	case "l1":
		hits = ops.L1
	case "l2":
		hits, tries = ops.L2, ops.L2+ops.Source
	}
	if tries == 0 {
		return NotMeasured("no read named the tier that answered it " + from.Scope().During())
	}
	r := Share(hits, 0, tries)
	return Measurement{
		Known:    r,
		Observed: fmt.Sprintf("%s (%s of %s reads)", FormatPercent(r.Low), FormatCount(hits), FormatCount(tries)),
		Evidence: fmt.Sprintf("answered by l1 %s, l2 %s, source %s", FormatCount(ops.L1), FormatCount(ops.L2), FormatCount(ops.Source)),
	}
}

// enoughForMeans is how many samples make a mean's error nearly normal, whatever the distribution.
const enoughForMeans = 30

func penalty(from Measurements, _ Objective) Measurement {
	ops := from.Operations()
	hit, miss := ops.Hit, ops.Miss
	if hit.N == 0 || miss.N == 0 {
		return NotMeasured(fmt.Sprintf("it needs hits and misses %s: there were %s and %s",
			from.Scope().During(), FormatCount(hit.N), FormatCount(miss.N)))
	}
	d := miss.Value - hit.Value
	m := Measurement{
		Observed: FormatSeconds(d),
		Evidence: fmt.Sprintf("mean of %s misses %s, of %s hits %s",
			FormatCount(miss.N), FormatSeconds(miss.Value), FormatCount(hit.N), FormatSeconds(hit.Value)),
	}
	if hit.N < enoughForMeans || miss.N < enoughForMeans {
		m.Known = Range{math.Inf(-1), math.Inf(1)}
		m.Why = fmt.Sprintf("%s hits and %s misses: it needs %d of each", FormatCount(hit.N), FormatCount(miss.N), enoughForMeans)
		return m
	}
	const z = 1.6448536269514722 // one-sided 95%, as for percentiles
	margin := z * math.Sqrt(hit.Variance+miss.Variance)
	m.Known = Range{d - margin, d + margin}
	m.Why = fmt.Sprintf("it lies within %s..%s with 95%% confidence each way, and the limit between",
		FormatSeconds(d-margin), FormatSeconds(d+margin))
	return m
}
