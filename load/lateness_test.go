package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// stall is a target that answers at once, but for the time between from and to after its start.
type stall struct {
	start    func() time.Time
	from, to time.Duration
}

func (s *stall) Close() error { return nil }
func (s *stall) Do(ctx context.Context, _ targets.Request) (targets.Reply, error) {
	now := time.Since(s.start())
	if now < s.from || now >= s.to {
		return targets.Reply{}, nil
	}
	select {
	case <-time.After(s.to - now):
	case <-ctx.Done():
	}
	return targets.Reply{}, ctx.Err()
}

// waited is the truth about a stall: what users wait who ask at their due times, whatever the
// number of workers of the generator.
func (s *stall) waited(schedule Schedule) []time.Duration {
	var all []time.Duration
	for n := range schedule.Count() {
		wait := time.Duration(0)
		if due := schedule.Due(n); due >= s.from && due < s.to {
			wait = s.to - due
		}
		all = append(all, wait)
	}
	return all
}

func percentile(of []time.Duration, p float64) time.Duration {
	slices.Sort(of)
	return of[int(float64(len(of)-1)*p/100)]
}

// A target that stops for a second: every user's wait is seen, however few workers there are, and
// the generator isn't blamed for it. vegeta's own latency for 10 workers has a p99 of microseconds.
func TestStallIsTheTargetsLatency(t *testing.T) {
	for _, workers := range []uint64{1, 10, 50, 0} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := constant(t, 1000, 5*time.Second)
				start, sink := time.Now(), newRecord(t)
				target := &stall{start: func() time.Time { return start }, from: time.Second, to: 2 * time.Second}
				sent, err := Attack{
					Target: target, Generator: generator(t, shop(1, "run")), Schedule: s, Start: start,
					MaxWorkers: workers, Sink: sink, Sleep: time.Sleep,
				}.Run(t.Context())
				require.NoError(t, err)
				sink.whole()
				truth, seen := target.waited(s), sink.latencies()
				for _, p := range []float64{50, 80, 90, 99, 99.9, 100} {
					require.Equal(t, percentile(truth, p), percentile(seen, p), "p%v", p)
				}
				require.Equal(t, 950*ms, percentile(seen, 99).Round(10*ms))
				require.False(t, sent.Saturated, sent.Why)
				require.LessOrEqual(t, sent.Lateness.P99, ms)
			})
		})
	}
}

// The same on a real clock, where the backlog of the stall takes its time to drain. What is seen is
// never less than the truth, however busy the machine; on one that has CPUs to spare it is no more
// than 5% above it. Other work can only add to it, so the best of three tries counts.
func TestStallIsTheTargetsLatencyForReal(t *testing.T) {
	for _, workers := range []uint64{10, 50, 0} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			t.Parallel()
			var seen, truth time.Duration
			for range 3 {
				s := constant(t, 1000, 2*time.Second)
				start, sink := time.Now(), newRecord(t)
				target := &stall{start: func() time.Time { return start }, from: 500 * ms, to: 1500 * ms}
				sent, err := Attack{
					Target: target, Generator: generator(t, shop(1, "run")), Schedule: s, Start: start,
					MaxWorkers: workers, Sink: sink,
				}.Run(t.Context())
				require.NoError(t, err)
				sink.whole()
				truth, seen = percentile(target.waited(s), 99), percentile(sink.latencies(), 99)
				require.GreaterOrEqual(t, seen, truth)
				if !sent.Saturated && float64(seen) <= 1.05*float64(truth) {
					return
				}
			}
			t.Skipf("this machine is too busy now: p99 is %v, in truth %v", seen, truth)
		})
	}
}

// slowSink holds every operation up after the target answered: the harness's own doing.
type slowSink time.Duration

func (slowSink) Begin(targets.Operation) {}
func (s slowSink) End(targets.Operation) { time.Sleep(time.Duration(s)) }

