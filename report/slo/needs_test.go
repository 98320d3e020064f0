package slo

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bounds hold in 95 of 100 repetitions, each way.
func TestShareBoundsCover(t *testing.T) {
	const seed, repeats = 7, 2000
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, truth := range []float64{0.001, 0.02, 0.5} {
		for _, n := range []int64{50, 400} {
			over, under := 0, 0
			for range repeats {
				k := int64(0)
				for range n {
					if rnd.Float64() < truth {
						k++
					}
				}
				r := shareBounds(k, n)
				if r.Low > truth {
					over++
				}
				if r.High < truth {
					under++
				}
			}
			// 5% of 2,000 is 100, with a standard deviation of 10.
			require.Less(t, over, 140, "seed %d, %g of %d", seed, truth, n)
			require.Less(t, under, 140, "seed %d, %g of %d", seed, truth, n)
		}
	}
	require.Equal(t, Range{0, 1 - 0.05}, Range{0, shareBounds(0, 1).High})
	require.InDelta(t, 0.05, shareBounds(1, 1).Low, 1e-9)
	require.Equal(t, 1.0, shareBounds(1, 1).High)
}

func TestNeeds(t *testing.T) {
	for expr, want := range map[string]struct {
		least int64
		of    Sample
	}{
		"p50 < 1s": {5, SampleOperation}, "p95 < 1s": {59, SampleOperation}, "p99 < 1s": {299, SampleOperation}, "p999 <= 1s": {2995, SampleOperation},
		"p99 > 1s": {1, SampleOperation}, "p50 > 1s": {5, SampleOperation}, "max < 1s": {1, SampleOperation}, "errors < 1%": {1, SampleOperation},
		"staleness.p99 < 1s": {299, SampleRead}, "stale < 1%": {1, SampleRead}, "source_qps.peak < 9/s": {1, SampleRead},
		"invalidation_lag.p99 < 1s": {299, SampleCommit}, "invalidation_lag.p999{tier=l1} < 1s": {2995, SampleCommit}, "invalidation_lag.max < 1s": {1, SampleCommit},
		"budget_burn.999 < 1x": {2995, SampleOperation}, "budget_burn.99 < 1x": {299, SampleOperation}, "budget_burn.999 < 14.4x": {207, SampleOperation},
		"budget_burn.99 > 1x": {1, SampleOperation}, "budget_burn.99 < 100x": {1, SampleOperation}, "budget_burn.99 < 0x": {1, SampleOperation},
		"lost_writes == 0": {0, SampleNone}, "recovery_time < 1s": {0, SampleNone},
	} {
		least, of := parsed(t, expr).LeastSamples(), parsed(t, expr).Definition().Needs.Samples
		require.Equal(t, want.least, least, expr)
		require.Equal(t, want.of, of, expr)
	}
}
