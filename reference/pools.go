package reference

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// split gives the configuration of each pool's cache.
func (cfg Config) split() (map[string]Config, error) {
	at := map[string]Family{} // of a namespace: its first family
	out := map[string]Config{}
	for _, f := range cfg.Families {
		if _, err := cfg.store(f); err != nil {
			return nil, err
		}
		if before, seen := at[f.Namespace]; seen && f.Namespace != "" {
			if before.Pool != f.Pool {
				return nil, fmt.Errorf("%w: namespace %s has %s in %s and %s in %s, and must be in one", ErrPool, f.Namespace,
					before.Schema.Family, poolName(before.Pool), f.Schema.Family, poolName(f.Pool))
			}
			if before.Contract.Class != f.Contract.Class {
				return nil, fmt.Errorf("family %s: %w: %s has %s and %s", f.Schema.Family, ErrMixed, f.Namespace, before.Contract.Class, f.Contract.Class)
			}
		} else {
			at[f.Namespace] = f
		}
		here, seen := out[f.Pool]
		if !seen {
			here = cfg
			here.Families = nil
			if o := cfg.Pools[f.Pool].Observer; f.Pool != "" && o != nil {
				here.Observer = o
			}
		}
		here.Families = append(here.Families, f)
		out[f.Pool] = here
	}
	return out, nil
}

// Pools is one worker's view of tiers in several pools: a [Cache] for each, with memory, listener,
// circuit breaker and source guard of its own, so that nothing but the source is common to two
// pools. It is safe for concurrent use.
type Pools struct {
	families map[string]*Cache
	caches   map[string]*Cache // by pool
}

// NewPools makes a worker's caches, as [New] makes one. L1Size counts for each pool. It fails with
// [ErrPool] where a family is in a pool that is not configured, and where a namespace is in two.
func NewPools(ctx context.Context, cfg Config) (*Pools, error) {
	if len(cfg.Families) == 0 { // still a cache, which knows no family
		cache, err := New(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return &Pools{caches: map[string]*Cache{"": cache}}, nil
	}
	split, err := cfg.split()
	if err != nil {
		return nil, err
	}
	shared := &breakers{}
	p := &Pools{families: map[string]*Cache{}, caches: map[string]*Cache{}}
	for _, pool := range slices.Sorted(maps.Keys(split)) {
		here := split[pool]
		if len(split) > 1 && here.Observer != nil && cfg.Pools[pool].Observer == nil {
			here.Observer = &poolObserver{Observer: here.Observer, all: shared}
		}
		cache, err := New(ctx, here)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("%s: %w", poolName(pool), err)
		}
		p.caches[pool] = cache
		for _, f := range here.Families {
			p.families[f.Schema.Family] = cache
		}
	}
	return p, nil
}

// breakers counts the breakers that are open, of pools that share an observer.
type breakers struct {
	mu   sync.Mutex
	open int
}

// poolObserver reports the breakers of several pools as one, which is open while any is.
type poolObserver struct {
	Observer
	all  *breakers
	open bool // under all.mu
}

// Breaker implements [Observer].
func (o *poolObserver) Breaker(open bool) {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	switch {
	case open && !o.open:
		o.all.open++
	case !open && o.open:
		o.all.open--
	}
	o.open = open
	o.Observer.Breaker(o.all.open > 0)
}

// At gives the cache of a pool, "" being the region's own; nil where no family is there.
func (p *Pools) At(pool string) *Cache { return p.caches[pool] }

// of finds the cache of a family.
func (p *Pools) of(family string) (*Cache, error) {
	if c, ok := p.families[family]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%w %q", ErrFamily, family)
}

// Get reads a name; see [Cache.Get].
func (p *Pools) Get(ctx context.Context, n key.Name) (Answer, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return Answer{}, err
	}
	return c.Get(ctx, n)
}

// GetBypass reads a name from the source; see [Cache.GetBypass].
func (p *Pools) GetBypass(ctx context.Context, n key.Name, audit bool) (Answer, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return Answer{}, err
	}
	return c.GetBypass(ctx, n, audit)
}

// Put writes a value; see [Cache.Put].
func (p *Pools) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return c.Put(ctx, n, value, token)
}

// Delete makes a name absent; see [Cache.Delete].
func (p *Pools) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return c.Delete(ctx, n)
}

// Warm makes sure that the caches hold a name; see [Cache.Warm].
func (p *Pools) Warm(ctx context.Context, n key.Name, renew bool) error {
	c, err := p.of(n.Family)
	if err != nil {
		return err
	}
	return c.Warm(ctx, n, renew)
}

// Prewarm fills the pools' Redises; see [Cache.Prewarm].
func (p *Pools) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	type share struct {
		names []key.Name
		at    []int // their numbers among all
	}
	shares := map[*Cache]*share{}
	for i, n := range names {
		c, err := p.of(n.Family)
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		if shares[c] == nil {
			shares[c] = &share{}
		}
		shares[c].names, shares[c].at = append(shares[c].names, n), append(shares[c].at, i)
	}
	for c, s := range shares {
		if err := c.Prewarm(ctx, s.names, func(i int) float64 { return position(s.at[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the background work of every pool and waits for it.
func (p *Pools) Close() {
	for _, c := range p.caches {
		c.Close()
	}
}
