package virtual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

const quietly = `
version: 1
target:
  reference:
    regions: {eu: 2, us: 2}
    source: {servers: 20, service_time: 5ms, write_time: 2ms}
    families:
      page: {class: bounded, within: 1s, ttl: 1s, vary: [tenant]}
      price: {class: strong, ttl: 30s, service_time: 2ms, vary: [tenant]}
workload:
  rate: 1000/s
  tenants: 2
  mix:
    page:  {share: 60%, keys: 60, zipf: 1, writes: 5%}
    price: {share: 40%, keys: 20, writes: 5%}
phases: {warmup: 500ms, steady: 1s, fault: 1s, recovery: 2s}
slo: {always: ["source_qps.mean{family=page} > 0/s"]}
scenarios:
  quiet:
    faults: [{sham: {for: 500ms}}]
`

// What the caches count and what the harness sees are two ways to the same figures. A read that is
// under way at a boundary may be counted on either side of it: it belongs to the drill by when it
// was due, and to the cache by when it ended.
func TestCachesCountWhatTheHarnessSees(t *testing.T) {
	suite, err := scenarios.Parse("quietly", []byte(quietly))
	require.NoError(t, err)
	s := drilled(t, suite.Scenarios[0], suite.Policies["recommended"], 7, false)
	const atBoundaries = 2 * 20 // operations that may be under way at two boundaries, at 1,000/s and 20 ms each
	seen, byTier := map[string]int{}, map[string]int64{}
	for _, r := range s.Breakdown {
		l := r.Labels
		if l.Tier != "" {
			byTier[l.Tier] = r.Requests
		}
		if l.Tier != "" || l.Kind != "" && l.Kind != "read" {
			require.Nil(t, r.Cache)
			continue
		}
		c := r.Cache
		require.NotNil(t, c, "%+v", l)
		if l.Kind == "read" {
			require.InDelta(t, r.Requests, c.Reads, atBoundaries, "%+v", l)
		}
		all := 1 - (1-*c.HitRatio.L1)*(1-*c.HitRatio.L2)
		require.InDelta(t, *r.HitRatio, all, atBoundaries/float64(c.Reads), "%+v: l1 %v, l2 %v", l, *c.HitRatio.L1, *c.HitRatio.L2)
		require.Greater(t, all, 0.5)
		require.Less(t, all, 1.)
		switch {
		case l.Family != "":
			seen["family"]++
		case l.Tenant != "":
			seen["tenant"]++
		default:
			seen["region"]++
			require.Positive(t, c.InvalidationLagMS["relay"].Count)
			require.Positive(t, c.InvalidationLagMS["bus"].Count)
		}
	}
	require.Equal(t, map[string]int{"family": 2, "tenant": 2, "region": 2}, seen)

	l1 := *s.Cache.HitRatio.L1 * float64(s.Cache.Reads)
	l2 := *s.Cache.HitRatio.L2 * (float64(s.Cache.Reads) - l1)
	require.InDelta(t, byTier["l1"], l1, atBoundaries)
	require.InDelta(t, byTier["l2"], l2, atBoundaries)
	require.InDelta(t, byTier["source"], float64(s.Cache.Reads)-l1-l2, atBoundaries)
	require.NotEqual(t, byTier["l1"], byTier["l2"])

	// Loads are counted at the source when they arrive, and by the caches when they have ended.
	arrived := 0.0
	for _, p := range s.Phases {
		if p.Name == "steady" || p.Name == "fault" || p.Name == "recovery" {
			arrived += *p.SourceQPS.Mean * (p.EndS - p.StartS)
		}
	}
	require.InDelta(t, arrived, *s.Cache.SourceLoads+*s.Cache.SourceChecks, atBoundaries)
	require.Greater(t, arrived, 10.*atBoundaries, "there is something to compare")
	require.Zero(t, *s.Cache.BreakerOpenings)
	require.Greater(t, *s.Cache.MissPenaltyMS, 0.)
	for _, p := range s.Phases {
		if p.Name == "recovery" {
			require.InDelta(t, *p.MissPenaltyMS, *s.Cache.MissPenaltyMS, 3)
		}
	}
}

// A place within the process has no Redis, and nothing to send: that is unknown, and no zero.
func TestNothingTellsWhatAPlaceInMemoryUses(t *testing.T) {
	suite, err := scenarios.Parse("quietly", []byte(quietly+`    slo: {always: [redis_memory.max < 1TB, cross_region_bytes < 1TB]}
`))
	require.NoError(t, err)
	s := drilled(t, suite.Scenarios[0], suite.Policies["recommended"], 7, false)
	for _, o := range s.SLOs {
		switch o.Expr {
		case "redis_memory.max < 1TB":
			require.Equal(t, slo.Unknown, o.Outcome)
			require.Contains(t, o.Why, "nothing here tells")
		case "cross_region_bytes < 1TB":
			require.Equal(t, slo.Unknown, o.Outcome)
			require.Contains(t, o.Why, "within the process")
		}
	}
	require.Equal(t, slo.Unknown, s.Outcome)
	require.Nil(t, s.Cost)
}
