package report

import (
	"maps"
	"math"
	"slices"
	"time"
)

// latencyOf is null while nothing was counted.
func latencyOf(h *hist) *Latency {
	if h.count() == 0 {
		return nil
	}
	return &Latency{
		P50: millis(h.quantile(0.50)), P95: millis(h.quantile(0.95)), P99: millis(h.quantile(0.99)),
		P999: millis(h.quantile(0.999)), Max: millis(h.max),
	}
}

// summaries describes the phases that the drill reached.
func (a *aggregate) summaries(loadsCounted, keyed, widths bool) []PhaseSummary {
	out := []PhaseSummary{}
	for p := Warmup; p < phaseCount; p++ {
		start, end, ok := a.times.span(p)
		if !ok {
			continue
		}
		out = append(out, a.summary(p, start, end, loadsCounted, keyed, widths))
	}
	return out
}

func (a *aggregate) summary(p Phase, start, end time.Duration, loadsCounted, keyed, widths bool) PhaseSummary {
	c := merged(a.cells[p][0])
	s := PhaseSummary{
		Name: p.String(), StartS: secondsOf(start), EndS: secondsOf(end),
		Requests: c.ended, Errors: c.failed + c.unknown,
		LatencyMS: latencyOf(c.latency), ServiceMS: latencyOf(c.service),
		Reads: Reads{
			Total: c.reads.total(), Fresh: c.reads.fresh, Stale: c.reads.stale,
			Indeterminate: c.reads.indeterminate, Unjudged: c.reads.unjudged,
		},
	}
	if c.latency != nil {
		s.LatencyClipped = c.latency.clipped
	}
	s.HitRatio.L1, s.HitRatio.L2 = ratioOf(c.hitRatio("l1")), ratioOf(c.hitRatio("l2"))
	if c.hit.n > 0 && c.miss.n > 0 {
		s.MissPenaltyMS = rounded((c.miss.mean()-c.hit.mean())*1e3, 3)
	}
	if loadsCounted && end > start {
		_, peak := c.loads.peak()
		widest, redundant := int64(c.loads.widest.Width), c.loads.redundant
		s.SourceQPS = SourceQPS{
			Mean: rounded(float64(c.loads.total)/(end-start).Seconds(), 2),
			Peak: rounded(float64(peak), 2),
		}
		if widths {
			s.StampedeMax = &widest
		}
		if keyed {
			s.RedundantLoads = &redundant
		}
	}
	if c.reads.low.count() > 0 {
		s.StalenessMS = tail(c.reads.low.quantile(0.99), c.reads.maxLow)
	}
	s.InvalidationLagTierMS = a.tierLags(p)
	var lags []lag
	for _, l := range a.found.lags {
		if a.times.of(l.committed) == p {
			lags = append(lags, l)
		}
	}
	if len(lags) > 0 {
		slices.SortFunc(lags, func(a, b lag) int { return int(a.lag - b.lag) })
		s.InvalidationLagMS = tail(lagQuantile(lags, 0.99), lags[len(lags)-1].lag)
	}
	return s
}

func ratioOf(hits, tries int64) *float64 {
	if tries == 0 {
		return nil
	}
	return rounded(float64(hits)/float64(tries), 6)
}

func tail(p99, most time.Duration) Tail {
	return Tail{P99: rounded(p99.Seconds()*1e3, 3), Max: rounded(most.Seconds()*1e3, 3)}
}

// recoverySeconds is the upper bound of the time of recovery; null when it is not known.
func (a *aggregate) recoverySeconds() *float64 {
	start, end, ok := a.times.span(Recovery)
	if !ok {
		return nil
	}
	known, _, _ := a.recovered.assess(end - start)
	if math.IsNaN(known.High) {
		return nil
	}
	return rounded(known.High, 3)
}

func (f *findings) summary() OracleSummary {
	return OracleSummary{
		Writes: f.writes, Acknowledged: f.acknowledged, UnknownWrites: f.unknownWrites,
		LostWrites: f.lostWrites, Rollbacks: f.rollbacks, Leaks: f.leaks, Corruptions: f.corruptions,
		DirtyReads: f.dirtyReads, FalseRejections: f.falseRejections, SessionViolations: f.sessions,
		StaleIncidents: f.incidents, Unjudged: f.unjudged, UnjudgedKeys: f.unjudgedKeys, UndecidedKeys: f.undecidedKeys,
		Opportunities: copied(f.opportunities), Violations: copied(f.violations),
	}
}

// copied is never nil, so that JSON shows {} and not null.
func copied(m map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	maps.Copy(out, m)
	return out
}

func faultSummaries(runs []FaultRun) []FaultSummary {
	out := make([]FaultSummary, 0, len(runs))
	for _, f := range runs {
		s := FaultSummary{Name: f.Name, Evidence: f.Evidence, Problem: f.Problem}
		if f.Injected > 0 {
			s.InjectedS = rounded(f.Injected.Seconds(), 6)
		}
		if f.Healed > 0 {
			s.HealedS = rounded(f.Healed.Seconds(), 6)
		}
		out = append(out, s)
	}
	return out
}

// Conclude fills in what follows from the drills of a run: the schema and the outcome.
func (r Report) Conclude() Report {
	r.Schema = Schema
	outcomes := make([]Outcome, len(r.Scenarios))
	for i, s := range r.Scenarios {
		outcomes[i] = s.Outcome
	}
	r.Outcome = SuiteOutcome(outcomes)
	r.Scenarios = numbered(r.Scenarios)
	if r.Scenarios == nil {
		r.Scenarios = []Scenario{}
	}
	return r
}
