package reference

import (
	"context"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// fetch answers what the worker's memory could not: from Redis, or else from the source under the
// region's fill lease. When Redis is away it goes to the source, and what it finds lives in memory
// only. When that fails too it answers with a copy that is only just good enough, if there is one.
// The first look at Redis may have been taken already.
func (c *Cache) fetch(ctx context.Context, o *op, look lookup) (Answer, error) {
	var stale staleCopy
	if held, ok := c.l1.Get(o.key); ok {
		stale.note(c.decide(o, held.Meta), held.Entry, TierL1)
	}
	a, err := c.lookThenLoad(ctx, o, look, &stale)
	if err != nil {
		if a, ok := stale.answer(c.policy, o.contract(), c.clock.Now()); ok {
			c.observer.Stale(o.familyName(), StaleIfError)
			return a, nil
		}
	}
	return a, err
}

// staleCopy is the best copy met on the way that may be served only when everything fails
// (stale-if-error, RFC 5861).
type staleCopy struct {
	entry.Entry
	tier Tier
}

func (s *staleCopy) note(a policy.Action, e entry.Entry, t Tier) {
	if a == policy.IfError && e.Meta.T0 > s.Meta.T0 {
		s.Entry, s.tier = e, t
	}
}

// answer gives the copy if it is still good enough at source time now.
func (s *staleCopy) answer(p policy.Policy, f policy.Family, now int64) (Answer, bool) {
	if s.tier == "" || now >= s.Meta.DropAt || p.TooOld(f, s.Meta.T0, now) {
		return Answer{}, false
	}
	a := answer(&s.Entry, s.tier)
	a.StaleIfError = true
	return a, true
}

// lookThenLoad looks into Redis until there is a copy to serve, or this worker may load the name.
func (c *Cache) lookThenLoad(ctx context.Context, o *op, look lookup, stale *staleCopy) (Answer, error) {
	for waits := 0; ; look = (lookup{}) {
		if !look.done {
			look = c.look(ctx, o)
		}
		if look.err != nil {
			return c.fill(ctx, o, noStore)
		}
		if look.found {
			if a, ok := c.serveL2(o, look, stale); ok {
				return a, nil
			}
		}
		if !c.policy.Controls.Has(policy.FillLease) {
			return c.fill(ctx, o, "")
		}
		// A copy that is there and can't be served any more must be replaced, not waited for.
		meanwhile := lookup{gaps: c.l1.Gaps()}
		var lease string
		var err error
		lease, meanwhile.Entry, err = c.l2.Lease(ctx, o.key, leaseTTL, l2.Replacing(look.Entry, look.found))
		switch {
		case err != nil:
			c.releaseAsync(o, lease)
			return c.fill(ctx, o, noStore)
		case lease != "":
			return c.fill(ctx, o, lease)
		}
		if a, ok := c.serveL2(o, meanwhile, stale); ok {
			return a, nil
		}
		if waits++; waits == 1 {
			c.observer.LeaseWait(o.familyName())
		}
		if err := background.Sleep(ctx, leasePoll); err != nil {
			return Answer{}, fmt.Errorf("waiting for another worker to load %s: %w", o.key, err)
		}
	}
}

// serveL2 serves a copy from Redis, if it may be served, and keeps it in memory.
func (c *Cache) serveL2(o *op, found lookup, stale *staleCopy) (Answer, bool) {
	switch a := c.decide(o, found.Meta); a {
	case policy.Serve:
	case policy.Refresh:
		c.servedForNow(o.family, &found.Meta, c.clock.Now(), false)
		c.background(o, found.Meta.T0)
	default:
		stale.note(a, found.Entry, TierL2)
		return Answer{}, false
	}
	c.l1.Put(o.key, o.copyOf(found.Entry, found.gaps))
	return answer(&found.Entry, TierL2), true
}
