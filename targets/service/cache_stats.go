package service

import (
	"maps"
	"slices"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/targets"
)

var (
	_ targets.CacheStatsReporter = (*Service)(nil)
	_ targets.EgressCounter      = (*Service)(nil)
)

// CacheStats implements [targets.CacheStatsReporter]. Caches of another [Design] may count nothing.
func (s *Service) CacheStats() (all []targets.CacheStats) {
	for _, r := range s.regions {
		if r.stats == nil {
			continue
		}
		c := r.stats.Counts()
		all = append(all, targets.CacheStats{Region: r.name, Flights: targets.Histogram(c.Flights), Lag: lags(c.Lag), Openings: c.Openings, Gaps: c.Gaps})
		for _, name := range slices.Sorted(maps.Keys(c.Families)) {
			f := c.Families[name]
			all = append(all, targets.CacheStats{Region: r.name, Family: name, L1: f.L1, L2: f.L2, Source: f.Source,
				HitTook: f.HitTook, MissTook: f.MissTook, Loads: f.Loads, Checks: f.Checks,
				Stale: words(f.Stale), LeaseWaits: f.LeaseWaits, Refreshes: words(f.Refreshes)})
		}
		for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
			if t := c.Tenants[name]; slices.Contains(s.cfg.Tenants, name) {
				all = append(all, targets.CacheStats{Region: r.name, Tenant: name, L1: t.L1, L2: t.L2, Source: t.Source})
			}
		}
	}
	return all
}

func lags(by map[reference.Path]metrics.Histogram) map[string]targets.Histogram {
	out := map[string]targets.Histogram{}
	for path, h := range by {
		out[string(path)] = targets.Histogram(h)
	}
	return out
}

func words[T ~string](by map[T]int64) map[string]int64 {
	out := map[string]int64{}
	for word, n := range by {
		out[string(word)] = n
	}
	return out
}

// CrossRegionBytes implements [targets.EgressCounter] with the bytes that relays pull from those of
// other regions. Nothing else crosses: the one source belongs to no region.
func (s *Service) CrossRegionBytes() (map[string]int64, string) {
	if s.cfg.InProcess != nil && len(s.regions) > 1 {
		return nil, "the relays call each other within the process: nothing is sent"
	}
	out := map[string]int64{}
	for _, r := range s.regions {
		out[r.name] = 0
		for _, p := range r.peers {
			out[r.name] += p.Bytes()
		}
	}
	return out, ""
}
