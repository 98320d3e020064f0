package reference

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
)

// load reads a name at the source, and redacts what it finds. The entry has no life yet; see
// [policy.Policy.Admit].
func (c *Cache) load(ctx context.Context, o *op, audit bool) (e entry.Entry, fenced bool, err error) {
	by := c.caller()
	by.Audit = audit
	asked := c.clock.Instant()
	r, err := c.source.Load(ctx, o.name, by)
	if err != nil {
		return entry.Entry{}, false, err
	}
	c.clock.Learn(r.T0, asked)
	took := time.Duration(c.clock.Instant() - asked)
	if e, err = o.family.entryOf(r, took); err != nil {
		return entry.Entry{}, false, err
	}
	return e, r.Fenced, nil
}

// lookup is what Redis answered about a key; the zero lookup that it was not asked.
type lookup struct {
	entry.Entry
	gaps        uint64 // of memory, before Redis was asked
	done, found bool
	err         error
}

func (c *Cache) look(ctx context.Context, o *op) lookup {
	l := lookup{gaps: c.l1.Gaps(), done: true}
	l.Entry, l.found, l.err = c.l2.Get(ctx, o.key)
	return l
}

// noStore is the lease of a fill while Redis is away: what is loaded is not offered to Redis.
const noStore = "-"

// fill loads from the source and stores what it found under the fill lease; "" stores without one.
func (c *Cache) fill(ctx context.Context, o *op, lease string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	gaps := c.l1.Gaps()
	e, _, err := c.load(ctx, o, false)
	leased := lease != "" && lease != noStore
	if err != nil || !c.policy.Keeps(e.Meta.Kind) {
		if leased {
			c.releaseLease(o, lease)
		}
		return answer(&e, TierSource), err
	}
	c.admit(o, &e)
	offered := l2.Unsettled
	if lease != noStore {
		// An answer in hand is given whether or not Redis takes the copy.
		if offered, _ = c.l2.Store(ctx, o.key, e, c.clock.Now(), lease); leased && offered == l2.Unsettled {
			c.releaseLease(o, lease)
		}
	}
	// What has overtaken it may be gone from memory by now, so that nothing there would refuse it.
	if offered != l2.Overtaken {
		c.l1.Put(o.key, o.copyOf(e, gaps))
	}
	return answer(&e, TierSource), nil
}

// releaseLease frees a fill lease whose load came to nothing, also when the load's own time is
// over.
func (c *Cache) releaseLease(o *op, lease string) {
	ctx, cancel := c.ownTime()
	defer cancel()
	_ = c.l2.Release(ctx, o.key, lease) // else it ends by its TTL
}

// releaseAsync frees, while the caller goes on, a fill lease whose grant may have been lost on the
// way here.
func (c *Cache) releaseAsync(o *op, lease string) {
	if lease != "" {
		_ = c.work.Go(func() { c.releaseLease(o, lease) }) // of a closed cache it ends by its TTL
	}
}
