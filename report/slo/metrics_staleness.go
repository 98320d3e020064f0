package slo

import (
	"fmt"
	"math"
)

var (
	stale = Metric{Name: "stale", Unit: UnitRatio, Labels: perRead, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: Needs{Samples: SampleRead},
		Doc:   "stale reads of all judged reads, three-valued: indeterminate reads may be either",
		Shape: Shape{OfStale: true}, Measure: staleShare, Whole: staleOfWhole}
	staleProven = Metric{Name: "stale.proven", Unit: UnitRatio, Labels: perRead, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: Needs{Samples: SampleRead},
		Doc:   "proven stale reads of all judged reads",
		Shape: Shape{OfStale: true}, Measure: provenStaleShare, Whole: staleOfWhole}
	staleIncidents = Metric{Name: "stale_incidents", Unit: UnitCount, Groups: onlyAlways, Presumes: ofOrder, Accusations: ofStaleness,
		Doc:   "maximal intervals in which one key was served proven-stale, over the whole drill",
		Shape: Shape{OfStale: true}, Measure: incidents, Whole: onlyGrows}
	stalenessP99 = Metric{Name: "staleness.p99", Unit: UnitDuration, Labels: perRead, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: perStaleness,
		Doc:   "99th percentile, over all judged reads, of how long the answer had been superseded when the read began",
		Shape: Shape{Quantile: 0.99, OfStale: true}, Measure: stalenessPercentile, Whole: stalenessOfWhole}
	stalenessMax = Metric{Name: "staleness.max", Unit: UnitDuration, Labels: perRead, Groups: anyGroup, Presumes: ofOrder, Accusations: ofStaleness, Needs: perStaleness,
		Doc:   "longest time that an answer had been superseded when its read began",
		Shape: Shape{OfStale: true}, Measure: stalest, Whole: onlyGrows}

	ofStaleness  = []string{"stale", "violation"}
	perStaleness = Needs{Samples: SampleRead, Staleness: true}
)

// blindToStaleness says why nothing in the scope could have shown a stale read; "" when something
// could.
func blindToStaleness(from Measurements) string {
	if from.Reads().CanBeStale > 0 {
		return ""
	}
	return "no read could have exposed staleness " + from.Scope().During()
}

func noRead(from Measurements) Measurement {
	return NotMeasured("no read of these labels was judged " + from.Scope().During())
}

func provenStaleShare(from Measurements, _ Objective) Measurement {
	r := from.Reads()
	if r.Total() == 0 {
		return noRead(from)
	}
	m := Measurement{Known: Share(r.Stale, 0, r.Total()), Blind: blindToStaleness(from), Evidence: r.Oldest.Text, Where: r.Oldest.Region}
	m.Observed = fmt.Sprintf("%s (%s of %s reads)", FormatPercent(m.Known.Low), FormatCount(r.Stale), FormatCount(r.Total()))
	return m
}

func staleShare(from Measurements, o Objective) Measurement {
	r := from.Reads()
	m := provenStaleShare(from, o)
	if maybe := r.Maybe(); maybe > 0 {
		m.Known = Share(r.Stale, maybe, r.Total())
		m.Observed = fmt.Sprintf("%s..%s (%s of %s reads, %s more indeterminate)", FormatPercent(m.Known.Low),
			FormatPercent(m.Known.High), FormatCount(r.Stale), FormatCount(r.Total()), FormatCount(maybe))
		m.Why = fmt.Sprintf("%s of %s reads may be stale or not, and the limit lies between", FormatCount(maybe), FormatCount(r.Total()))
	}
	return m
}

func stalenessPercentile(from Measurements, o Objective) Measurement {
	r, p := from.Reads(), o.Definition().Quantile
	if r.Total() == 0 {
		return noRead(from)
	}
	m := Measurement{Blind: blindToStaleness(from), Evidence: r.Oldest.Text, Where: r.Oldest.Region}
	m.Known = r.Staleness.Bounds(p)
	m.Observed = "at least " + FormatDuration(r.Staleness.Quantile(p))
	m.Why = fewSamples(m.Known, r.Total(), p)
	return m
}

func stalest(from Measurements, _ Objective) Measurement {
	r := from.Reads()
	if r.Total() == 0 {
		return noRead(from)
	}
	m := Measurement{Blind: blindToStaleness(from), Evidence: r.Oldest.Text, Where: r.Oldest.Region}
	low := r.Staleness.Max()
	m.Known = Range{low.Seconds(), max(r.MaxHigh, low).Seconds()}
	m.Observed = "at least " + FormatDuration(low)
	m.Why = fmt.Sprintf("it lies between %s and %s, and the limit between", FormatDuration(low), FormatDuration(r.MaxHigh))
	if r.Unbounded > 0 {
		m.Known.High = math.Inf(1)
		m.Why = fmt.Sprintf("of %s reads nothing limits how stale they may be", FormatCount(r.Unbounded))
	}
	return m
}

func incidents(from Measurements, _ Objective) Measurement {
	f := from.Oracle()
	m := Measurement{Known: Exactly(float64(f.StaleIncidents)), Observed: FormatCount(f.StaleIncidents)}
	if f.Opportunities["stale"] == 0 {
		m.Blind = "no read could have exposed staleness in this drill"
	}
	return m.with(f.Accused("stale", "violation"))
}

func (m Measurement) with(e Evidence) Measurement {
	m.Evidence, m.Where = e.Text, e.Region
	return m
}
