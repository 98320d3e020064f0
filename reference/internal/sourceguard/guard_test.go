package sourceguard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

var hot = key.Name{Family: "product", ID: "17"}

func without(t *testing.T, names ...string) policy.Policy {
	p := policy.Recommended()
	for _, n := range names {
		var err error
		p, err = p.Without(n)
		require.NoError(t, err)
	}
	return p
}

// silentSource answers no load; it counts them.
type silentSource struct {
	source.Source
	loads, retries atomic.Int64
}

func (s *silentSource) Load(ctx context.Context, _ key.Name, by source.Caller) (source.Record, error) {
	s.loads.Add(1)
	if by.Attempt > 1 {
		s.retries.Add(1)
	}
	<-ctx.Done()
	return source.Record{}, ctx.Err()
}

// Of a source that does not answer, a worker asks up to three times as much without a budget, and
// hardly more with one.
func TestRetryBudget(t *testing.T) {
	for _, c := range []struct {
		without  []string
		min, max int64
	}{
		{[]string{"retry-budget", "shedding"}, 600, 600},
		{[]string{"shedding"}, 200, 200 + 20 + budgetMost},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &silentSource{}
			g := New(s, without(t, c.without...), nil)
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				_, err := g.Load(ctx, hot, source.Caller{})
				require.Error(t, err)
				cancel()
			}
			require.GreaterOrEqual(t, s.loads.Load(), c.min)
			require.LessOrEqual(t, s.loads.Load(), c.max)
			require.Equal(t, s.loads.Load()-200, s.retries.Load())
		})
	}
}

// A source that fails at once is asked three times, and then no more.
func TestAttemptsAreBounded(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{{errors.New("broken"), mostAttempts}, {source.ErrShed, 1}} {
		s := &failing{err: c.err}
		_, err := New(s, without(t, "retry-budget"), nil).Load(t.Context(), hot, source.Caller{})
		require.ErrorIs(t, err, c.err)
		require.Equal(t, c.want, s.loads)
	}
}

// failing refuses the loads of one caller, and counts them.
type failing struct {
	source.Source
	err   error
	loads int
}

func (s *failing) Load(context.Context, key.Name, source.Caller) (source.Record, error) {
	s.loads++
	return source.Record{}, s.err
}

// An audit is no load of the workload's: it is tried once, waits in no line and costs no budget.
func TestAuditsPassTheGuard(t *testing.T) {
	s := &failing{err: errors.New("broken")}
	g := New(s, policy.Recommended(), nil)
	for g.throttle.inside < int(g.throttle.limit) {
		require.NoError(t, g.throttle.enter(t.Context()))
	}
	for range 2 * budgetMost {
		_, err := g.Load(t.Context(), hot, source.Caller{Audit: true})
		require.ErrorIs(t, err, s.err)
	}
	require.Equal(t, 2*budgetMost, s.loads)
	require.InDelta(t, budgetMost, g.budget.tokens, 0)
}

// A caller that gives up in the line, at whatever moment, leaves no slot occupied.
func TestGivingUpInLineLeavesNoSlotOccupied(t *testing.T) {
	for range 200 {
		g := newThrottle()
		for range int(limitFirst) {
			require.NoError(t, g.enter(t.Context()))
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() { got <- g.enter(ctx) }()
		require.Eventually(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.line) == 1 }, 10*time.Second, time.Microsecond)
		go cancel() // at the same time as its turn comes
		g.leave("product", time.Millisecond, nil)
		entered := 0
		if <-got == nil {
			entered = 1
		}
		g.mu.Lock()
		require.Equal(t, int(limitFirst)-1+entered, g.inside)
		require.Empty(t, g.line)
		g.mu.Unlock()
	}
}

func TestRetriesAreCountedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silentSource{}
		g := New(s, policy.Recommended(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := g.Load(ctx, hot, source.Caller{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began), "the last attempt has what is left")
		require.EqualValues(t, 3, s.loads.Load())
		_, err = g.Load(ctx, hot, source.Caller{Audit: true})
		require.Error(t, err, "an audit goes straight through, and its context is over")
		require.EqualValues(t, 4, s.loads.Load())
	})
}

// burst asks a source of 2 servers and 50 ms for n names at once, again and again for a while, and
// says how many loads came in time, how many were refused at once, and how many died waiting.
func burst(t *testing.T, p policy.Policy, n, rounds int) (good, refused, late int64) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m, err := source.NewModel(source.ModelConfig{Servers: 2, ServiceTime: 50 * time.Millisecond, ServeAbandoned: true,
			Now: func() int64 { return int64(time.Since(start)) }})
		require.NoError(t, err)
		defer m.Close()
		m.Seed(hot, []byte("v"), "s")
		g := New(m, p, nil)
		var ok, shed, died atomic.Int64
		var wg sync.WaitGroup
		for range rounds {
			for range n {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					asked := time.Now()
					switch _, err := g.Load(ctx, hot, source.Caller{}); {
					case err == nil:
						ok.Add(1)
					case errors.Is(err, source.ErrShed) && time.Since(asked) == 0:
						shed.Add(1)
					default:
						died.Add(1)
					}
				})
			}
			time.Sleep(500 * time.Millisecond)
		}
		wg.Wait()
		good, refused, late = ok.Load(), shed.Load(), died.Load()
	})
	return good, refused, late
}

// Twice as many loads are asked for as the source can answer (40 in half a second, of 20). Asked
// for all at once they queue up until none is in time; with shedding more than half of what the
// source can serve comes in time.
func TestSheddingKeepsGoodput(t *testing.T) {
	const rounds = 40
	served := int64(20 * rounds)
	good, refused, _ := burst(t, without(t, "shedding", "retry-budget"), 40, rounds)
	require.Less(t, good, served/4, "the queue eats everything")
	require.Zero(t, refused)
	good, refused, _ = burst(t, policy.Recommended(), 40, rounds)
	require.Greater(t, good, served/2)
	require.Positive(t, refused, "what would be late is refused at once")
}

// A worker that is alone with a source that bears it is never held up.
func TestSheddingLeavesHealthyLoadsAlone(t *testing.T) {
	good, refused, late := burst(t, policy.Recommended(), 10, 40)
	require.EqualValues(t, 400, good)
	require.Zero(t, refused+late)
}
