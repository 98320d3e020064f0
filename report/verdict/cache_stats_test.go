package verdict

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/targets"
)

// counted is what two regions with a family each, and a tenant, had counted after n rounds of the
// same.
func counted(n int64) []targets.CacheStats {
	bounds := []float64{.001, .01, math.Inf(1)}
	return []targets.CacheStats{
		{Region: "eu", Flights: targets.Histogram{Upper: []float64{1, 2, math.Inf(1)}, Counts: []int64{3 * n, n, 0}, Sum: float64(5 * n)},
			Lag:      map[string]targets.Histogram{"bus": {Upper: bounds, Counts: []int64{98 * n, n, n}, Sum: float64(n) / 2}},
			Openings: n, Gaps: 2 * n},
		{Region: "eu", Family: "product", L1: 80 * n, L2: 15 * n, Source: 5 * n, HitTook: time.Duration(n) * 95 * ms, MissTook: time.Duration(n) * 50 * ms,
			Loads: 6 * n, Checks: 7 * n, Stale: map[string]int64{"refresh": 4 * n, "spare": 0}, LeaseWaits: 3 * n, Refreshes: map[string]int64{"ok": 2 * n}},
		{Region: "us", Family: "product", L1: 20 * n, Loads: n},
		{Region: "us"},
		{Region: "eu", Tenant: "t1", L1: 9 * n, Source: n},
	}
}

func TestWhatCachesCountedBelongsToItsRows(t *testing.T) {
	f := newFeed(t)
	f.Mark(measure.Steady, 0)
	f.ops(0, time.Second, 100, func(i int, op *targets.Operation) {
		op.Region = []string{"eu", "us"}[i%2]
		if i%10 == 0 {
			op.Kind = targets.Write
		}
	})
	f.Memory(targets.Memory{Region: "eu", At: 500 * ms, Used: 5 * mb, Peak: 6 * mb})
	f.Finish(oracle.Findings{}, time.Second)
	s := Evaluate(f.Recorder, Input{Resources: Resources{Began: counted(10), Ended: counted(12), CrossRegionUnavailable: "no"}})
	rows := map[string]*report.BreakdownRow{}
	for i := range s.Breakdown {
		r := &s.Breakdown[i]
		rows[r.Labels.Family+r.Labels.Kind+r.Labels.Region+r.Labels.Tier+r.Labels.Tenant] = r
	}
	two := func(v int64) *int64 { v *= 2; return &v }
	product := rows["productread"].Cache
	require.Equal(t, &report.CacheFigures{Reads: 240, HitRatio: report.HitRatio{L1: num(rounded6(100. / 120)), L2: num(0.75)}, MissPenaltyMS: num(10 - 0.826),
		SourceLoads: two(7), SourceChecks: two(7), StaleServes: map[string]int64{"refresh": 8}, LeaseWaits: two(3), Refreshes: map[string]int64{"ok": 4}}, product)
	require.Nil(t, rows["productwrite"].Cache)
	require.Nil(t, rows["l1"].Cache)
	require.Equal(t, &report.CacheFigures{Reads: 20, HitRatio: report.HitRatio{L1: num(0.9), L2: num(0)}}, rows["t1"].Cache)
	eu, us := rows["eu"].Cache, rows["us"].Cache
	require.EqualValues(t, 200, eu.Reads)
	require.Equal(t, &report.Flights{Looks: 8, Readers: 10, WidestAtMost: num(2)}, eu.Flights)
	require.Equal(t, map[string]report.OwnLag{"bus": {Count: 200, Mean: num(5), P99AtMost: num(10)}}, eu.InvalidationLagMS)
	require.Equal(t, two(1), eu.BreakerOpenings)
	require.Equal(t, two(2), eu.BusGaps)
	require.EqualValues(t, 40, us.Reads)
	require.Nil(t, us.Flights)
	require.Nil(t, us.HitRatio.L2, "nothing came to it")
	require.EqualValues(t, 240, s.Cache.Reads, "tenants are no reads of their own")
	require.Equal(t, two(1), s.Cache.BreakerOpenings)
	require.EqualValues(t, 5*mb, *rows["eu"].RedisMemoryMaxBytes)
	require.Nil(t, rows["us"].RedisMemoryMaxBytes)
	require.Nil(t, rows["eu"].CrossRegionBytes)
}

func rounded6(v float64) float64 { return *rounded(v, 6) }

func TestCachesThatCountNothingHaveNoFigures(t *testing.T) {
	f := newFeed(t)
	f.Mark(measure.Steady, 0)
	f.ops(0, time.Second, 100, nil)
	f.Finish(oracle.Findings{}, time.Second)
	for _, counts := range [][]targets.CacheStats{nil, counted(10)} {
		s := Evaluate(f.Recorder, Input{Resources: Resources{Began: counts, Ended: counts}})
		require.Nil(t, s.Cache)
		for _, r := range s.Breakdown {
			require.Nil(t, r.Cache)
		}
	}
}

func TestABoundAboveEveryBucketIsNone(t *testing.T) {
	h := targets.Histogram{Upper: []float64{1, math.Inf(1)}, Counts: []int64{1, 1}}
	require.Equal(t, 1., atMost(h, 0.5))
	require.Nil(t, rounded(atMost(h, 0.99), 3))
}
