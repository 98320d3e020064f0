package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// told adds up what caches counted between two moments. The zero value counted nothing.
type told struct {
	targets.CacheStats
	families, regions bool // it has words about some
}

// since gives what was counted after began of what ended tells.
func since(began, ended []targets.CacheStats) []targets.CacheStats {
	type place struct{ region, family, tenant string }
	before := map[place]targets.CacheStats{}
	for _, t := range began {
		before[place{t.Region, t.Family, t.Tenant}] = t
	}
	out := make([]targets.CacheStats, len(ended))
	for i, t := range ended {
		b := before[place{t.Region, t.Family, t.Tenant}]
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

func (s *told) add(t *targets.CacheStats) {
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

func (s *told) figures() *CacheFigures {
	reads := s.L1 + s.L2 + s.Source
	nothingAsked := reads == 0 && s.Loads == 0 && s.Checks == 0
	if nothingAsked {
		return nil // a cache that counts nothing, or had nothing to do
	}
	f := &CacheFigures{Reads: reads, HitRatio: HitRatio{L1: ratioOf(s.L1, reads), L2: ratioOf(s.L2, s.L2+s.Source)}}
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
			f.Flights = &Flights{Looks: n, Readers: int64(math.Round(s.Flights.Sum)), WidestAtMost: rounded(atMost(s.Flights, 1), 3)}
		}
		for via, h := range s.Lag {
			if n := total(h); n > 0 {
				if f.InvalidationLagMS == nil {
					f.InvalidationLagMS = map[string]OwnLag{}
				}
				f.InvalidationLagMS[via] = OwnLag{Count: n, Mean: rounded(h.Sum*1e3/float64(n), 3), P99AtMost: rounded(atMost(h, 0.99)*1e3, 3)}
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
	return inf
}

// ownFigures puts what the caches counted, and what of each region was used, into the rows of the breakdown, and gives the sum.
func (a *aggregate) ownFigures(rows []BreakdownRow, d *Drill) *CacheFigures {
	counted := since(d.Began, d.Ended)
	sum := func(fits func(*targets.CacheStats) bool) *CacheFigures {
		var all told
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
			a.usedBy(row, d)
		}
	}
	return sum(func(t *targets.CacheStats) bool { return t.Tenant == "" })
}

// usedBy says what was used in the region of a row.
func (a *aggregate) usedBy(row *BreakdownRow, d *Drill) {
	s := scope{agg: a, drill: d, phases: phasesOf(GroupAlways, false), labels: Labels{Region: row.Labels.Region}}
	if len(a.used.memory[s.labels.Region]) > 0 {
		if m := s.redisMemory(); m.known.Low >= 0 {
			most := int64(m.known.Low)
			row.RedisMemoryMaxBytes = &most
		}
	}
	if r, why := s.crossed(); why == "" {
		most := int64(r.High)
		row.CrossRegionBytes = &most
	}
}

// cacheLine says in short what the caches counted, leaving out what never happened; empty where they don't tell.
func cacheLine(c *CacheFigures) string {
	if c == nil {
		return ""
	}
	out := []string{fmt.Sprintf("%s reads", count(c.Reads))}
	if c.HitRatio.L1 != nil {
		out = append(out, "l1 "+percent(*c.HitRatio.L1))
	}
	if c.HitRatio.L2 != nil {
		out = append(out, "l2 "+percent(*c.HitRatio.L2)+" of the rest")
	}
	out = append(out, figure(c.SourceLoads, "loads"), figure(c.SourceChecks, "checks"))
	if len(c.StaleServes) > 0 {
		out = append(out, "stale served: "+listed(c.StaleServes, ""))
	}
	out = append(out, figure(c.LeaseWaits, "lease waits"), figure(c.BreakerOpenings, "breaker openings"), figure(c.BusGaps, "gaps of the bus"))
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" })
	return "the caches counted " + strings.Join(out, ", ")
}

// figure shows a number of what happened at all.
func figure(n *int64, what string) string {
	if n == nil || *n == 0 {
		return ""
	}
	return count(*n) + " " + what
}

// listed shows numbers by their words, in the order of the words: "12 refresh, 3 spare".
func listed(by map[string]int64, none string) string {
	var out []string
	for _, word := range slices.Sorted(maps.Keys(by)) {
		out = append(out, count(by[word])+" "+word)
	}
	if len(out) == 0 {
		return none
	}
	return strings.Join(out, ", ")
}
