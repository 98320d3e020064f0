package reference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Place is a Redis that some families have to themselves, beside the region's own: a database of its own, or a server. What
// happens to it happens to them only, and what happens to another place is nothing to them.
type Place struct {
	Shared   store.Store
	Observer Observer // told of the families here; nil: the configuration's
}

// ErrPlace marks a family whose place nobody has configured, or whose namespace is in two places.
var ErrPlace = errors.New("no such place")

// storeOf gives the Redis of a place; "" is the region's own.
func (cfg Config) storeOf(place string) (store.Store, error) {
	if place == "" {
		return cfg.Shared, nil
	}
	if p, ok := cfg.Places[place]; ok && p.Shared != nil {
		return p.Shared, nil
	}
	known := "the region's own Redis is the only one"
	if len(cfg.Places) > 0 {
		known = "there are " + strings.Join(slices.Sorted(maps.Keys(cfg.Places)), ", ")
	}
	return nil, fmt.Errorf("%w: %q; %s", ErrPlace, place, known)
}

// store gives the Redis of a family.
func (cfg Config) store(f Family) (store.Store, error) {
	s, err := cfg.storeOf(f.Place)
	if err != nil {
		return nil, fmt.Errorf("family %s: %w", f.Schema.Family, err)
	}
	return s, nil
}

// places lists the places of families, each once, in their order.
func places(families []Family) (all []string) {
	for _, f := range families {
		if !slices.Contains(all, f.Place) {
			all = append(all, f.Place)
		}
	}
	return all
}

// split gives the configuration of each place's cache.
func (cfg Config) split() (map[string]Config, error) {
	at := map[string]Family{} // of a namespace: its first family
	out := map[string]Config{}
	for _, f := range cfg.Families {
		if _, err := cfg.store(f); err != nil {
			return nil, err
		}
		if before, seen := at[f.Namespace]; seen && f.Namespace != "" {
			if before.Place != f.Place {
				return nil, fmt.Errorf("%w: namespace %s has %s in %s and %s in %s, and must be in one", ErrPlace, f.Namespace,
					before.Schema.Family, placeName(before.Place), f.Schema.Family, placeName(f.Place))
			}
			if before.Contract.Class != f.Contract.Class {
				return nil, fmt.Errorf("family %s: %w: %s has %s and %s", f.Schema.Family, ErrMixed, f.Namespace, before.Contract.Class, f.Contract.Class)
			}
		} else {
			at[f.Namespace] = f
		}
		here, seen := out[f.Place]
		if !seen {
			here = cfg
			here.Families = nil
			if o := cfg.Places[f.Place].Observer; f.Place != "" && o != nil {
				here.Observer = o
			}
		}
		here.Families = append(here.Families, f)
		out[f.Place] = here
	}
	return out, nil
}

func placeName(place string) string {
	if place == "" {
		return "the region's own Redis"
	}
	return "place " + place
}

// Placed is one worker's view of tiers in several places: a [Cache] for each, with memory, listener, circuit breaker and
// source guard of its own, so that nothing but the source is common to two places. It is safe for concurrent use.
type Placed struct {
	families map[string]*Cache
	caches   map[string]*Cache // by place
}

// NewPlaced makes a worker's caches, as [New] makes one. L1Size counts for each place. It fails with [ErrPlace] where a family is in
// a place that is not configured, and where a namespace is in two.
func NewPlaced(ctx context.Context, cfg Config) (*Placed, error) {
	if len(cfg.Families) == 0 { // still a cache, which knows no family
		cache, err := New(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return &Placed{caches: map[string]*Cache{"": cache}}, nil
	}
	split, err := cfg.split()
	if err != nil {
		return nil, err
	}
	shared := &breakers{}
	p := &Placed{families: map[string]*Cache{}, caches: map[string]*Cache{}}
	for _, place := range slices.Sorted(maps.Keys(split)) {
		here := split[place]
		if len(split) > 1 && here.Observer != nil && cfg.Places[place].Observer == nil {
			here.Observer = &placeObserver{Observer: here.Observer, all: shared}
		}
		cache, err := New(ctx, here)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("%s: %w", placeName(place), err)
		}
		p.caches[place] = cache
		for _, f := range here.Families {
			p.families[f.Schema.Family] = cache
		}
	}
	return p, nil
}

// breakers counts the breakers that are open, of places that share an observer.
type breakers struct {
	mu   sync.Mutex
	open int
}

// placeObserver tells of the breakers of several places as of one, which is open while any is.
type placeObserver struct {
	Observer
	all  *breakers
	open bool // under all.mu
}

// Breaker implements [Observer].
func (o *placeObserver) Breaker(open bool) {
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

// At gives the cache of a place, "" being the region's own; nil where no family is there.
func (p *Placed) At(place string) *Cache { return p.caches[place] }

// of finds the cache of a family.
func (p *Placed) of(family string) (*Cache, error) {
	if c, ok := p.families[family]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%w %q", ErrFamily, family)
}

// Get reads a name; see [Cache.Get].
func (p *Placed) Get(ctx context.Context, n key.Name) (Answer, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return Answer{}, err
	}
	return c.Get(ctx, n)
}

// GetPast reads a name from the source; see [Cache.GetPast].
func (p *Placed) GetPast(ctx context.Context, n key.Name, audit bool) (Answer, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return Answer{}, err
	}
	return c.GetPast(ctx, n, audit)
}

// Put writes a value; see [Cache.Put].
func (p *Placed) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return c.Put(ctx, n, value, token)
}

// Delete makes a name absent; see [Cache.Delete].
func (p *Placed) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	c, err := p.of(n.Family)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return c.Delete(ctx, n)
}

// Warm makes sure that the caches hold a name; see [Cache.Warm].
func (p *Placed) Warm(ctx context.Context, n key.Name, renew bool) error {
	c, err := p.of(n.Family)
	if err != nil {
		return err
	}
	return c.Warm(ctx, n, renew)
}

// Prewarm fills the places' Redises; see [Cache.Prewarm].
func (p *Placed) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
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

// Close ends the background work of every place and waits for it.
func (p *Placed) Close() {
	for _, c := range p.caches {
		c.Close()
	}
}
