package verdict

import (
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
)

func lagged(lags ...time.Duration) *oracle.Findings {
	f := &oracle.Findings{Opportunities: map[string]int{"stale": 1}}
	for i, l := range lags {
		f.Lags = append(f.Lags, oracle.Lag{Family: unique.Make("product"), Region: unique.Make("eu"), Committed: time.Duration(i) * ms, Lag: l})
	}
	return f
}

// many gives n lags, of which the last few are late.
func many(n, late int, by time.Duration) *oracle.Findings {
	lags := make([]time.Duration, n)
	for i := range late {
		lags[n-1-i] = by
	}
	return lagged(lags...)
}

func TestNines(t *testing.T) {
	for _, c := range []struct {
		bad, n int64
		want   int
	}{
		{0, 1, 0}, {0, 9, 0}, {0, 10, 1}, {0, 99, 1}, {0, 1000, 3}, {1, 1000, 3}, {2, 1000, 2}, {10, 1000, 2}, {11, 1000, 1},
		{100, 1000, 1}, {101, 1000, 0}, {1000, 1000, 0}, {1, 1_000_000, 6},
	} {
		require.Equal(t, c.want, nines(c.bad, c.n), "%d of %d", c.bad, c.n)
	}
}

// at is what a thousand writes show of one window.
func at(within float64, consistent int64, share float64, nines int) report.Consistency {
	return report.Consistency{WithinMS: within, Writes: 1000, Consistent: consistent, Share: share, Nines: nines}
}

func TestConsistency(t *testing.T) {
	blind := many(100, 0, 0)
	blind.Opportunities = nil
	require.Empty(t, consistency(blind), "no read could have seen a stale one")
	require.Empty(t, consistentWithin(blind))
	none := lagged()
	require.Empty(t, consistency(none))

	good := many(1000, 0, 0)
	require.Equal(t, []report.Consistency{at(0, 1000, 1, 3)}, consistency(good))
	f := many(1000, 5, 70*ms)
	f.Lags[0].Lag = 10 * ms // a window holds what is as long as itself
	require.Equal(t, []report.Consistency{
		at(0, 994, 0.994, 2), at(1, 994, 0.994, 2), at(10, 995, 0.995, 2), at(50, 995, 0.995, 2), at(100, 1000, 1, 3),
	}, consistency(f))
	require.Equal(t, []report.ConsistentWithin{{Share: 0.9, WithinMS: 0}, {Share: 0.99, WithinMS: 0}, {Share: 0.999, WithinMS: 70}}, consistentWithin(f))
}

// Of every share that is claimed, that share at least lies within the window, and not within any
// shorter one.
func TestConsistentWithinIsTheShortestWindow(t *testing.T) {
	for _, n := range []int{1, 9, 10, 11, 99, 100, 101, 999, 1000, 1234} {
		lags := make([]time.Duration, n)
		for i := range lags {
			lags[i] = time.Duration((i*7919)%n) * ms
		}
		f := lagged(lags...)
		for _, c := range consistentWithin(f) {
			within := func(ms float64) (k int) {
				for _, l := range lags {
					if millis(l) <= ms {
						k++
					}
				}
				return k
			}
			require.GreaterOrEqual(t, float64(within(c.WithinMS)), c.Share*float64(n)-1e-6, "%d: %+v", n, c)
			require.Less(t, float64(within(c.WithinMS-1)), c.Share*float64(n), "%d: %+v", n, c)
		}
	}
}
