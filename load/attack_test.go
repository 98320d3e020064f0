package load

import (
	"context"
	"errors"
	"fmt"
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
		sent, err := Attack{Target: target, Generator: g, Schedule: s, Sink: sink, Sleep: time.Sleep}.Run(t.Context())
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
				MaxWorkers: workers, Sleep: time.Sleep,
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
		require.Equal(t, c.want, outcome(c.kind, targets.Reply{}, c.err), "%v: %v", c.kind, c.err)
	}
	accepted := targets.Reply{Accepted: true}
	require.Equal(t, targets.Accepted, outcome(targets.Write, accepted, nil))
	require.Equal(t, targets.Accepted, outcome(targets.Delete, accepted, nil))
	require.Equal(t, targets.OK, outcome(targets.Read, accepted, nil), "a read promises nothing")
	require.Equal(t, targets.Failed, outcome(targets.Write, accepted, refused), "what is refused is not accepted")
	require.Equal(t, targets.Unknown, outcome(targets.Write, accepted, errors.New("reset")))
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
			Timeout: 250 * ms, Sink: sink, Sleep: time.Sleep,
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
			MaxWorkers: 2, Sink: sink, Sleep: time.Sleep,
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
			Sink: panickingSink{at: 5}, Sleep: time.Sleep,
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
					MaxWorkers: c.workers, Timeout: time.Hour, Sink: sink, Sleep: time.Sleep,
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
