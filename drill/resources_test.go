package drill

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
)

const priced = `
version: 1
prices: {currency: EUR, per_million_requests: 0.4, per_million_source_loads: 2, per_gb_hour_redis_memory: 20, per_gb_cross_region: 10}
target:
  reference:
    regions: {eu: 1, us: 1}
    source: {service_time: 3ms, write_time: 1ms}
    families: {page: {class: bounded, within: 2s, ttl: 2s}}
workload: {rate: 300/s, mix: {page: {share: 100%, keys: 50, writes: 10%}}}
phases: {warmup: 300ms, steady: 600ms, fault: 700ms, recovery: 500ms}
slo:
  fault: ["redis_memory.max < 1TB", "redis_memory.max{region=us} > 1kB", "cross_region_bytes > 1kB"]
  always: ["redis_memory.max < 1kB", "cross_region_bytes < 1MB", "cross_region_bytes < 1kB", "cost_per_million < 100", "cost_per_million > 1"]
scenarios:
  restart: {faults: [{redis.restart: {region: eu, down: 200ms}}]}
`

func drilled(t *testing.T, backend redis.Backend) (report.Drill, map[string]report.SLO) {
	t.Helper()
	suite, err := scenarios.Parse("priced", []byte(priced))
	require.NoError(t, err)
	res, err := RunIn(t.Context(), suite.Scenarios[0], environment.New, environment.Options{Policy: suite.Policies["recommended"], Backend: backend, Seed: 1}, Options{Policy: "recommended", Seed: 1})
	require.NoError(t, err)
	rows := map[string]report.SLO{}
	for _, o := range res.Scenario.SLOs {
		rows[string(o.Phase)+": "+o.Expr] = o
	}
	return res.Scenario, rows
}

func TestWhatADrillUsesIsJudged(t *testing.T) {
	t.Parallel()
	if _, _, err := redis.Resolve(string(redis.Process)); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	s, rows := drilled(t, redis.Process)
	for expr, want := range map[string]slo.Outcome{
		"fault: redis_memory.max < 1TB":            slo.Pass,
		"fault: redis_memory.max{region=us} > 1kB": slo.Pass,
		"fault: cross_region_bytes > 1kB":          slo.Pass,
		"always: redis_memory.max < 1kB":           slo.Fail,
		"always: cross_region_bytes < 1MB":         slo.Pass,
		"always: cross_region_bytes < 1kB":         slo.Fail,
		"always: cost_per_million < 100":           slo.Pass,
		"always: cost_per_million > 1":             slo.Pass,
	} {
		require.Equal(t, want, rows[expr].Outcome, "%s: %+v", expr, rows[expr])
	}
	require.NotNil(t, s.Cost)
	sum := 0.0
	for reason, v := range s.Cost.By {
		require.Positive(t, v, reason)
		sum += v
	}
	require.Len(t, s.Cost.By, 4)
	require.InDelta(t, s.Cost.PerMillion, sum, 1e-6)
	regions := 0
	for _, r := range s.Breakdown {
		if r.Labels.Region != "" {
			regions++
			require.Greater(t, *r.RedisMemoryMaxBytes, int64(100_000), "an empty server has that much")
			require.Positive(t, *r.CrossRegionBytes)
			require.Positive(t, r.Cache.Reads)
		}
	}
	require.Equal(t, 2, regions)
	require.Positive(t, *s.Cache.SourceLoads)
}

// The embedded Redis does not tell its memory: what depends on it is unknown, and says so.
func TestMemoryThatIsNotToldIsUnknown(t *testing.T) {
	t.Parallel()
	s, rows := drilled(t, redis.Embedded)
	for expr, o := range rows {
		switch o.Expr {
		case "redis_memory.max < 1TB", "redis_memory.max < 1kB", "redis_memory.max{region=us} > 1kB", "cost_per_million < 100":
			require.Equal(t, slo.Unknown, o.Outcome, expr)
			require.Contains(t, o.Why, "has no used_memory", expr)
		case "cross_region_bytes > 1kB":
			require.Equal(t, slo.Pass, o.Outcome, "%+v", o)
		}
	}
	require.Nil(t, s.Cost)
	for _, r := range s.Breakdown {
		require.Nil(t, r.RedisMemoryMaxBytes)
	}
}
