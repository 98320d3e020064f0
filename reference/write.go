package reference

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Writer takes changes, as [Cache.Put] and [Cache.Delete] do.
type Writer interface {
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
}

// Put writes a value to the source, on the family's [policy.WritePath]: its region's copies of what was there before are
// dropped, or replaced by the value. Other workers and regions hear of it through the source's commit log. An error that is
// [source.ErrNotApplied] guarantees that nothing was written; after another one nobody knows. ctx alone bounds how long it may take: of a
// family with a lease at least that. The value may be changed after the call.
//
// token is kept beside the value in the commit log, to tell who wrote it: a request's id, or nothing. It is not looked at: a write that is
// repeated with its token is another version.
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
	if f.Contract.Writes == policy.WriteBehind {
		return c.cfg.Behind.Put(ctx, n, value, token)
	}
	return c.change(ctx, k, n, f, policy.Value, func(by source.Caller) (source.Record, error) {
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
	if f.Contract.Writes == policy.WriteBehind {
		return c.cfg.Behind.Delete(ctx, n)
	}
	return c.change(ctx, k, n, f, policy.Absence, func(by source.Caller) (source.Record, error) {
		return c.cfg.Source.Delete(ctx, n, by)
	})
}

// change commits at the source, and drops what the region has cached of what was there before, or replaces it.
func (c *Cache) change(ctx context.Context, k string, n key.Name, f Family, kind policy.Kind, commit func(source.Caller) (source.Record, error)) (source.Record, error) {
	by := source.Caller{Region: c.cfg.Region}
	if f.Contract.ReadLease > 0 && c.policy.Confirms(f.Contract) && c.policy.Controls.Has(policy.Fence) {
		free, err := c.announce(ctx, k, n, f, &by)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		defer free()
	}
	claimed := c.claim(k, f, kind)
	asked := c.clock.instant()
	c.l1.read(asked) // what a worker that only writes leaves in its memory would end too early
	r, err := commit(by)
	if err != nil {
		c.orphan(k, claimed.token)
		return source.Record{}, err
	}
	c.clock.heard(r.T0, asked)
	took := time.Duration(c.clock.instant() - asked)
	if claimed.granted && c.leave(k, n, f, r, took, claimed) {
		return r, nil
	}
	c.drop(k, f, r.Version)
	own, cancel := context.WithTimeout(c.life, redisTimeout)
	defer cancel()
	// The write stands whether or not Redis hears of it now: the relay will tell it again.
	_ = c.l2.invalidate(own, k, f.Contract, r.Version, c.clock.now())
	return r, nil
}

// claim is a writer's right to leave what it commits in the caches.
type claim struct {
	granted bool
	token   string // of the lease; "" where none is needed
	era     uint64 // of memory, before the commit
}

// writeLease is how long a writer's lease lasts: readers who find nothing wait for it, as they do for somebody who loads. A write
// that takes longer leaves nothing.
const writeLease = 250 * time.Millisecond

// claim asks for the right to leave what is about to be committed. A name that somebody is loading has its lease given away:
// then the writer voids that one, and leaves nothing.
func (c *Cache) claim(k string, f Family, kind policy.Kind) claim {
	if !c.policy.Leaves(f.Contract, kind) {
		return claim{}
	}
	got := claim{granted: true, era: c.l1.now()}
	if !c.policy.Claims(f.Contract) {
		return got
	}
	ctx, cancel := context.WithTimeout(c.life, redisTimeout)
	defer cancel()
	var err error
	got.token, _, err = c.l2.lease(ctx, k, writeLease, anyCopy)
	if err != nil {
		c.orphan(k, got.token)
		return claim{}
	}
	got.granted = got.token != ""
	return got
}

// leave puts what was committed into the region's Redis and the worker's memory. Where Redis does not take it, something
// may have overtaken it, and memory does not get it either. It says whether it is there.
func (c *Cache) leave(k string, n key.Name, f Family, r source.Record, took time.Duration, by claim) bool {
	e, err := f.entryOf(r, took)
	offered := unsettled
	if err == nil {
		e.value = bytes.Clone(e.value) // the writer's own may change
		e.meta = c.policy.Admit(f.Contract, e.meta, rand.Float64())
		ctx, cancel := context.WithTimeout(c.life, redisTimeout)
		defer cancel()
		offered, err = c.l2.store(ctx, k, e, c.clock.now(), by.token)
	}
	if offered == unsettled {
		c.orphan(k, by.token)
	}
	// A policy that looks at no versions hears of nothing that would have overtaken it.
	if err != nil || offered == overtaken || offered == unsettled && c.policy.Controls.Has(policy.VersionedStore) {
		return false
	}
	c.l1.put(k, &copied{entry: e, name: n, era: by.era})
	return true
}

// entryOf makes an entry of what the source said, redacted. It has no life yet; see [policy.Policy.Admit].
func (f Family) entryOf(r source.Record, took time.Duration) (e entry, err error) {
	e = entry{meta: policy.Meta{Kind: policy.Value, Version: r.Version, T0: r.T0, Took: took}, value: r.Value}
	if absent(r) {
		e.meta.Kind, e.value = policy.Absence, nil
		return e, nil
	}
	if f.Redact != nil {
		e.value, err = f.Redact(e.value)
	}
	return e, err
}

// drop forgets the worker's own copy of everything older than version.
func (c *Cache) drop(k string, f Family, version uint64) {
	if c.policy.Controls.Has(policy.VersionedStore) {
		c.l1.put(k, &copied{entry: entry{meta: c.policy.FloorFor(f.Contract, version, c.clock.now())}})
		return
	}
	c.l1.delete(k)
}

// Invalidated says that one place holds nothing older than a version of a name any more.
type Invalidated struct {
	Key     string // as the family's schema builds it
	Version uint64
}
