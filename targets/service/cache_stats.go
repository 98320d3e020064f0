package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/targets"
)

var (
	_ targets.CacheStatsReporter = (*Service)(nil)
	_ targets.EgressCounter      = (*Service)(nil)
)

// observe makes what counts the deeds of a region's caches.
func (s *Service) observe(region string) *metrics.Metrics {
	return metrics.New(metrics.Config{Region: region, Families: s.cfg.Spec.FamilyNames(), Tenants: s.cfg.Tenants})
}

// CacheStats implements [targets.CacheStatsReporter]. Caches of a design of their own may count nothing.
func (s *Service) CacheStats() (all []targets.CacheStats) {
	for _, r := range s.regions {
		if r.seen == nil {
			continue
		}
		c := r.seen.Counts()
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

// CrossRegionBytes implements [targets.EgressCounter]: what relays pull from those of other regions. All else of the service stays in its region, but
// for its one source, which is in none.
func (s *Service) CrossRegionBytes() (map[string]int64, string) {
	if s.cfg.Inside != nil && len(s.regions) > 1 {
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

// UsedMemory asks a Redis how many bytes it uses, and how many at most since it started. A server that does not tell is an
// [errors.ErrUnsupported].
func UsedMemory(ctx context.Context, c *goredis.Client) (used, peak int64, err error) {
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return 0, 0, untold(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var to *int64
		switch name {
		case "used_memory":
			to = &used
		case "used_memory_peak":
			to = &peak
		default:
			continue
		}
		if *to, err = strconv.ParseInt(value, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("reading %s of its INFO: %w", name, err)
		}
	}
	if used == 0 {
		return 0, 0, untold(nil)
	}
	return used, max(used, peak), nil
}

// untold says whether a server does not tell at all, or only not now.
func untold(err error) error {
	var answered goredis.Error
	if err != nil && !errors.As(err, &answered) {
		return err
	}
	if err != nil && (strings.HasPrefix(err.Error(), "LOADING") || strings.HasPrefix(err.Error(), "BUSY")) {
		return err
	}
	return fmt.Errorf("its INFO tells no used_memory: %w", errors.ErrUnsupported)
}