// Workers that can't take the rate for the whole attack, so that operations come later and later:
// it is the target's latency when the workers spend their time in the target, although some of it
// always goes into taking up the next operation; and saturation when they spend it in the harness.
func TestWhoKeepsTheWorkersBusy(t *testing.T) {
	for _, c := range []struct {
		name         string
		target, sink time.Duration
		saturated    bool
	}{
		{"only the target", 5 * ms, 0, false},
		{"mostly the target", 5 * ms, 500 * time.Microsecond, false},
		{"mostly the harness", 500 * time.Microsecond, 5 * ms, true},
		{"only the harness", 0, 5 * ms, true},
	} {
		for _, workers := range []uint64{1, 4, 10} {
			t.Run(fmt.Sprintf("%s, workers=%d", c.name, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					target := does(func(context.Context, targets.Request) (targets.Reply, error) {
						time.Sleep(c.target)
						return targets.Reply{}, nil
					})
					sent, err := Attack{
						Target: target, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 400*float64(workers), 5*time.Second),
						MaxWorkers: workers, Sink: slowSink(c.sink), Sleep: time.Sleep,
					}.Run(t.Context())
					require.NoError(t, err)
					require.Greater(t, time.Since(start), 9*time.Second, "the case is no overload")
					require.Equal(t, c.saturated, sent.Saturated, "%v %v", sent.Why, sent.Lateness)
				})
			})
		}
	}
}

// A pacer that isn't woken in time, as on a machine without a free CPU.
func TestOversleepingGeneratorIsSaturated(t *testing.T) {
	for _, c := range []struct {
		oversleeps time.Duration
		saturated  bool
	}{{0, false}, {40 * ms, false}, {60 * ms, true}, {300 * ms, true}} {
		for _, workers := range []uint64{0, 10} {
			t.Run(fmt.Sprintf("by %v, workers=%d", c.oversleeps, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent, err := Attack{
						Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 20, 10*time.Second), MaxWorkers: workers,
						Sleep: func(d time.Duration) {
							if d < slice { // the last of the slices
								d += c.oversleeps
							}
							time.Sleep(d)
						},
					}.Run(t.Context())
					require.NoError(t, err)
					require.EqualValues(t, 200, sent.Sent)
					require.Equal(t, c.saturated, sent.Saturated, sent.Why)
					require.Equal(t, c.saturated, sent.Why != "")
					require.InDelta(t, float64(c.oversleeps), float64(sent.Lateness.Max), float64(10*ms))
				})
			})
		}
	}
}

// A rate that no machine can make, to a target that answers at once: the workers all have hits in
// their hands, but the target is not what keeps them.
func TestRateBeyondTheMachineIsSaturation(t *testing.T) {
	for _, workers := range []uint64{0, 1, 10} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			sent, err := Attack{
				Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 15e6, 2*ms), MaxWorkers: workers,
			}.Run(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 30_000, sent.Sent)
			require.True(t, sent.Saturated)
			require.Contains(t, sent.Why, "of 30000 judged operations were more than "+MaxLateness.String()+" late while workers were free")
			require.Greater(t, sent.Late, uint64(500))
		})
	}
}

// The generator's lateness is judged from the end of the warmup on.
func TestWarmupIsNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		attack := Attack{
			Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 1000, 4*time.Second), JudgeFrom: 2 * time.Second,
			Sleep: func(d time.Duration) {
				once.Do(func() { d += time.Second })
				time.Sleep(d)
			},
		}
		sent, err := attack.Run(t.Context())
		require.NoError(t, err)
		require.False(t, sent.Saturated, sent.Why)
		require.Zero(t, sent.Lateness.Max)

		attack.JudgeFrom, once = 0, sync.Once{}
		sent, err = attack.Run(t.Context())
		require.NoError(t, err)
		require.True(t, sent.Saturated)
		require.Equal(t, time.Second, sent.Lateness.Max)
	})
}
