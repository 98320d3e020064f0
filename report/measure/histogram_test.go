package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
)

// The histogram loses resolution, never correctness: its bounds contain the order statistics.
func TestHistogramBoundsContainTheOrderStatistics(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		n := 1 + rng.IntN(2000)
		h := newHistogram(fine)
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(math.Exp(rng.Float64()*24) * 5) // 5 ns to 130 s
			h.record(all[i])
		}
		slices.Sort(all)
		for _, k := range []int{1, 1 + n/2, n} {
			from, to := h.atRank(int64(k))
			v := all[k-1]
			require.LessOrEqual(t, from, min(v, longest))
			require.GreaterOrEqual(t, to, min(v, longest))
		}
		require.Equal(t, all[n-1], h.most)
	}
}

func TestBeyondTheHistogramTheUpperBoundIsOpen(t *testing.T) {
	h := newHistogram(fine)
	for range 1000 {
		h.record(time.Hour)
	}
	r := h.Bounds(0.99)
	require.Equal(t, slo.Fail, r.Decide(slo.Less, 100))
	require.Equal(t, slo.Unknown, r.Decide(slo.Less, 1000), "it may be any time above two minutes")
	require.EqualValues(t, 1000, h.clipped)
	require.Equal(t, time.Hour, h.most)
}
