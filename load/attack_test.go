package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

func TestAttackSendsEverythingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewSchedule([]Step{{0, 100}, {time.Second, 1000}, {1500 * ms, 0}, {2 * time.Second, 50}}, 3*time.Second)
		require.NoError(t, err)
		g, sink := generator(t, shop(1, "run")), newRecord(t)
		target := does(func(_ context.Context, r targets.Request) (targets.Reply, error) {
			time.Sleep(3 * ms)
			return targets.Reply{Version: r.Seq}, nil
		})
		sent, err := Attack{Target: target, Generator: g, Schedule: s, Sink: sink, sleep: time.Sleep}.Run(t.Context())
		require.NoError(t, err)
		sink.whole()
		require.EqualValues(t, 100+500+50, sent.Planned)
		require.Equal(t, sent.Planned, sent.Sent)
		require.InDelta(t, 650/3.0, sent.Rate, 1e-9)
		require.False(t, sent.Saturated, sent.Why)
		require.Zero(t, sent.Lateness.Max, "virtual time: nothing is late")
		for n := range s.Count() {
			op := sink.ended[n]
			require.Equal(t, g.Request(n), op.Request)
			require.Equal(t, s.Due(n), op.Due)
			require.Equal(t, op.Due, op.Sent)
			require.Equal(t, 3*ms, op.Latency())
			require.Equal(t, targets.OK, op.Outcome)
			require.Equal(t, n, op.Reply.Version)
		}
	})
}

func TestDigestIsOfTheSeed(t *testing.T) {
	digest := func(seed uint64, run string, workers uint64, slow time.Duration) (d string) {
		synctest.Test(t, func(t *testing.T) {
			target := does(func(context.Context, targets.Request) (targets.Reply, error) {
				time.Sleep(slow)
				return targets.Reply{}, errors.New("refused")
			})
			sent, err := Attack{
				Target: target, Generator: generator(t, shop(seed, run)), Schedule: constant(t, 500, time.Second),
				MaxWorkers: workers, sleep: time.Sleep,
			}.Run(t.Context())
			require.NoError(t, err)
			d = sent.Digest
		})
		return d
	}
	first := digest(7, "one", 0, 0)
	require.Regexp(t, "^[0-9a-f]{32}$", first)
	require.Equal(t, first, digest(7, "two", 3, 5*ms))
	require.NotEqual(t, first, digest(8, "one", 0, 0))
}

func TestOutcomes(t *testing.T) {
	refused := fmt.Errorf("refusing a write: %w", targets.ErrNotApplied)
	for _, c := range []struct {
		kind targets.Kind
		err  error
		want targets.Outcome
	}{
		{targets.Read, nil, targets.OK},
		{targets.Write, nil, targets.OK},
		{targets.Read, errors.New("reset"), targets.Failed},
		{targets.Write, errors.New("reset"), targets.Unknown},
		{targets.Write, context.DeadlineExceeded, targets.Unknown},
		{targets.Write, refused, targets.Failed},
		{targets.Read, refused, targets.Failed},
	} {
		require.Equal(t, c.want, outcome(c.kind, c.err), "%v: %v", c.kind, c.err)
	}
}

func TestTimeoutEndsAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newRecord(t)
		hang := does(func(ctx context.Context, _ targets.Request) (targets.Reply, error) {
			<-ctx.Done()
			return targets.Reply{}, ctx.Err()
		})
		_, err := Attack{
			Target: hang, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 100, time.Second),
			Timeout: 250 * ms, Sink: sink, sleep: time.Sleep,
		}.Run(t.Context())
		require.NoError(t, err)
		sink.whole()
		for _, op := range sink.ended {
			require.Equal(t, 250*ms, op.Service())
			require.ErrorIs(t, op.Err, context.DeadlineExceeded)
			require.NotEqual(t, targets.OK, op.Outcome)
		}
	})
}

func TestPanickingTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newRecord(t)
		broken := does(func(_ context.Context, r targets.Request) (targets.Reply, error) {
			if r.Seq%2 == 0 {
				panic("index out of range")
			}
			return targets.Reply{}, nil
		})
		sent, err := Attack{
			Target: broken, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 100, time.Second),
			MaxWorkers: 2, Sink: sink, sleep: time.Sleep,
		}.Run(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 100, sent.Sent)
		sink.whole()
		for n, op := range sink.ended {
			var p *PanicError
			require.Equal(t, n%2 == 0, errors.As(op.Err, &p), "operation %d: %v", n, op.Err)
			if p != nil {
				require.Equal(t, "target", p.Who)
				require.Equal(t, n, p.Seq)
				require.Contains(t, string(p.Stack), "TestPanickingTarget")
				want := targets.Failed
				if op.Kind == targets.Write {
					want = targets.Unknown
				}
				require.Equal(t, want, op.Outcome)
			}
		}
	})
}

type panickingSink struct{ at uint64 }

func (s panickingSink) Begin(op targets.Operation) {
	if op.Seq == s.at {
		panic("sink is full")
	}
}
func (panickingSink) End(targets.Operation) {}

