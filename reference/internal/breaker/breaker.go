// Package breaker is the circuit breaker between a worker and its Redis. When it opens and closes
// is decided by [policy.Circuit].
package breaker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// ErrOpen is the answer while Redis is not asked, because it did not answer before.
var ErrOpen = errors.New("redis is not asked: it did not answer")

// Store keeps a worker from waiting for a Redis that does not answer. Only Get, Set and Run, which
// readers wait for, go through the breaker; Subscribe and the rest bypass it.
type Store struct {
	store.Store
	policy policy.Policy
	turned func(open bool)
	began  time.Time

	mu    sync.Mutex
	state policy.Circuit
}

// New puts a breaker before a store; without the policy's breaker control it is always closed.
// turned is called when it opens and closes, in that order; it may be nil.
func New(s store.Store, p policy.Policy, turned func(open bool)) *Store {
	return &Store{Store: s, policy: p, turned: turned, began: time.Now()}
}

func (s *Store) now() int64 { return int64(time.Since(s.began)) }

// guarded asks Redis, unless the breaker is open. That a caller gave up proves nothing about Redis.
func (s *Store) guarded(ctx context.Context, ask func() error) error {
	if !s.policy.Controls.Has(policy.Breaker) {
		return ask()
	}
	s.mu.Lock()
	state, ok := s.state.Enter(s.now())
	s.state = state
	s.mu.Unlock()
	if !ok {
		return ErrOpen
	}
	err := ask()
	if err != nil && ctx.Err() != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.state.Until != 0
	s.state = s.state.Left(s.now(), err == nil)
	if is := s.state.Until != 0; was != is && s.turned != nil {
		s.turned(is)
	}
	return err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = s.guarded(ctx, func() (err error) {
		value, ok, err = s.Store.Get(ctx, key)
		return err
	})
	return value, ok, err
}

// Set implements [store.Store].
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.guarded(ctx, func() error { return s.Store.Set(ctx, key, value, ttl) })
}

// Run implements [store.Store].
func (s *Store) Run(ctx context.Context, script *store.Script, keys []string, args ...string) (out []string, err error) {
	err = s.guarded(ctx, func() (err error) {
		out, err = s.Store.Run(ctx, script, keys, args...)
		return err
	})
	return out, err
}
