package faults

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

func TestRestart(t *testing.T) {
	downAndUp(t, Restart{Region: "eu", Down: 300 * time.Millisecond})
}

func TestKill(t *testing.T) {
	downAndUp(t, Kill{Region: "eu", Down: 300 * time.Millisecond})
	u := &unruly{mini: newMini(t), stop: func(context.Context) error { return errors.New("in order") }}
	in, err := Kill{Region: "eu", Down: time.Millisecond}.Inject(within(t), site(u))
	require.NoError(t, err, "it is killed, not stopped")
	_, err = in.Heal(within(t))
	require.NoError(t, err)
	_, err = Restart{Region: "eu", Down: time.Millisecond}.Inject(within(t), site(u))
	require.ErrorContains(t, err, "stopping redis@eu: in order")
}

func downAndUp(t *testing.T, f Fault) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "product:", 1200, time.Minute)
		before, err := n.Identity(ctx)
		require.NoError(t, err)

		in, err := f.Inject(ctx, site(n))
		require.NoError(t, err)
		require.Equal(t, 300*time.Millisecond, in.Hold)
		require.Regexp(t, `^redis@eu refused connections at \d+\.\d\ds$`, in.Evidence)
		require.Error(t, n.Ping(ctx), "the Redis is down")

		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Regexp(t, `^redis@eu refused connections at .* another incarnation answered: .*run_id .* 0 keys \(1,200 before\)$`, evidence)
		require.NoError(t, n.Ping(ctx))
		after, err := n.Identity(ctx)
		require.NoError(t, err)
		require.False(t, after.Same(before))

		again, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Equal(t, evidence, again, "healing again changes nothing")
		now, err := n.Identity(ctx)
		require.NoError(t, err)
		require.True(t, now.Same(after))
	})
}

func TestRestartHealsAfterItsDrillWasCancelled(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		drill, cancel := context.WithCancel(within(t))
		in, err := Restart{Region: "eu", Down: time.Hour}.Inject(drill, site(n))
		require.NoError(t, err)
		cancel()
		_, err = in.Heal(within(t))
		require.NoError(t, err)
		require.NoError(t, n.Ping(within(t)))
	})
}

func TestRestartShamTouchesNothing(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "product:", 10, 0)
		f := Sham(Restart{Region: "eu", Down: 20 * time.Millisecond})
		require.Equal(t, "sham{of: redis.restart{region: eu, down: 20ms}}", f.String())
		in, err := f.Inject(ctx, site(n))
		require.NoError(t, err)
		require.Equal(t, 20*time.Millisecond, in.Hold)
		require.Empty(t, in.Evidence)
		require.NoError(t, n.Ping(ctx))
		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Contains(t, evidence, "sham of redis.restart{region: eu, down: 20ms}: same run_id before and after")
		require.Equal(t, 10, count(t, n.Client(), "*"))
	})
}

func TestRestartShamNoticesARestart(t *testing.T) {
	n := newMini(t)
	in, err := Sham(Restart{Region: "eu", Down: time.Millisecond}).Inject(within(t), site(n))
	require.NoError(t, err)
	n.incarnation++
	_, err = in.Heal(within(t))
	require.ErrorContains(t, err, "though this drill did not restart it")
}

// unruly is a Redis with parts of its behaviour replaced.
type unruly struct {
	*mini
	stop, start func(context.Context) error
	identity    func(context.Context) (targets.RedisIdentity, error)
}

func (u *unruly) Stop(ctx context.Context) error {
	if u.stop != nil {
		return u.stop(ctx)
	}
	return u.mini.Stop(ctx)
}

func (u *unruly) Start(ctx context.Context) error {
	if u.start != nil {
		return u.start(ctx)
	}
	return u.mini.Start(ctx)
}

func (u *unruly) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	if u.identity != nil {
		return u.identity(ctx)
	}
	return u.mini.Identity(ctx)
}

func TestRestartWithoutEvidence(t *testing.T) {
	tests := map[string]func(u *unruly){
		"stop does nothing": func(u *unruly) {
			u.stop = func(context.Context) error { return nil }
		},
		"the same incarnation comes back": func(u *unruly) {
			u.identity = func(context.Context) (targets.RedisIdentity, error) { return targets.RedisIdentity{RunID: "one"}, nil }
		},
		"its data comes back": func(u *unruly) {
			u.start = func(context.Context) error { u.incarnation++; return u.m.Restart() }
		},
		"somebody starts it before the heal": func(u *unruly) {
			stop := u.mini.Stop
			u.stop = func(ctx context.Context) error {
				_ = stop(ctx)
				time.AfterFunc(50*time.Millisecond, func() { _ = u.mini.Start(ctx) })
				return nil
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			u := &unruly{mini: newMini(t)}
			fill(t, u.client, "product:", 10, 0)
			change(u)
			in, err := Restart{Region: "eu", Down: time.Millisecond}.Inject(ctx, site(u))
			require.NoError(t, err)
			if name == "somebody starts it before the heal" {
				require.Eventually(t, func() bool { return u.Ping(ctx) == nil }, 10*time.Second, 5*time.Millisecond)
			}
			evidence, err := in.Heal(ctx)
			require.NoError(t, err)
			require.Empty(t, evidence)
			require.NoError(t, u.Ping(ctx))
		})
	}
}

