package report

import (
	"bytes"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"
)

func lagged(lags ...time.Duration) findings {
	f := findings{opportunities: map[string]int64{"stale": 1}}
	for i, l := range lags {
		f.lags = append(f.lags, lag{unique.Make("product"), unique.Make("eu"), time.Duration(i) * ms, l})
	}
	return f
}

// many gives n lags, of which the last few are late.
func many(n, late int, by time.Duration) findings {
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

func TestConsistency(t *testing.T) {
	blind := many(100, 0, 0)
	blind.opportunities = nil
	require.Empty(t, blind.consistency(), "no read could have seen a stale one")
	require.Empty(t, blind.consistentWithin())
	none := lagged()
	require.Empty(t, none.consistency())

	good := many(1000, 0, 0)
	require.Equal(t, []Consistency{{0, 1000, 1000, 1, 3}}, good.consistency())
	f := many(1000, 5, 70*ms)
	f.lags[0].lag = 10 * ms // a window holds what is as long as itself
	require.Equal(t, []Consistency{
		{0, 1000, 994, 0.994, 2}, {1, 1000, 994, 0.994, 2}, {10, 1000, 995, 0.995, 2}, {50, 1000, 995, 0.995, 2}, {100, 1000, 1000, 1, 3},
	}, f.consistency())
	require.Equal(t, []ConsistentWithin{{0.9, 0}, {0.99, 0}, {0.999, 70}}, f.consistentWithin())
}

// Of every share that is claimed, that share at least lies within the window, and not within any shorter one.
func TestConsistentWithinIsTheShortestWindow(t *testing.T) {
	for _, n := range []int{1, 9, 10, 11, 99, 100, 101, 999, 1000, 1234} {
		lags := make([]time.Duration, n)
		for i := range lags {
			lags[i] = time.Duration((i*7919)%n) * ms
		}
		f := lagged(lags...)
		for _, c := range f.consistentWithin() {
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

func TestNinesAreShownOfFailedDrills(t *testing.T) {
	const line = "of 1,000 writes as readers saw them, consistent: 90% within 0s, 99% within 0s, 99.9% within 70ms"
	for outcome, lags := range map[Outcome]findings{Fail: many(1000, 5, 70*ms), Pass: many(1000, 5, 70*ms), Unknown: many(1000, 5, 70*ms)} {
		s := Scenario{Name: "x", Outcome: outcome, Consistency: lags.consistency(), ConsistentWithin: lags.consistentWithin()}
		r := Report{Outcome: outcome, Scenarios: []Scenario{s}}
		var text, md bytes.Buffer
		require.NoError(t, Text(&text, r, TextOptions{}))
		require.NoError(t, Markdown(&md, r))
		require.Equal(t, outcome == Fail, bytes.Contains(text.Bytes(), []byte(line)), text.String())
		require.Equal(t, outcome == Fail, bytes.Contains(md.Bytes(), []byte(line)), md.String())
	}
	atOnce := many(1000, 0, 0)
	require.Empty(t, consistencyLine(Scenario{Outcome: Fail, Consistency: atOnce.consistency(), ConsistentWithin: atOnce.consistentWithin()}))
}
