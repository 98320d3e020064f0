package reference

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Put writes a value to the source, on the family's [policy.WritePath]: its region's copies of what
// was there before are dropped, or replaced by the value. Other workers and regions hear of it
// through the source's commit log. An error that is [source.ErrNotApplied] guarantees that nothing
// was written; after another one the outcome is unknown. ctx alone bounds how long it may take: of
// a family with a read lease at least that. The value may be changed after the call.
//
// token is kept beside the value in the commit log, to tell who wrote it: a request's id, or
// nothing. It is not looked at: a write that is repeated with its token is another version.
func (c *Cache) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	return c.instrumented.write(n.Family, false, func() (source.Record, error) {
		o, err := c.op(n)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		if o.contract().Writes == policy.WriteBehind {
			return c.cfg.WriteBehind.Put(ctx, n, value, token)
		}
		return c.change(ctx, o, policy.Value, func(by source.Caller) (source.Record, error) {
			return c.cfg.Source.Store(ctx, n, value, token, by)
		})
	})
}

// Delete makes a name absent at the source, as [Cache.Put] does of a value. Deleting what is not
// there is a change like any other.
func (c *Cache) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return c.instrumented.write(n.Family, true, func() (source.Record, error) {
		o, err := c.op(n)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		if o.contract().Writes == policy.WriteBehind {
			return c.cfg.WriteBehind.Delete(ctx, n)
		}
		return c.change(ctx, o, policy.Absence, func(by source.Caller) (source.Record, error) {
			return c.cfg.Source.Delete(ctx, n, by)
		})
	})
}

// change commits at the source, and drops what the region has cached of what was there before, or
// replaces it.
func (c *Cache) change(ctx context.Context, o *op, kind policy.Kind, commit func(source.Caller) (source.Record, error)) (source.Record, error) {
	by := c.caller()
	if o.contract().ReadLease > 0 && c.policy.Confirms(o.contract()) && c.policy.Controls.Has(policy.Fence) {
		free, err := c.fenceWrites(ctx, o, &by)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		defer free()
	}
	lease := c.acquireWriteLease(o, kind)
	asked := c.clock.Instant()
	r, err := commit(by)
	if err != nil {
		c.releaseAsync(o, lease.token)
		return source.Record{}, err
	}
	c.clock.Learn(r.T0, asked)
	took := time.Duration(c.clock.Instant() - asked)
	if lease.granted && c.writeThrough(o, r, took, lease) {
		return r, nil
	}
	c.invalidateL1(o.key, o.contract(), r.Version)
	own, cancel := c.ownTime()
	defer cancel()
	// The write stands whether or not Redis hears of it now: the relay will publish it again.
	_ = c.l2.Invalidate(own, l2.Superseded{Key: o.key, Family: o.contract(), Version: r.Version, Now: c.clock.Now()})
	return r, nil
}

// writeLease is a writer's right to leave what it commits in the caches.
type writeLease struct {
	granted bool
	token   string // of the fill lease; "" where none is needed
	gaps    uint64 // of memory, before the commit
}

// writeLeaseTTL is how long a writer's lease lasts: readers who find nothing wait for it, as they
// do for another load. A write that takes longer leaves nothing.
const writeLeaseTTL = 250 * time.Millisecond

// acquireWriteLease asks for the right to leave what is about to be committed. A name that is being
// loaded has its lease granted already: then the writer voids that one, and leaves nothing.
func (c *Cache) acquireWriteLease(o *op, kind policy.Kind) writeLease {
	if !c.policy.Leaves(o.contract(), kind) {
		return writeLease{}
	}
	lease := writeLease{granted: true, gaps: c.l1.Gaps()}
	if !c.policy.Claims(o.contract()) {
		return lease
	}
	ctx, cancel := c.ownTime()
	defer cancel()
	var err error
	lease.token, _, err = c.l2.Lease(ctx, o.key, writeLeaseTTL, l2.AnyCopy)
	if err != nil {
		c.releaseAsync(o, lease.token)
		return writeLease{}
	}
	lease.granted = lease.token != ""
	return lease
}

// writeThrough puts what was committed into the region's Redis and the worker's memory. Where Redis
// does not take it, something may have overtaken it, and memory does not get it either. It says
// whether it is there.
func (c *Cache) writeThrough(o *op, r source.Record, took time.Duration, lease writeLease) bool {
	e, err := o.family.entryOf(r, took)
	offered := l2.Unsettled
	if err == nil {
		e.Value = bytes.Clone(e.Value) // the writer's own may change
		c.admit(o, &e)
		ctx, cancel := c.ownTime()
		defer cancel()
		offered, err = c.l2.Store(ctx, o.key, e, c.clock.Now(), lease.token)
	}
	if offered == l2.Unsettled {
		c.releaseAsync(o, lease.token)
	}
	// A policy that looks at no versions hears of nothing that would have overtaken it.
	if err != nil || offered == l2.Overtaken || offered == l2.Unsettled && c.policy.Controls.Has(policy.VersionedStore) {
		return false
	}
	c.l1.Put(o.key, o.copyOf(e, lease.gaps))
	return true
}

// invalidateL1 drops the worker's own copy of everything older than version.
func (c *Cache) invalidateL1(k string, f policy.Family, version uint64) {
	c.l1.Tick(c.clock.Instant())
	if c.policy.Controls.Has(policy.VersionedStore) {
		c.l1.Put(k, &l1.Copy{Entry: entry.Entry{Meta: c.policy.FloorFor(f, version, c.clock.Now())}})
		return
	}
	c.l1.Delete(k)
}