// A bug of ours ends the attack as an error, so that faults still get healed.
func TestPanickingSinkEndsTheAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, err := Attack{
			Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 100, time.Hour),
			Sink: panickingSink{at: 5}, sleep: time.Sleep,
		}.Run(t.Context())
		var p *PanicError
		require.ErrorAs(t, err, &p)
		require.Equal(t, "sink", p.Who)
		require.EqualValues(t, 5, p.Seq)
		require.Less(t, sent.Sent, uint64(20))
	})
}

// Cancelled at any moment: with free workers, with all of them busy, before the start, in silence.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name    string
		steps   []Step
		workers uint64
		after   time.Duration
		sent    uint64
	}{
		{"free workers", []Step{{0, 1000}}, 0, 500500 * time.Microsecond, 501},
		{"all workers busy", []Step{{0, 1000}}, 7, 500500 * time.Microsecond, 7},
		{"at once", []Step{{0, 1000}}, 0, 0, 0},
		{"silence", []Step{{0, 0}, {time.Minute, 1000}}, 0, 500 * ms, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				hang := does(func(ctx context.Context, _ targets.Request) (targets.Reply, error) {
					<-ctx.Done()
					return targets.Reply{}, ctx.Err()
				})
				if c.after == 0 {
					cancel()
				}
				timer := time.AfterFunc(c.after, cancel)
				defer timer.Stop()
				s, err := NewSchedule(c.steps, time.Hour)
				require.NoError(t, err)
				sink, began := newRecord(t), time.Now()
				sent, err := Attack{
					Target: hang, Generator: generator(t, shop(1, "run")), Schedule: s,
					MaxWorkers: c.workers, Timeout: time.Hour, Sink: sink, sleep: time.Sleep,
				}.Run(ctx)
				require.ErrorIs(t, err, context.Canceled)
				require.LessOrEqual(t, time.Since(began)-c.after, slice)
				require.Equal(t, c.sent, sent.Sent)
				sink.whole()
				require.Len(t, sink.ended, int(c.sent))
				require.False(t, sent.Saturated, sent.Why)
				for _, op := range sink.ended {
					require.ErrorIs(t, op.Err, context.Canceled)
				}
			})
		})
	}
}

// The same with real clocks and threads, where cancellation races with everything; goleak watches.
func TestCancelForReal(t *testing.T) {
	for _, workers := range []uint64{0, 1, 20} {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Uint64
		target := does(func(ctx context.Context, _ targets.Request) (targets.Reply, error) {
			if calls.Add(1) == 300 {
				cancel()
			}
			return targets.Reply{}, ctx.Err()
		})
		sink := newRecord(t)
		sent, err := Attack{
			Target: target, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 5000, time.Hour),
			MaxWorkers: workers, Sink: sink,
		}.Run(ctx)
		require.ErrorIs(t, err, context.Canceled)
		sink.whole()
		require.EqualValues(t, sent.Sent, calls.Load())
		require.EqualValues(t, sent.Sent, len(sink.begun))
	}
}

func TestAttackNeedsItsParts(t *testing.T) {
	_, err := Attack{Generator: generator(t, shop(1, "run"))}.Run(t.Context())
	require.ErrorContains(t, err, "lacks a target or a generator")
	sent, err := Attack{Target: idle{}, Generator: generator(t, shop(1, "run"))}.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, sent.Planned)
}

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

// waited is the truth about a stall: what users wait who ask at their due times, whatever the number
// of workers of the generator.
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
					MaxWorkers: workers, Sink: sink, sleep: time.Sleep,
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

// The same on a real clock, where the backlog of the stall takes its time to drain.
func TestStallIsTheTargetsLatencyForReal(t *testing.T) {
	for _, workers := range []uint64{10, 50, 0} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			t.Parallel()
			s := constant(t, 1000, 2*time.Second)
			start, sink := time.Now(), newRecord(t)
			target := &stall{start: func() time.Time { return start }, from: 500 * ms, to: 1500 * ms}
			sent, err := Attack{
				Target: target, Generator: generator(t, shop(1, "run")), Schedule: s, Start: start,
				MaxWorkers: workers, Sink: sink,
			}.Run(t.Context())
			require.NoError(t, err)
			sink.whole()
			if sent.Saturated {
				t.Skip("this machine is too busy now: " + sent.Why)
			}
			require.InEpsilon(t, percentile(target.waited(s), 99), percentile(sink.latencies(), 99), 0.05)
		})
	}
}

// slowSink holds every operation up after the target answered: the harness's own doing.
type slowSink time.Duration

func (slowSink) Begin(targets.Operation) {}
func (s slowSink) End(targets.Operation) { time.Sleep(time.Duration(s)) }

// Workers that can't take the rate for the whole attack, so that operations come later and later: it
// is the target's latency when the workers spend their time in the target, although some of it always
// goes into taking up the next operation; and saturation when they spend it in the harness.
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
						MaxWorkers: workers, Sink: slowSink(c.sink), sleep: time.Sleep,
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
	}{{0, false}, {15 * ms, false}, {25 * ms, true}, {300 * ms, true}} {
		for _, workers := range []uint64{0, 10} {
			t.Run(fmt.Sprintf("by %v, workers=%d", c.oversleeps, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent, err := Attack{
						Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 20, 10*time.Second), MaxWorkers: workers,
						sleep: func(d time.Duration) {
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
			require.Contains(t, sent.Why, "of 30000 judged operations were more than 20ms late while workers were free")
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
			sleep: func(d time.Duration) {
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
