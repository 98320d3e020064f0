package history

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// low and high, kept up by walking, equal the maximum and minimum that define them, in whichever
// order things are learned.
func TestBoundsEqualTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Versions
		type stamp struct {
			n  uint64
			at time.Duration
		}
		var sent, seenAt []stamp
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.Uint64Range(1, 12).Draw(t, "version")
			at := time.Duration(rapid.IntRange(0, 30).Draw(t, "at"))
			i, _ := h.Put(n)
			if rapid.Bool().Draw(t, "evidence") {
				h.By(i, at, Proof(rapid.IntRange(0, 2).Draw(t, "how")))
				seenAt = append(seenAt, stamp{n, at})
			} else {
				h.NotBefore(i, at)
				sent = append(sent, stamp{n, at})
			}
		}
		require.True(t, slices.IsSortedFunc(h.All, func(a, b Version) int { return cmp.Compare(a.N, b.N) }))
		for i, v := range h.All {
			low, high := Before, Never
			for _, s := range sent {
				if s.n <= v.N {
					low = max(low, s.at)
				}
			}
			for _, e := range seenAt {
				if e.n >= v.N {
					high = min(high, e.at)
				}
			}
			require.Equal(t, [2]time.Duration{low, high}, [2]time.Duration{v.Low, v.High}, "v%d", v.N)
			at, ok := h.Find(v.N)
			require.Equal(t, i, at)
			require.True(t, ok)
		}
		for n := range uint64(14) {
			require.Equal(t, slices.IndexFunc(append(slices.Clone(h.All), Version{N: 99}), func(v Version) bool { return v.N > n }), h.After(n))
		}
		for at := time.Duration(-1); at < 32; at++ {
			last := -1
			for i, v := range h.All {
				if v.High < at {
					last = i
				}
			}
			require.Equal(t, last, h.SupersededBy(at))
		}
	})
}

// The oldest operation in flight is right whatever begins and ends when.
func TestFlightKnowsTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Inflight
		live := map[uint64]time.Duration{}
		oldest := func() time.Duration {
			least := Never
			for _, sent := range live {
				least = min(least, sent)
			}
			return least
		}
		for seq := range uint64(rapid.IntRange(1, 300).Draw(t, "steps")) {
			if rapid.IntRange(0, 2).Draw(t, "begin") > 0 {
				live[seq] = time.Duration(seq) + time.Duration(rapid.IntRange(0, 5).Draw(t, "jitter"))
				f.Add(live[seq], seq)
			} else if len(live) > 0 {
				seqs := make([]uint64, 0, len(live))
				for s := range live {
					seqs = append(seqs, s)
				}
				slices.Sort(seqs)
				s := rapid.SampledFrom(seqs).Draw(t, "end")
				was := oldest()
				sent := live[s]
				delete(live, s)
				moved := f.Remove(sent, s)
				require.True(t, moved || oldest() == was)
				require.False(t, f.Remove(sent, s), "twice")
			}
			require.Equal(t, oldest(), f.Oldest())
		}
		require.LessOrEqual(t, len(f.ops), 2*len(live)+66, "ended operations are forgotten")
	})
}
