package slo

var (
	lagP99 = Metric{Name: "invalidation_lag.p99", Unit: UnitDuration, Labels: perLag, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: Needs{Samples: SampleCommit},
		Doc: "99th percentile, over superseding commits of the phase, of the time until the last stale read; with tier=l1 or tier=l2 " +
			"until the last holder of the tier reported that it had dropped the older copy",
		Shape: Shape{Quantile: 0.99, OfTier: true, Timed: true, OfStale: true}, Measure: lag}
	lagP999 = Metric{Name: "invalidation_lag.p999", Unit: UnitDuration, Labels: perLag, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: Needs{Samples: SampleCommit},
		Doc:   "99.9th percentile of the same; passing needs 2,995 superseding commits or more",
		Shape: Shape{Quantile: 0.999, OfTier: true, Timed: true, OfStale: true}, Measure: lag}
	lagMax = Metric{Name: "invalidation_lag.max", Unit: UnitDuration, Labels: perLag, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: Needs{Samples: SampleCommit},
		Doc:   "longest of the same",
		Shape: Shape{OfTier: true, Timed: true, OfStale: true}, Measure: lag, Whole: onlyGrows}
)

// lag measures a percentile of invalidation lag, or its maximum: as a tier reported it from inside,
// or without a tier as readers saw it from outside.
func lag(from Measurements, o Objective) Measurement {
	tier, p := o.Labels["tier"], o.Definition().Quantile
	l := from.Lag(tier)
	if l.Missing != "" {
		return NotMeasured(l.Missing)
	}
	n := len(l.Low)
	m := Measurement{}.with(l.Worst)
	if tier == "" {
		m.Blind = blindToStaleness(from)
	}
	if p == 0 {
		m.Known = Range{l.Low[n-1], l.High[n-1]}
		m.Observed = FormatSeconds(l.Low[n-1])
	} else {
		m.Known = QuantileOfSorted(l.Low, l.High, p)
		m.Observed = FormatSeconds(l.Low[min(int(p*float64(n)), n-1)])
		m.Why = fewSamples(m.Known, int64(n), p)
	}
	if l.Open > 0 {
		m.Observed = "at least " + m.Observed
		m.Why = m.Evidence
	}
	return m
}
