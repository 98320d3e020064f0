package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// ErrSwitch marks a policy that can't follow the current one without a restart.
var ErrSwitch = errors.New("can't be switched to while processes run")

// checkSwitch refuses a switch during which a promise could be broken, while some processes or
// readers follow one policy and some the other.
func checkSwitch(spec Spec, from, to Policy) error {
	for _, p := range []Policy{from, to} {
		if p.Design.Cache != nil || p.Design.Invalidator != nil {
			return fmt.Errorf("policy %s %w: %s is another kind of cache", to.Name, ErrSwitch, p.Name)
		}
	}
	const announced = policy.ClassRouting | policy.Fence
	for _, f := range spec.Families {
		if f.Contract.ReadLease > 0 && from.Controls.Has(announced) != to.Controls.Has(announced) {
			return fmt.Errorf("policy %s %w: family %s has a read lease, and workers answer from memory only as long as every process announces changes "+
				"(class-routing, fence)", to.Name, ErrSwitch, f.Name)
		}
	}
	return nil
}

// switchPatience is how long a switch waits for writes under way; new writes wait as long.
const switchPatience = 5 * time.Second

// SwitchPolicy replaces the cache by a new one, whose memory is empty; Redis is as it was. Reads go
// on meanwhile, under the old policy if they began before. No write is under way at the moment of
// the switch: otherwise a copy of what it supersedes could enter the new memory, and the writer
// could read that afterwards. After an error nothing has changed.
func (p *Process) SwitchPolicy(ctx context.Context, to Policy) error {
	p.switching.Lock()
	defer p.switching.Unlock()
	return p.switchTo(ctx, to)
}

// Rollback goes back to the policy before the last switch.
func (p *Process) Rollback(ctx context.Context) error {
	p.switching.Lock()
	defer p.switching.Unlock()
	return p.switchTo(ctx, p.previous)
}

func (p *Process) switchTo(ctx context.Context, to Policy) error {
	old := p.current.Load()
	if err := checkSwitch(p.cfg.Spec, old.policy, to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, switchPatience)
	defer cancel()
	fresh, err := newGeneration(ctx, p.cfg, p.observer(), to)
	if err != nil {
		return err
	}
	if err := p.writes.raise(ctx); err != nil {
		return errors.Join(fmt.Errorf("the policy stays %s: writes are still under way: %w", old.policy.Name, err), fresh.close())
	}
	p.current.Store(fresh)
	p.writes.lower()
	p.previous = old.policy
	p.metrics.Policy(to.Name)
	p.outdated.Go(func() { _ = old.close() })
	return nil
}

// switchable is the [Cache] that a process has at the moment of each call, whichever policy it
// follows.
type switchable struct{ *Process }

// Get implements [Cache].
func (p switchable) Get(ctx context.Context, n key.Name) (reference.Answer, error) {
	g := p.enter()
	defer g.leave()
	return g.cache.Get(ctx, n)
}

// GetBypass implements [Cache].
func (p switchable) GetBypass(ctx context.Context, n key.Name, audit bool) (reference.Answer, error) {
	g := p.enter()
	defer g.leave()
	return g.cache.GetBypass(ctx, n, audit)
}

// Put implements [Cache].
func (p switchable) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	return p.write(ctx, func(c Cache) (source.Record, error) { return c.Put(ctx, n, value, token) })
}

// Delete implements [Cache].
func (p switchable) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return p.write(ctx, func(c Cache) (source.Record, error) { return c.Delete(ctx, n) })
}

func (p switchable) write(ctx context.Context, change func(Cache) (source.Record, error)) (source.Record, error) {
	if err := p.writes.enter(ctx); err != nil {
		return source.Record{}, fmt.Errorf("%w: waiting for a switch of the policy: %w", source.ErrNotApplied, err)
	}
	defer p.writes.leave()
	g := p.enter()
	defer g.leave()
	return change(g.cache)
}

// Prewarm implements [Cache].
func (p switchable) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	g := p.enter()
	defer g.leave()
	return g.cache.Prewarm(ctx, names, position)
}

// Close implements [Cache]; see [Process.Close].
func (switchable) Close() {}
