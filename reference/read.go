package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"unsafe"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Get reads a name. For a bounded family the answer is at most Within old; for a strong one it was
// the source's own at some moment since the call. An error means that no honest answer could be
// given in time; the package's comment lists them. That there is no value is an answer, not an
// error.
func (c *Cache) Get(ctx context.Context, n key.Name) (a Answer, err error) {
	if c.instrumented != nil {
		err = c.instrumented.get(ctx, c, &n, &a)
	} else {
		err = c.get(ctx, &n, c.clock.Instant(), &a)
	}
	return a, err
}

// get is Get for a reader that came at began. It keeps no pointer to n, and fills in an answer that
// is zero: copying answers would cost a hit in memory a fifth of its time.
func (c *Cache) get(ctx context.Context, n *key.Name, began sourceclock.Instant, a *Answer) (err error) {
	f, ok := c.families[n.Family]
	if !ok {
		return fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	var buffer [96]byte // longer keys cost an allocation
	b, err := f.keys.Append(buffer[:0], n)
	if err != nil {
		return err
	}
	c.l1.Tick(began)
	held, ok := c.l1.Get(unsafe.String(unsafe.SliceData(b), len(b))) // which keeps no key that it is asked for
	if c.policy.Confirms(f.Contract) {
		*a, err = c.readStrong(ctx, &op{string(b), *n, f, began}, held)
		return err
	}
	if ok {
		now := c.clock.At(began)
		if c.policy.ServesAnyway(&f.Contract, &held.Meta, now) && !c.l1.Suspect(held) {
			a.fill(&held.Entry, TierL1)
			return nil
		}
		action := c.policy.Lookup(f.Contract, held.Meta, now, rand.Float64())
		suspect := c.l1.Suspect(held)
		if suspect {
			action = c.policy.AfterGap(f.Contract, action)
		}
		switch action {
		case policy.Serve:
			a.fill(&held.Entry, TierL1)
			return nil
		case policy.Refresh:
			c.servedForNow(f, &held.Meta, now, suspect)
			if held.MayRefresh(now) {
				c.background(&op{string(b), *n, f, began}, held.Meta.T0)
			}
			a.fill(&held.Entry, TierL1)
			return nil
		}
	}
	*a, err = c.getPastMemory(ctx, &op{string(b), *n, f, began})
	return err
}

// getPastMemory reads a name that the worker's memory does not answer.
func (c *Cache) getPastMemory(ctx context.Context, o *op) (Answer, error) {
	if !c.policy.Controls.Has(policy.SingleFlight) {
		return c.fetch(ctx, o, lookup{})
	}
	for {
		a, err := c.read(ctx, o)
		// A load that was under way when this reader came may have read too long before.
		if err != nil || !c.policy.TooOld(o.contract(), a.t0, c.clock.At(o.began)) {
			return a, err
		}
	}
}

// read is fetch, once for all callers that come while it runs. The leading caller asks Redis
// itself, for a hit is one round trip and must not cost a change of goroutine; what takes longer
// goes on without it, since others may wait for that.
func (c *Cache) read(ctx context.Context, o *op) (Answer, error) {
	flight, lead := c.misses.Join(o.key)
	if !lead {
		return flight.Wait(ctx, o.key)
	}
	if !c.work.Begin() {
		c.misses.Land(o.key, flight, Answer{}, background.ErrClosed)
		return Answer{}, background.ErrClosed
	}
	var look lookup
	// Without a deadline of its own the client would keep the leader beyond its context.
	if c.policy.Controls.Has(policy.RedisDeadline) {
		look = c.look(ctx, o)
		if look.err == nil && look.found {
			if a, ok := c.serveL2(o, look, &staleCopy{}); ok {
				c.misses.Land(o.key, flight, a, nil)
				c.work.Done()
				return a, nil
			}
		}
		if ctx.Err() != nil {
			look = lookup{} // it proves nothing about Redis
		}
	}
	c.fly(o.key, flight, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, o, look) })
	return flight.Wait(ctx, o.key)
}

// GetBypass reads a name from the source, past every tier. audit marks it as no part of the
// workload.
func (c *Cache) GetBypass(ctx context.Context, n key.Name, audit bool) (Answer, error) {
	o, err := c.op(n)
	if err != nil {
		return Answer{}, err
	}
	e, _, err := c.load(ctx, o, audit)
	return answer(&e, TierBypass), err
}
