package zoo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Put implements [service.Cache].
func (c *textbook) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	if c.bugs.writeBehind && c.enqueue(ctx, pending{n, value, token}) {
		return source.Record{}, nil
	}
	return c.change(ctx, n, func() (source.Record, error) {
		return c.cfg.Source.Store(ctx, n, value, token, source.Caller{Region: c.cfg.Region})
	})
}

// Delete implements [service.Cache].
func (c *textbook) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return c.change(ctx, n, func() (source.Record, error) {
		return c.cfg.Source.Delete(ctx, n, source.Caller{Region: c.cfg.Region})
	})
}

// change commits first, and then drops what is cached of what was there before.
func (c *textbook) change(ctx context.Context, n key.Name, commit func() (source.Record, error)) (source.Record, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	own, cancel := context.WithTimeout(c.life, besides)
	defer cancel()
	into := invalidator{families: c.families, shared: c.cfg.Shared, bugs: c.bugs}
	if c.bugs.deleteFirst {
		c.forget(k, 0)
		_ = into.tell(own, k, f, 0)
		return commit()
	}
	r, err := commit()
	if err != nil || f.Contract.Class == policy.Strong {
		return r, err
	}
	c.forget(k, r.Version)
	_ = into.tell(own, k, f, r.Version) // the write stands whether or not Redis hears of it now
	return r, nil
}

// invalidator carries commits into a region's textbook caches.
type invalidator struct {
	region   string
	families map[string]reference.Family
	shared   store.Store
	bugs     bugs
}

func newInvalidator(region string, families []reference.Family, shared store.Store, q bugs) invalidator {
	v := invalidator{region: region, families: map[string]reference.Family{}, shared: shared, bugs: q}
	for _, f := range families {
		v.families[f.Schema.Family] = f
	}
	return v
}

// Apply implements [service.Invalidator].
func (v invalidator) Apply(ctx context.Context, e invalidation.Event) error {
	c := textbook{bugs: v.bugs, families: v.families}
	f, k, err := c.resolve(e.Name)
	if err != nil || f.Contract.Class == policy.Strong {
		return err
	}
	if v.bugs.unheard && e.Origin == v.region {
		return nil // the writer published to its own region, or meant to
	}
	ctx, cancel := context.WithTimeout(ctx, besides)
	defer cancel()
	return v.tell(ctx, k, f, e.Version)
}

// tell makes everything older than version unusable in Redis, then in the workers' memories: in the
// other order they would be filled again from Redis.
func (v invalidator) tell(ctx context.Context, k string, f reference.Family, version uint64) error {
	var err error
	if v.bugs.slowFill || v.bugs.deleteFirst {
		err = v.shared.Delete(ctx, k)
	} else {
		floor := entry{version: version, floor: true}.encode()
		_, err = v.shared.Run(ctx, newerScript, []string{k}, floor, fmt.Sprint(manyTTLs*f.Contract.TTL.Milliseconds()))
	}
	if err != nil {
		return fmt.Errorf("invalidating %s: %w", k, err)
	}
	if err := v.shared.Publish(ctx, channel, fmt.Sprintf("%016x %s", version, k)); err != nil {
		return fmt.Errorf("publishing that %s was superseded: %w", k, err)
	}
	return nil
}

// queue is the writes that a write-behind cache has acknowledged and not yet stored. What is to be
// written is in Redis, and nowhere else.
type queue struct {
	mu  sync.Mutex
	ids []pending
}

type pending struct {
	name  key.Name
	value []byte
	token string
}

func (p pending) id() string { return "behind:" + p.token }

// enqueue puts a write into Redis; false when that can't be done, so that it must be written
// through.
func (c *textbook) enqueue(ctx context.Context, p pending) bool {
	if c.cfg.Shared.Set(ctx, p.id(), p.value, time.Minute) != nil {
		return false
	}
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	c.queue.ids = append(c.queue.ids, p)
	return true
}

// Between two flushes of the write-behind queue.
const flushEvery = time.Second

// flush stores what was queued, until the cache is closed.
func (c *textbook) flush() {
	for pause(c.life, flushEvery) == nil {
		c.queue.mu.Lock()
		ids := c.queue.ids
		c.queue.ids = nil
		c.queue.mu.Unlock()
		for _, p := range ids {
			value, ok, err := c.cfg.Shared.Get(c.life, p.id())
			if err != nil || !ok {
				continue // Redis has forgotten it, and so has everybody
			}
			_, _ = c.change(c.life, p.name, func() (source.Record, error) {
				return c.cfg.Source.Store(c.life, p.name, value, p.token, source.Caller{Region: c.cfg.Region})
			})
		}
	}
}
