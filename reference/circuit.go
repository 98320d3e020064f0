package reference

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// errOpen is the answer of a Redis that is not asked, since it did not answer before.
var errOpen = errors.New("redis is not asked: it did not answer")

// circuit keeps a worker from waiting for a Redis that does not answer. Listening goes past it: a listener waits for
// nobody's sake.
type circuit struct {
	store.Store
	policy policy.Policy
	began  time.Time

	mu    sync.Mutex
	state policy.Circuit
	watch Observer
}

func newCircuit(s store.Store, p policy.Policy) *circuit {
	return &circuit{Store: s, policy: p, began: time.Now(), watch: NopObserver{}}
}

func (c *circuit) now() int64 { return int64(time.Since(c.began)) }

// guarded asks Redis, unless the circuit is open. That a caller gave up says nothing about Redis.
func (c *circuit) guarded(ctx context.Context, ask func() error) error {
	if !c.policy.Controls.Has(policy.Breaker) {
		return ask()
	}
	c.mu.Lock()
	state, ok := c.state.Enter(c.now())
	c.state = state
	c.mu.Unlock()
	if !ok {
		return errOpen
	}
	err := ask()
	if err != nil && ctx.Err() != nil {
		return err
	}
	c.mu.Lock()
	before := c.state
	c.state = c.state.Left(c.now(), err == nil)
	c.turned(before)
	c.mu.Unlock()
	return err
}

func (c *circuit) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = c.guarded(ctx, func() (err error) {
		value, ok, err = c.Store.Get(ctx, key)
		return err
	})
	return value, ok, err
}

func (c *circuit) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.guarded(ctx, func() error { return c.Store.Set(ctx, key, value, ttl) })
}

func (c *circuit) Run(ctx context.Context, s *store.Script, keys []string, args ...string) (out []string, err error) {
	err = c.guarded(ctx, func() (err error) {
		out, err = c.Store.Run(ctx, s, keys, args...)
		return err
	})
	return out, err
}
