package report

import (
	"fmt"
	"slices"
	"time"
)

// lag measures the p-quantile of invalidation lag, or its maximum when p is 0: as a tier told it from
// inside, or without a tier as readers saw it from outside.
func (s *scope) lag(tier string, p float64) measurement {
	if tier != "" {
		return s.insideLag(tier, p)
	}
	var lags []lag
	for _, l := range s.agg.found.lags {
		at := Labels{Family: l.family.Value(), Class: s.agg.classes[l.family.Value()]}
		if s.contains(l.committed) && s.labels.selects(&at) {
			lags = append(lags, l)
		}
	}
	if len(lags) == 0 {
		return nothing("no commit of these labels superseded anything " + s.during())
	}
	slices.SortFunc(lags, func(a, b lag) int { return int(a.lag - b.lag) })
	worst := lags[len(lags)-1]
	m := measurement{blind: s.blindToStaleness()}
	if worst.lag > 0 {
		m.where = worst.region.Value()
		m.evidence = fmt.Sprintf("longest: a %s committed at %s was still read stale%s %s later",
			worst.family.Value(), moment(worst.committed), inRegion(worst.region.Value()), duration(worst.lag))
	}
	if p == 0 {
		m.known, m.observed = Exactly(worst.lag.Seconds()), duration(worst.lag)
		return m
	}
	exact := make([]float64, len(lags))
	for i, l := range lags {
		exact[i] = l.lag.Seconds()
	}
	m.known = quantileOfSorted(exact, exact, p)
	m.observed = duration(lagQuantile(lags, p))
	m.why = fewSamples(m.known, int64(len(lags)), p)
	return m
}

// lagQuantile is the value that reports show; lags ascend and are not empty.
func lagQuantile(lags []lag, p float64) time.Duration {
	return lags[min(int(p*float64(len(lags))), len(lags)-1)].lag
}

func (s *scope) insideLag(tier string, p float64) measurement {
	labels := s.labels
	labels.Tier = ""
	b := tierBounds{}
	for _, l := range s.agg.inside {
		at := Labels{Family: l.key.Family, Class: s.agg.classes[l.key.Family]}
		if l.tier == tier && s.contains(l.committed) && labels.selects(&at) {
			b.add(l)
		}
	}
	n := len(b.low)
	if n == 0 {
		if !slices.ContainsFunc(s.agg.inside, func(l insideLag) bool { return l.tier == tier }) {
			return nothing("no " + tier + " told when it dropped superseded copies")
		}
		return nothing("no commit of these labels superseded anything " + s.during())
	}
	b.sort()
	m := measurement{where: b.worst.last.region}
	if b.worst.open {
		m.evidence = fmt.Sprintf("%s of %s commits were never dropped everywhere: %s did not tell of %s, committed at %s",
			count(int64(b.open)), count(int64(n)), b.worst.last, b.worst.key, moment(b.worst.committed))
	} else {
		m.evidence = fmt.Sprintf("longest: %s dropped %s %s after the commit at %s",
			b.worst.last, b.worst.key, duration(b.worst.lag), moment(b.worst.committed))
	}
	if p == 0 {
		m.known = Range{b.low[n-1], b.high[n-1]}
		m.observed = length(b.low[n-1])
	} else {
		m.known = quantileOfSorted(b.low, b.high, p)
		m.observed = length(b.low[min(int(p*float64(n)), n-1)])
		m.why = fewSamples(m.known, int64(n), p)
	}
	if b.open > 0 {
		m.observed = "at least " + m.observed
		m.why = m.evidence
	}
	return m
}

// tierBounds bounds the inside lags of one tier, in seconds.
type tierBounds struct {
	low, high []float64
	open      int
	worst     insideLag
}

func (b *tierBounds) add(l insideLag) {
	high := l.lag.Seconds()
	if l.open {
		high = inf
		b.open++
	}
	b.low, b.high = append(b.low, l.lag.Seconds()), append(b.high, high)
	if len(b.low) == 1 || l.open && !b.worst.open || l.open == b.worst.open && l.lag > b.worst.lag {
		b.worst = l
	}
}

func (b *tierBounds) sort() {
	slices.Sort(b.low)
	slices.Sort(b.high)
}

// tierLags describes one phase's invalidation lag from inside, per tier that told.
func (a *aggregate) tierLags(p Phase) map[string]TierLag {
	by := map[string]*tierBounds{}
	for _, l := range a.inside {
		if a.times.of(l.committed) != p {
			continue
		}
		if by[l.tier] == nil {
			by[l.tier] = &tierBounds{}
		}
		by[l.tier].add(l)
	}
	out := map[string]TierLag{}
	for tier, b := range by {
		b.sort()
		n := len(b.high)
		out[tier] = TierLag{
			Commits: int64(n), Untold: int64(b.open),
			Tail: Tail{P99: rounded(b.high[min(int(0.99*float64(n)), n-1)]*1e3, 3), Max: rounded(b.high[n-1]*1e3, 3)},
		}
	}
	return out
}