func TestRestartUndoesAHalfWayInjection(t *testing.T) {
	u := &unruly{mini: newMini(t)}
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(within(t))
	u.stop = func(ctx context.Context) error {
		_ = u.mini.Stop(ctx)
		cancel()
		return broken
	}
	u.start = func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return u.mini.Start(ctx)
	}
	_, err := Restart{Region: "eu", Down: time.Second}.Inject(ctx, site(u))
	require.ErrorIs(t, err, broken)
	require.NoError(t, u.Ping(within(t)), "it was started again although the drill was cancelled")
}

// ownedRedis is a Redis that its owner runs: not everything can be done to it.
type ownedRedis struct {
	redisNode
	cant  Capability
	start []string
}

func (n ownedRedis) Capabilities() Capabilities {
	can := maps.Clone(everything)
	if n.cant != "" {
		can[n.cant] = No("its owner does not let us " + string(n.cant))
	}
	return can
}

func (n ownedRedis) Lifetime() Lifetime { return OutlivesProcess(n.start...) }

// What can't be done is not begun.
func TestRestartOfAnOwnedRedis(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		cant  Capability
	}{
		{Restart{Region: "eu", Down: 1}, CanStop}, {Kill{Region: "eu", Down: 1}, CanKill},
		{Expire{Family: "product"}, CanTouch}, {Flush{Region: "eu"}, CanTouch},
	} {
		n := newMini(t)
		fill(t, n.client, "product:", 1, 0)
		_, err := c.fault.Inject(within(t), site(ownedRedis{redisNode: n, cant: c.cant}))
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.EqualError(t, err, c.fault.String()+": its owner does not let us "+string(c.cant)+": unsupported operation")
		require.NoError(t, n.Ping(within(t)))
		require.Equal(t, 1, n.incarnation)
		require.Equal(t, 1, count(t, n.client, "*"))
	}
	// One that declares too much.
	starts := 0
	u := &unruly{
		mini:  newMini(t),
		stop:  func(context.Context) error { return errors.ErrUnsupported },
		start: func(context.Context) error { starts++; return errors.ErrUnsupported },
	}
	_, err := Restart{Region: "eu", Down: 1}.Inject(within(t), site(u))
	require.EqualError(t, err, "redis.restart{region: eu, down: 1ns}: stopping redis@eu: unsupported operation")
	require.Zero(t, starts)
	require.NoError(t, u.Ping(within(t)))
}

func TestRestartHealCanBeTriedAgain(t *testing.T) {
	u := &unruly{mini: newMini(t)}
	fill(t, u.client, "product:", 10, 0)
	in, err := Restart{Region: "eu", Down: time.Millisecond}.Inject(within(t), site(u))
	require.NoError(t, err)
	broken := errors.New("broken")
	u.start = func(context.Context) error { return broken }
	_, err = in.Heal(within(t))
	require.ErrorIs(t, err, broken)
	u.start = nil
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.NotEmpty(t, evidence)
}

func TestHealTakesTurns(t *testing.T) {
	calls := 0 // the race detector watches it
	heal := healOnce(time.Minute, func(context.Context) (string, error) { calls++; return "seen", nil })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			evidence, err := heal(within(t))
			require.NoError(t, err)
			require.Equal(t, "seen", evidence)
		})
	}
	wg.Wait()
	require.Equal(t, 1, calls)

	inside, release := make(chan struct{}), make(chan struct{})
	slow := healOnce(time.Minute, func(context.Context) (string, error) { close(inside); <-release; return "", nil })
	wg.Go(func() { _, _ = slow(within(t)) })
	<-inside
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := slow(dead)
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	wg.Wait()
}

func TestHealHasADeadlineOfItsOwn(t *testing.T) {
	heal := healOnce(time.Millisecond, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	_, err := heal(context.Background())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// undeclared is a Redis that declares no lifetime.
type undeclared struct{ redisNode }

func (undeclared) Lifetime() Lifetime { return Lifetime{} }

// A server that does not declare what ends it is not ended, nor are its keys touched: what would
// undo that could not be noted.
func TestNothingIsDoneToARedisThatDeclaresNoLifetime(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 3, time.Hour)
	for _, f := range []Fault{
		Restart{Region: "eu", Down: 1}, Kill{Region: "eu", Down: 1}, Expire{Family: "product"}, Flush{Region: "eu"},
	} {
		_, err := f.Inject(within(t), site(undeclared{n}))
		require.EqualError(t, err, f.String()+": redis@eu does not declare its lifetime: what undoes a fault of it can't be noted")
	}
	require.Equal(t, 1, n.incarnation)
	require.Equal(t, 3, count(t, n.client, "*"))
}
