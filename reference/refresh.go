package reference

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// background refreshes a copy, read at source time t0, while readers are served with it. A failed
// refresh is tried again by a later reader; until then the copy ages towards its bound.
func (c *Cache) background(o *op, t0 int64) {
	select {
	case c.refresh <- struct{}{}:
	default:
		c.observer.Refresh(o.familyName(), outcome(errSkipped))
		return
	}
	if c.work.Go(func() {
		defer func() { <-c.refresh }()
		_, err := c.joined(c.work.Context(), "refresh "+o.key, func(ctx context.Context) (Answer, error) { return c.renew(ctx, o, t0) })
		c.observer.Refresh(o.familyName(), outcome(err))
	}) != nil {
		<-c.refresh
	}
}

// renew replaces a copy that was read at source time t0, unless another worker did or is at it.
func (c *Cache) renew(ctx context.Context, o *op, t0 int64) (Answer, error) {
	look := c.look(ctx, o)
	if look.err != nil {
		return c.fill(ctx, o, noStore)
	}
	if look.found && look.Meta.T0 > t0 && c.decide(o, look.Meta) == policy.Serve {
		c.l1.Put(o.key, o.copyOf(look.Entry, look.gaps))
		return answer(&look.Entry, TierL2), nil
	}
	return c.forceRefresh(ctx, o, l2.Replacing(look.Entry, look.found))
}

// forceRefresh replaces a copy, see [l2.Replacing], unless another worker is at it or has replaced
// it.
func (c *Cache) forceRefresh(ctx context.Context, o *op, replace string) (Answer, error) {
	if !c.policy.Controls.Has(policy.FillLease) {
		return c.fill(ctx, o, "")
	}
	gaps := c.l1.Gaps()
	lease, e, err := c.l2.Lease(ctx, o.key, leaseTTL, replace)
	if err != nil {
		c.releaseAsync(o, lease)
		return c.fill(ctx, o, noStore)
	}
	if lease == "" {
		if e.Meta.Kind != policy.Nothing {
			c.l1.Put(o.key, o.copyOf(e, gaps))
		}
		return Answer{}, nil // its holder's fill will be found in Redis at the next attempt
	}
	return c.fill(ctx, o, lease)
}

// The copies that are kept hot: so many of a worker's most read ones, looked at so often.
const (
	hotNames = 64
	hotEvery = 100 * time.Millisecond
)

// keepHot renews, until the cache is closed, the copies that the worker serves most, before a
// reader would find that they have outlived their freshness.
func (c *Cache) keepHot() {
	tick := time.NewTicker(hotEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.work.Context().Done():
			return
		}
		c.renewHottest()
	}
}

func (c *Cache) renewHottest() {
	began, n := c.clock.Instant(), 0
	now := c.clock.At(began)
	for k, held := range c.l1.Hottest() {
		if n++; n > hotNames {
			return
		}
		f, ok := c.families[held.Name.Family]
		if ok && !c.policy.Confirms(f.Contract) && c.policy.Soon(held.Meta, now, hotEvery) && held.MayRefresh(now) {
			c.background(&op{k, held.Name, f, began}, held.Meta.T0)
		}
	}
}
