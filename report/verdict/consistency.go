package verdict

import (
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
)

// windows is the ladder over which a report shows how many writes were consistent.
var windows = []time.Duration{
	0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// consistency gives for each window how many superseding writes of the whole drill were read stale
// by no client after it, up to the first window that holds them all. It is nil when no read could
// have shown a stale one.
func consistency(f *oracle.Findings) []report.Consistency {
	lags := sortedLags(f)
	var out []report.Consistency
	for _, w := range windows {
		if len(lags) == 0 {
			break
		}
		n := int64(len(lags))
		within, _ := slices.BinarySearchFunc(lags, w+1, func(l, w time.Duration) int { return int(l - w) })
		kept := int64(within)
		out = append(out, report.Consistency{
			WithinMS: millis(w), Writes: n, Consistent: kept, Share: *rounded(float64(kept)/float64(n), 6), Nines: nines(n-kept, n),
		})
		if kept == n {
			break
		}
	}
	return out
}

// nines is the largest k for which at most a 10^-k part of n was bad. All good counts as many as n
// can show: 1,000 writes without a bad one show three.
func nines(bad, n int64) int {
	k := 0
	for part := max(bad, 1) * 10; part <= n; part *= 10 {
		k++
	}
	return k
}

// consistentWithin gives the window within which 90%, 99%, ... of the writes were consistent, as
// far as there are enough of them for one to be left over.
func consistentWithin(f *oracle.Findings) []report.ConsistentWithin {
	lags := sortedLags(f)
	n := len(lags)
	var out []report.ConsistentWithin
	share := 0.9
	for part := 10; part <= n && part <= 100_000; part *= 10 {
		bad := n / part // that many may be later
		out = append(out, report.ConsistentWithin{Share: share, WithinMS: millis(lags[n-1-bad])})
		share = 1 - 1/float64(part*10)
	}
	return out
}

func sortedLags(f *oracle.Findings) []time.Duration {
	if f.Opportunities["stale"] == 0 {
		return nil
	}
	out := make([]time.Duration, len(f.Lags))
	for i, l := range f.Lags {
		out[i] = l.Lag
	}
	slices.Sort(out)
	return out
}
