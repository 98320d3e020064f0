package verdict

import (
	"maps"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// cacheSum adds up what caches counted between two moments. The zero value counted nothing.
type cacheSum struct {
	targets.CacheStats
	families, regions bool // it has counts of some
}

// since gives what was counted between two readings of the same counters.
func since(began, ended []targets.CacheStats) []targets.CacheStats {
	type part struct{ region, family, tenant string }
	before := map[part]targets.CacheStats{}
	for _, t := range began {
		before[part{t.Region, t.Family, t.Tenant}] = t
	}
	out := make([]targets.CacheStats, len(ended))
	for i, t := range ended {
		b := before[part{t.Region, t.Family, t.Tenant}]
		t.L1, t.L2, t.Source = t.L1-b.L1, t.L2-b.L2, t.Source-b.Source
		t.HitTook, t.MissTook = t.HitTook-b.HitTook, t.MissTook-b.MissTook
		t.Loads, t.Checks, t.LeaseWaits = t.Loads-b.Loads, t.Checks-b.Checks, t.LeaseWaits-b.LeaseWaits
		t.Openings, t.Gaps = t.Openings-b.Openings, t.Gaps-b.Gaps
		t.Stale, t.Refreshes = added(t.Stale, b.Stale, -1), added(t.Refreshes, b.Refreshes, -1)
		t.Flights = addedHistogram(t.Flights, b.Flights, -1)
		t.Lag = addedHistograms(t.Lag, b.Lag, -1)
		out[i] = t
	}
	return out
}

func (s *cacheSum) add(t *targets.CacheStats) {
	s.families = s.families || t.Family != ""
	s.regions = s.regions || t.Family == "" && t.Tenant == ""
	s.L1, s.L2, s.Source = s.L1+t.L1, s.L2+t.L2, s.Source+t.Source
	s.HitTook, s.MissTook = s.HitTook+t.HitTook, s.MissTook+t.MissTook
	s.Loads, s.Checks, s.LeaseWaits = s.Loads+t.Loads, s.Checks+t.Checks, s.LeaseWaits+t.LeaseWaits
	s.Openings, s.Gaps = s.Openings+t.Openings, s.Gaps+t.Gaps
	s.Stale, s.Refreshes = added(s.Stale, t.Stale, 1), added(s.Refreshes, t.Refreshes, 1)
	s.Flights = addedHistogram(s.Flights, t.Flights, 1)
	s.Lag = addedHistograms(s.Lag, t.Lag, 1)
}

func added(a, b map[string]int64, sign int64) map[string]int64 {
	if a == nil && b == nil {
		return nil
	}
	out := copied(a)
	for k, n := range b {
		out[k] += sign * n
	}
	return out
}

func addedHistograms(a, b map[string]targets.Histogram, sign int64) map[string]targets.Histogram {
	if a == nil && b == nil {
		return nil
	}
	out := map[string]targets.Histogram{}
	maps.Copy(out, a)
	for k, h := range b {
		out[k] = addedHistogram(out[k], h, sign)
	}
	return out
}

// addedHistogram takes both to have the same buckets, as one target's have, or none.
func addedHistogram(a, b targets.Histogram, sign int64) targets.Histogram {
	if len(b.Counts) == 0 {
		return a
	}
	out := targets.Histogram{Upper: b.Upper, Counts: make([]int64, len(b.Counts)), Sum: a.Sum + float64(sign)*b.Sum}
	copy(out.Counts, a.Counts)
	for i, n := range b.Counts {
		out.Counts[i] += sign * n
	}
	return out
}

func (s *cacheSum) figures() *report.CacheFigures {
	reads := s.L1 + s.L2 + s.Source
	nothingAsked := reads == 0 && s.Loads == 0 && s.Checks == 0
	if nothingAsked {
		return nil // a cache that counts nothing, or had nothing to do
	}
	f := &report.CacheFigures{Reads: reads, HitRatio: report.HitRatio{L1: ratioOf(s.L1, reads), L2: ratioOf(s.L2, s.L2+s.Source)}}
	if s.families {
		f.SourceLoads, f.SourceChecks, f.LeaseWaits = &s.Loads, &s.Checks, &s.LeaseWaits
		f.StaleServes, f.Refreshes = some(s.Stale), some(s.Refreshes)
		if hits := s.L1 + s.L2; hits > 0 && s.Source > 0 {
			mean := func(d time.Duration, n int64) float64 { return d.Seconds() * 1e3 / float64(n) }
			f.MissPenaltyMS = rounded(mean(s.MissTook, s.Source)-mean(s.HitTook, hits), 3)
		}
	}
	if s.regions {
		f.BreakerOpenings, f.BusGaps = &s.Openings, &s.Gaps
		if n := total(s.Flights); n > 0 {
			f.Flights = &report.Flights{Looks: n, Readers: int64(math.Round(s.Flights.Sum)), WidestAtMost: rounded(atMost(s.Flights, 1), 3)}
		}
		for via, h := range s.Lag {
			if n := total(h); n > 0 {
				if f.InvalidationLagMS == nil {
					f.InvalidationLagMS = map[string]report.OwnLag{}
				}
				f.InvalidationLagMS[via] = report.OwnLag{Count: n, Mean: rounded(h.Sum*1e3/float64(n), 3), P99AtMost: rounded(atMost(h, 0.99)*1e3, 3)}
			}
		}
	}
	return f
}

// some leaves out what did not happen.
func some(by map[string]int64) map[string]int64 {
	out := maps.Clone(by)
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

func total(h targets.Histogram) (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// atMost is a bound that a share of the values don't exceed.
func atMost(h targets.Histogram, share float64) float64 {
	need := int64(math.Ceil(share * float64(total(h))))
	for i, c := range h.Counts {
		if need -= c; need <= 0 {
			return h.Upper[i]
		}
	}
	return math.Inf(1)
}

// cacheFigures puts what the caches counted, and what of each region was used, into the rows of the
// breakdown, and gives the sum.
func cacheFigures(r *measure.Results, rows []report.BreakdownRow, used Resources) *report.CacheFigures {
	counted := since(used.Began, used.Ended)
	sum := func(fits func(*targets.CacheStats) bool) *report.CacheFigures {
		var all cacheSum
		for i := range counted {
			if t := &counted[i]; fits(t) {
				all.add(t)
			}
		}
		return all.figures()
	}
	for i := range rows {
		row := &rows[i]
		switch l := row.Labels; {
		case l.Family != "" && l.Kind == targets.Read.String():
			row.Cache = sum(func(t *targets.CacheStats) bool { return t.Family == l.Family })
		case l.Tenant != "":
			row.Cache = sum(func(t *targets.CacheStats) bool { return t.Tenant == l.Tenant })
		case l.Region != "":
			row.Cache = sum(func(t *targets.CacheStats) bool { return t.Region == l.Region && t.Tenant == "" })
			usedBy(row, r.Region(l.Region))
		}
	}
	return sum(func(t *targets.CacheStats) bool { return t.Tenant == "" })
}

// usedBy puts what was used in the region of a row into it.
func usedBy(row *report.BreakdownRow, m slo.Measurements) {
	if memory := m.Used(slo.RedisMemory); memory.Missing == "" {
		most := int64(memory.Known.Low)
		row.RedisMemoryMaxBytes = &most
	}
	if crossed := m.Used(slo.CrossRegion); crossed.Missing == "" {
		most := int64(crossed.Known.High)
		row.CrossRegionBytes = &most
	}
}

// copied is never nil, so that JSON shows {} and not null.
func copied(m map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	maps.Copy(out, m)
	return out
}
