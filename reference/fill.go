package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// fetch answers what the worker's memory could not: from Redis, or else from the source under the
// region's lease. When Redis is away it goes to the source, and what it finds lives in memory only. When that fails too it
// answers with a copy that is only just good enough, if there is one.
// The first look at Redis may have been taken already.
func (c *Cache) fetch(ctx context.Context, k string, n key.Name, f Family, look lookup) (Answer, error) {
	var spare spares
	if held, ok := c.l1.get(k); ok {
		spare.note(c.decide(f, held.meta), held.entry, TierL1)
	}
	a, err := c.seek(ctx, k, n, f, look, &spare)
	if err != nil {
		if a, ok := spare.answer(c.policy, f, c.clock.now()); ok {
			c.watch.Stale(f.Schema.Family, StaleIfError)
			return a, nil
		}
	}
	return a, err
}

// spares is the best copy met on the way that may be served only when everything fails.
type spares struct {
	entry
	tier Tier
}

func (s *spares) note(a policy.Action, e entry, t Tier) {
	if a == policy.IfError && e.meta.T0 > s.meta.T0 {
		s.entry, s.tier = e, t
	}
}

// answer gives the copy if it is still good enough at source time now.
func (s *spares) answer(p policy.Policy, f Family, now int64) (Answer, bool) {
	if s.tier == "" || now >= s.meta.DropAt || p.TooOld(f.Contract, s.meta.T0, now) {
		return Answer{}, false
	}
	a := answer(&s.entry, s.tier)
	a.StaleIfError = true
	return a, true
}

func (c *Cache) seek(ctx context.Context, k string, n key.Name, f Family, look lookup, spare *spares) (Answer, error) {
	for waits := 0; ; look = (lookup{}) {
		if !look.done {
			look = c.look(ctx, k)
		}
		e, found, era := look.entry, look.found, look.era
		if look.err != nil {
			return c.fill(ctx, k, n, f, noStore)
		}
		if found {
			if a, ok := c.adopt(k, n, f, e, era, spare); ok {
				return a, nil
			}
		}
		if !c.policy.Controls.Has(policy.FillLease) {
			return c.fill(ctx, k, n, f, "")
		}
		// A copy that is there and can't be served any more must be replaced, not waited for.
		era = c.l1.now()
		token, e, err := c.l2.lease(ctx, k, leaseTTL, replacing(e, found))
		switch {
		case err != nil:
			c.orphan(k, token)
			return c.fill(ctx, k, n, f, noStore)
		case token != "":
			return c.fill(ctx, k, n, f, token)
		}
		if a, ok := c.adopt(k, n, f, e, era, spare); ok {
			return a, nil
		}
		if waits++; waits == 1 {
			c.watch.LeaseWait(f.Schema.Family)
		}
		if err := sleep(ctx, leasePoll); err != nil {
			return Answer{}, fmt.Errorf("waiting for another worker to load %s: %w", k, err)
		}
	}
}

// lookup is what Redis said of a key; the zero lookup that it was not asked.
type lookup struct {
	entry
	era         uint64
	done, found bool
	err         error
}

func (c *Cache) look(ctx context.Context, k string) lookup {
	l := lookup{era: c.l1.now(), done: true}
	l.entry, l.found, l.err = c.l2.get(ctx, k)
	return l
}

// decide is the policy's decision about a copy now.
func (c *Cache) decide(f Family, m policy.Meta) policy.Action {
	return c.policy.Lookup(f.Contract, m, c.clock.now(), rand.Float64())
}

// adopt serves a copy from Redis, if it may be served, and keeps it in memory.
func (c *Cache) adopt(k string, n key.Name, f Family, e entry, era uint64, spare *spares) (Answer, bool) {
	switch a := c.decide(f, e.meta); a {
	case policy.Serve:
	case policy.Refresh:
		c.sawRefresh(&f, &e.meta, c.clock.now(), false)
		c.background(k, n, f, e.meta.T0)
	default:
		spare.note(a, e, TierL2)
		return Answer{}, false
	}
	c.l1.put(k, &copied{entry: e, name: n, era: era})
	return answer(&e, TierL2), true
}

// renew replaces a copy that was read at source time t0, unless another worker did or is at it.
func (c *Cache) renew(ctx context.Context, k string, n key.Name, f Family, t0 int64) (Answer, error) {
	era := c.l1.now()
	e, found, err := c.l2.get(ctx, k)
	if err != nil {
		return c.fill(ctx, k, n, f, noStore)
	}
	if found && e.meta.T0 > t0 && c.decide(f, e.meta) == policy.Serve {
		c.l1.put(k, &copied{entry: e, name: n, era: era})
		return answer(&e, TierL2), nil
	}
	return c.reload(ctx, k, n, f, replacing(e, found))
}

// reload replaces a copy, see [replacing], unless another worker is at it or has replaced it.
func (c *Cache) reload(ctx context.Context, k string, n key.Name, f Family, replace string) (Answer, error) {
	token, era := "", c.l1.now()
	if c.policy.Controls.Has(policy.FillLease) {
		var e entry
		var err error
		token, e, err = c.l2.lease(ctx, k, leaseTTL, replace)
		if err != nil {
			c.orphan(k, token)
			return c.fill(ctx, k, n, f, noStore)
		}
		if token == "" {
			if e.meta.Kind != policy.Nothing {
				c.l1.put(k, &copied{entry: e, name: n, era: era})
			}
			return Answer{}, nil // its holder's fill will be found in Redis at the next attempt
		}
	}
	return c.fill(ctx, k, n, f, token)
}

// noStore tells fill that Redis is away.
const noStore = "-"

// fill loads from the source and stores what it found under the lease token; "" stores without one.
func (c *Cache) fill(ctx context.Context, k string, n key.Name, f Family, token string) (Answer, error) {
	own, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	era := c.l1.now()
	e, _, err := c.load(own, n, f, false)
	leased := token != "" && token != noStore
	if err != nil || !c.policy.Keeps(e.meta.Kind) {
		if leased {
			c.giveBack(k, token)
		}
		return answer(&e, TierSource), err
	}
	e.meta = c.policy.Admit(f.Contract, e.meta, rand.Float64())
	offered := unsettled
	if token != noStore {
		// An answer in hand is given whether or not Redis takes the copy.
		if offered, _ = c.l2.store(ctx, k, e, c.clock.now(), token); leased && offered == unsettled {
			c.giveBack(k, token)
		}
	}
	// What has overtaken it may be gone from memory by now, so that nothing there would refuse it.
	if offered != overtaken {
		c.l1.put(k, &copied{entry: e, name: n, era: era})
	}
	return answer(&e, TierSource), nil
}

// giveBack frees a lease whose load came to nothing, also when the load's own time is over.
func (c *Cache) giveBack(k, token string) {
	ctx, cancel := context.WithTimeout(c.life, redisTimeout)
	defer cancel()
	_ = c.l2.release(ctx, k, token) // else it ends by its TTL
}

// orphan gives back, without anybody waiting, a lease whose grant may have been lost on the way here.
func (c *Cache) orphan(k, token string) {
	if token == "" || !c.begin() {
		return
	}
	go func() {
		defer c.running.Done()
		c.giveBack(k, token)
	}()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
