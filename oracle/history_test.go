package oracle

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/targets"
)

// low and high, kept up by walking, equal the maximum and minimum that define them, in whichever order things are told.
func TestBoundsEqualTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		type told struct {
			n  uint64
			at time.Duration
		}
		var sent, seenAt []told
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.Uint64Range(1, 12).Draw(t, "version")
			at := time.Duration(rapid.IntRange(0, 30).Draw(t, "at"))
			i, _ := h.put(n)
			if rapid.Bool().Draw(t, "evidence") {
				h.by(i, at, proof(rapid.IntRange(0, 2).Draw(t, "how")))
				seenAt = append(seenAt, told{n, at})
			} else {
				h.notBefore(i, at)
				sent = append(sent, told{n, at})
			}
		}
		require.True(t, slices.IsSortedFunc(h.versions, func(a, b version) int { return cmp.Compare(a.n, b.n) }))
		for i, v := range h.versions {
			low, high := before, never
			for _, s := range sent {
				if s.n <= v.n {
					low = max(low, s.at)
				}
			}
			for _, e := range seenAt {
				if e.n >= v.n {
					high = min(high, e.at)
				}
			}
			require.Equal(t, [2]time.Duration{low, high}, [2]time.Duration{v.low, v.high}, "v%d", v.n)
			at, ok := h.find(v.n)
			require.Equal(t, i, at)
			require.True(t, ok)
		}
		for n := range uint64(14) {
			require.Equal(t, slices.IndexFunc(append(slices.Clone(h.versions), version{n: 99}), func(v version) bool { return v.n > n }), h.after(n))
		}
		for at := time.Duration(-1); at < 32; at++ {
			last := -1
			for i, v := range h.versions {
				if v.high < at {
					last = i
				}
			}
			require.Equal(t, last, h.supersededBy(at))
		}
	})
}

// The oldest operation in flight is right whatever begins and ends when.
func TestFlightKnowsTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f flight
		live := map[uint64]time.Duration{}
		oldest := func() time.Duration {
			least := never
			for _, sent := range live {
				least = min(least, sent)
			}
			return least
		}
		for seq := range uint64(rapid.IntRange(1, 300).Draw(t, "steps")) {
			if rapid.IntRange(0, 2).Draw(t, "begin") > 0 {
				live[seq] = time.Duration(seq) + time.Duration(rapid.IntRange(0, 5).Draw(t, "jitter"))
				f.add(live[seq], seq)
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
				moved := f.remove(sent, s)
				require.True(t, moved || oldest() == was)
				require.False(t, f.remove(sent, s), "twice")
			}
			require.Equal(t, oldest(), f.oldest())
		}
		require.LessOrEqual(t, len(f.ops), 2*len(live)+66, "ended operations are forgotten")
	})
}

func TestQueueIsOrdered(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var q queue
	var s spare
	n := 0
	for range 10_000 {
		if rng.IntN(2) == 0 {
			w := s.take()
			w.op = targets.Operation{Returned: time.Duration(rng.IntN(50))}
			q.push(w)
			n++
		} else if q.first != nil {
			least := q.first.op.Returned
			for w := q.first; w != nil; w = w.next {
				require.GreaterOrEqual(t, w.op.Returned, least)
			}
			s.give(q.pop())
			n--
		}
	}
	got := 0
	for last := time.Duration(0); q.first != nil; got++ {
		w := q.pop()
		require.GreaterOrEqual(t, w.op.Returned, last)
		last = w.op.Returned
	}
	require.Equal(t, n, got)
	require.Nil(t, q.last)
}
