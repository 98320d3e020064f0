package reference

import (
	"context"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Writer takes changes, as [Cache.Put] and [Cache.Delete] do.
type Writer interface {
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
}

// Put writes a value through to the source, then drops what the worker and the region's Redis have cached of it. Other
// workers and regions hear of it through the source's commit log. An error that is
// [source.ErrNotApplied] guarantees that nothing was written; after another one nobody knows. ctx alone bounds how long it may take: of a
// family with a lease at least that.
//
// token is kept beside the value in the commit log, to tell who wrote it: a request's id, or nothing. It is not looked at: a write that is
// repeated with its token is another version. value must not be changed afterwards.
func (c *Cache) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	began := c.clock.instant()
	r, err := c.put(ctx, n, value, token)
	c.wrote(n.Family, false, err, began)
	return r, err
}

// put is [Cache.Put], untold of.
func (c *Cache) put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	if f.Contract.Behind {
		return c.cfg.Behind.Put(ctx, n, value, token)
	}
	return c.change(ctx, k, n, f, func(by source.Caller) (source.Record, error) {
		return c.cfg.Source.Store(ctx, n, value, token, by)
	})
}

// Delete makes a name absent at the source, as [Cache.Put] does of a value. Deleting what is not there is
// a change like any other.
func (c *Cache) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	began := c.clock.instant()
	r, err := c.remove(ctx, n)
	c.wrote(n.Family, true, err, began)
	return r, err
}

// remove is [Cache.Delete], untold of.
func (c *Cache) remove(ctx context.Context, n key.Name) (source.Record, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	if f.Contract.Behind {
		return c.cfg.Behind.Delete(ctx, n)
	}
	return c.change(ctx, k, n, f, func(by source.Caller) (source.Record, error) {
		return c.cfg.Source.Delete(ctx, n, by)
	})
}

// change commits at the source and drops what the region has cached of what was there before.
func (c *Cache) change(ctx context.Context, k string, n key.Name, f Family, commit func(source.Caller) (source.Record, error)) (source.Record, error) {
	by := source.Caller{Region: c.cfg.Region}
	if f.Contract.Lease > 0 && c.policy.Confirms(f.Contract) && c.policy.Controls.Has(policy.Fence) {
		free, err := c.announce(ctx, k, n, f, &by)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		defer free()
	}
	asked := c.clock.instant()
	r, err := commit(by)
	if err != nil {
		return source.Record{}, err
	}
	c.clock.heard(r.T0, asked)
	c.drop(k, f, r.Version)
	own, cancel := context.WithTimeout(c.life, redisTimeout)
	defer cancel()
	// The write stands whether or not Redis hears of it now: the relay will tell it again.
	_ = c.l2.invalidate(own, k, f.Contract, r.Version, c.clock.now())
	return r, nil
}

// drop forgets the worker's own copy of everything older than version.
func (c *Cache) drop(k string, f Family, version uint64) {
	if c.policy.Controls.Has(policy.VersionedStore) {
		c.l1.put(k, &copied{entry: entry{meta: c.policy.FloorFor(f.Contract, version, c.clock.now())}})
		return
	}
	c.l1.delete(k)
}

// Drop says that one place holds nothing older than a version of a name any more.
type Drop struct {
	Key     string // as the family's schema builds it
	Version uint64
}
