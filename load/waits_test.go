package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A bounded attack with one worker, stamp by stamp: 1,000/s, and the target stops from 10 ms to 30
// ms.
func TestExcuses(t *testing.T) {
	w := waits{workers: 1}
	deliver := func(n uint64, at time.Duration) { // offered, taken up at once, asked
		w.offer(n, at)
		w.asked(at)
		w.handedOver(at)
	}
	w.onTime(10)
	deliver(10, 10*ms)
	require.Zero(t, w.excuse(10, 10*ms))

	w.onTime(11)
	w.offer(11, 11*ms) // blocked: its worker is with hit 10 in the target
	require.Equal(t, 9*ms, w.excuse(11, 20*ms), "the block under way counts already")
	w.answered(30 * ms)
	w.handedOver(30 * ms)
	w.asked(30 * ms)
	require.Equal(t, 19*ms, w.excuse(11, 30*ms))

	// The backlog of the stall drains, half a millisecond an operation.
	at := 30 * ms
	for n := uint64(12); n < 50; n++ {
		w.answered(at)
		at += ms / 2
		deliver(n, at)
		require.Equal(t, 19*ms, w.excuse(n, at), "the excuse lasts for the run")
		require.LessOrEqual(t, at-time.Duration(n)*ms, 19*ms)
	}

	// The pacer has caught up, and is ahead of the worker that sends the run's last hit.
	w.answered(at)
	w.onTime(50)
	require.Equal(t, 19*ms, w.excuse(49, at), "a hit keeps the excuse of its run")
	require.Zero(t, w.excuse(50, at), "and the next run has none")
	deliver(50, 50*ms)
	w.answered(50 * ms)
	w.onTime(51)
	require.Equal(t, 19*ms, w.excuse(49, at))
	require.Zero(t, w.excuse(50, 51*ms), "nor has a run between")
	require.Zero(t, w.excuse(51, 51*ms))
}

func TestNoExcuse(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(*waits)
	}{
		{"a worker was free, but didn't come for the hit", func(w *waits) {
			w.offer(0, 0)
			w.asked(0)
			w.handedOver(0)
			w.offer(1, 0)
		}},
		{"workers had hits, and hadn't asked the target yet", func(w *waits) {
			w.offer(0, 0)
			w.handedOver(0)
			w.offer(1, 0)
			w.handedOver(0)
			w.offer(2, 0)
			w.asked(60 * ms)
			w.asked(60 * ms)
		}},
		{"less than half of the workers' time went to the target", func(w *waits) {
			for n := range uint64(2) {
				w.offer(n, 0)
				w.asked(0)
				w.handedOver(0)
			}
			w.offer(2, 0)
			w.answered(10 * ms)
			w.answered(80 * ms)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := waits{workers: 2}
			w.onTime(0)
			c.does(&w)
			require.Zero(t, w.excuse(2, 100*ms))
			w.handedOver(100 * ms)
			require.Zero(t, w.excuse(2, 100*ms))
		})
	}
}

// Stamps come in as goroutines get the lock, not in the order of their times.
func TestAreaDoesNotDependOnTheOrderOfStamps(t *testing.T) {
	var a, b waits
	a.asked(1 * ms)
	a.asked(2 * ms)
	a.answered(4 * ms)
	a.answered(9 * ms)
	b.asked(2 * ms)
	b.answered(9 * ms)
	b.asked(1 * ms)
	b.answered(4 * ms)
	require.Equal(t, 10*ms, a.area(20*ms))
	require.Equal(t, a.area(20*ms), b.area(20*ms))
	a.asked(10 * ms)
	require.Equal(t, 20*ms, a.area(20*ms))
}

func TestLatenessBeyondTheHistogram(t *testing.T) {
	l := newLateness(0)
	l.record(0, -ms)
	require.Zero(t, l.at(99))
	l.record(0, 3*longest)
	require.Equal(t, 3*longest, l.max)
	require.InEpsilon(t, longest, l.at(99), 0.001)
	require.EqualValues(t, 1, l.late)
	require.EqualValues(t, 2, l.judged)
}
