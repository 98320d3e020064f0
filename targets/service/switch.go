package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// generation is a cache of a [Process] under one policy, until the policy is switched.
type generation struct {
	policy Policy
	cache  Cache
	into   Invalidator
	redis  connections

	users crowd

	end   context.CancelFunc
	beats sync.WaitGroup
}

// generation makes a cache with nothing in its memory, which hears the bus before anything is put there.
func (p *Process) generation(ctx context.Context, by Policy) (*generation, error) {
	if err := by.checkPools(p.cfg.Spec); err != nil {
		return nil, err
	}
	redis, err := p.connect(by.Policy)
	if err != nil {
		return nil, err
	}
	g := &generation{policy: by, redis: redis}
	shared, pools := redis.stores()
	if g.into, err = by.Design.invalidator(p.cfg.Region, by.Policy, p.families, shared, pools); err != nil {
		return nil, errors.Join(fmt.Errorf("making the invalidator: %w", err), redis.close())
	}
	var observer reference.Observer
	if !p.cfg.Unobserved {
		observer = p.metrics
	}
	g.cache, err = by.Design.make(ctx, reference.Config{Region: p.cfg.Region, Policy: by.Policy, Families: p.families, Source: p.cfg.Source,
		Shared: shared, Pools: pools, L1Size: p.cfg.L1Size, Observer: observer})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the cache: %w", err), redis.close())
	}
	life, cancel := context.WithCancel(context.Background())
	g.end = cancel
	if b, ok := g.into.(heartbeater); ok && p.cfg.Feed != nil {
		g.beats.Go(func() { b.Heartbeat(life) })
	}
	return g, nil
}

// enter gives the present generation, which stays until it is left.
func (p *Process) enter() *generation {
	for {
		g := p.now.Load()
		g.users.enter()
		if p.now.Load() == g { // or its users may have been waited for already
			return g
		}
		g.leave()
	}
}

func (g *generation) leave() { g.users.leave() }

// close ends a generation after its users.
func (g *generation) close() error {
	<-g.users.gone()
	g.end()
	g.beats.Wait()
	g.cache.Close()
	return g.redis.close()
}

// ErrSwitch marks a policy that can't follow the present one without a restart.
var ErrSwitch = errors.New("can't be switched to while processes run")

// switchable says whether every promise is kept while some processes, or readers, follow one policy and some the other.
func switchable(spec Spec, from, to Policy) error {
	for _, p := range []Policy{from, to} {
		if p.Design.Cache != nil || p.Design.Invalidator != nil {
			return fmt.Errorf("policy %s %w: %s is another kind of cache", to.Name, ErrSwitch, p.Name)
		}
	}
	const announced = policy.ClassRouting | policy.Fence
	for _, f := range spec.Families {
		if f.Contract.ReadLease > 0 && from.Controls.Has(announced) != to.Controls.Has(announced) {
			return fmt.Errorf("policy %s %w: family %s has a read lease, and workers answer from memory only as long as everybody announces changes "+
				"(class-routing, fence)", to.Name, ErrSwitch, f.Name)
		}
	}
	return nil
}

// Policy is the policy of the moment.
func (p *Process) Policy() Policy { return p.now.Load().policy }

// switchPatience is how long a switch waits for writes under way; those that come meanwhile wait as long.
const switchPatience = 5 * time.Second

// SwitchPolicy has a new cache take the old one's place. Its memory is empty, Redis is as it was. Reads go on meanwhile, by
// the old policy if they began before. No write is under way at that moment: or a copy of what it supersedes could come into the
// new memory, and the writer read that after it. After an error nothing has changed.
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
	old := p.now.Load()
	if err := switchable(p.cfg.Spec, old.policy, to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, switchPatience)
	defer cancel()
	fresh, err := p.generation(ctx, to)
	if err != nil {
		return err
	}
	if err := p.writes.shut(ctx); err != nil {
		return errors.Join(fmt.Errorf("the policy stays %s: writes are still under way: %w", old.policy.Name, err), fresh.close())
	}
	p.now.Store(fresh)
	p.writes.open()
	p.previous = old.policy
	p.metrics.Policy(to.Name)
	p.outdated.Go(func() { _ = old.close() })
	return nil
}

// crowd counts who is inside.
type crowd struct {
	mu     sync.Mutex
	inside int
	none   chan struct{} // closed when nobody is inside; nil: nobody waits for that
}

func (c *crowd) enter() {
	c.mu.Lock()
	c.inside++
	c.mu.Unlock()
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside--; c.inside == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// gone gives a channel that is closed when nobody is inside.
func (c *crowd) gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	none := c.none
	if none == nil {
		none = make(chan struct{})
	}
	if c.inside == 0 {
		close(none)
		return none
	}
	c.none = none
	return none
}

// gate lets any number in, until it is shut.
type gate struct {
	crowd
	closed chan struct{} // closed when the gate opens; nil: it is open
}

func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		closed := g.closed
		if closed == nil {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shut lets nobody in any more, and waits until nobody is inside. After an error the gate is open.
func (g *gate) shut(ctx context.Context) error {
	g.mu.Lock()
	g.closed = make(chan struct{})
	g.mu.Unlock()
	select {
	case <-g.gone():
		return nil
	case <-ctx.Done():
		g.open()
		return ctx.Err()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	close(g.closed)
	g.closed = nil
	g.mu.Unlock()
}

// present is the [Cache] that a process has at the moment of each call.
type present struct{ *Process }

// Get implements [Cache].
func (p present) Get(ctx context.Context, n key.Name) (reference.Answer, error) {
	g := p.enter()
	defer g.leave()
	return g.cache.Get(ctx, n)
}

// GetBypass implements [Cache].
func (p present) GetBypass(ctx context.Context, n key.Name, audit bool) (reference.Answer, error) {
	g := p.enter()
	defer g.leave()
	return g.cache.GetBypass(ctx, n, audit)
}

// Put implements [Cache].
func (p present) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	return p.write(ctx, func(c Cache) (source.Record, error) { return c.Put(ctx, n, value, token) })
}

// Delete implements [Cache].
func (p present) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return p.write(ctx, func(c Cache) (source.Record, error) { return c.Delete(ctx, n) })
}

func (p present) write(ctx context.Context, change func(Cache) (source.Record, error)) (source.Record, error) {
	if err := p.writes.enter(ctx); err != nil {
		return source.Record{}, fmt.Errorf("%w: waiting for a switch of the policy: %w", source.ErrNotApplied, err)
	}
	defer p.writes.leave()
	g := p.enter()
	defer g.leave()
	return change(g.cache)
}

// Prewarm implements [Cache].
func (p present) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	g := p.enter()
	defer g.leave()
	return g.cache.Prewarm(ctx, names, position)
}

// Close implements [Cache]; see [Process.Close].
func (present) Close() {}
