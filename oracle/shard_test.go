package oracle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

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
