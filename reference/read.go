package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Answer is what a read found.
type Answer struct {
	Value        []byte // shared with other readers: it must not be changed
	Version      uint64 // 0 when the name was never written
	Tier         Tier
	Absent       bool // there is no value: never written, or deleted
	StaleIfError bool // a copy past its TTL and within the family's bound, because nothing better could be had

	t0 int64 // source clock inside the read that made the answer
}

// Tier says where an answer came from.
type Tier string

// The tiers.
const (
	TierL1     Tier = "l1"
	TierL2     Tier = "l2"
	TierSource Tier = "source" // no tier had it
	TierBypass Tier = "bypass" // no tier was asked
)

// Get reads a name. For a bounded family the answer is at most Within old; for a strong one it was the source's own at some
// moment since the call. An error means that no honest answer could be given in time; the package's comment lists them. That there is
// no value is an answer, not an error.
func (c *Cache) Get(ctx context.Context, n key.Name) (Answer, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return Answer{}, fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	var buffer [96]byte // longer keys cost an allocation
	b, err := f.keys.Append(buffer[:0], &n)
	if err != nil {
		return Answer{}, err
	}
	if c.policy.Confirms(f.Contract) {
		return c.sawConfirmed(ctx, string(b), n, f.Family)
	}
	began := c.clock.instant()
	c.l1.read(began)
	held, ok := c.l1.get(unsafe.String(unsafe.SliceData(b), len(b))) // which keeps no key that it is asked for
	if ok {
		now := c.clock.at(began)
		if c.policy.ServesAnyway(&f.Contract, &held.meta, now) && !c.l1.doubted(held) {
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		}
		action := c.policy.Lookup(f.Contract, held.meta, now, rand.Float64())
		if c.l1.doubted(held) {
			action = c.policy.AfterGap(f.Contract, action)
		}
		switch action {
		case policy.Serve:
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		case policy.Refresh:
			c.sawRefresh(&f.Family, &held.meta, now, c.l1.doubted(held))
			if held.mayRefresh(now) {
				c.background(string(b), n, f.Family, held.meta.T0)
			}
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		}
	}
	return c.sawPast(ctx, string(b), n, f.Family, began)
}

// past reads a name that memory does not answer, for a reader that came at began.
func (c *Cache) past(ctx context.Context, k string, n key.Name, f Family, began instant) (Answer, error) {
	if !c.policy.Controls.Has(policy.SingleFlight) {
		return c.fetch(ctx, k, n, f, lookup{})
	}
	for {
		a, err := c.read(ctx, k, n, f)
		// A load that was under way when this reader came may have read too long before.
		if err != nil || !c.policy.TooOld(f.Contract, a.t0, c.clock.at(began)) {
			return a, err
		}
	}
}

// read is fetch, once for all callers that come while it runs. Who leads asks Redis itself, for a hit is one round trip and
// must not cost a change of goroutine; what takes longer goes on without it, since others may wait for that.
func (c *Cache) read(ctx context.Context, k string, n key.Name, f Family) (Answer, error) {
	fly, lead := c.flights.join(k)
	if !lead {
		return fly.wait(ctx, k)
	}
	if !c.begin() {
		c.flights.land(k, fly, Answer{}, errClosed)
		return Answer{}, errClosed
	}
	var look lookup
	// Without a deadline of its own the client would keep the leader beyond its context.
	if c.policy.Controls.Has(policy.RedisDeadline) {
		look = c.look(ctx, k)
		if look.err == nil && look.found {
			if a, ok := c.adopt(k, n, f, look.entry, look.era, &spares{}); ok {
				c.flights.land(k, fly, a, nil)
				c.running.Done()
				return a, nil
			}
		}
		if ctx.Err() != nil {
			look = lookup{} // says nothing about Redis
		}
	}
	c.fly(k, fly, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, k, n, f, look) })
	return fly.wait(ctx, k)
}

// joined runs fn once for all callers with the same name that come while it runs. It goes on when
// its first caller gives up, since others may wait for it, but not beyond missTimeout.
func (c *Cache) joined(ctx context.Context, name string, fn func(context.Context) (Answer, error)) (Answer, error) {
	fly, lead := c.flights.join(name)
	if lead {
		if c.begin() {
			c.fly(name, fly, fn)
		} else {
			c.flights.land(name, fly, Answer{}, errClosed)
		}
	}
	return fly.wait(ctx, name)
}

// fly runs fn in the background, which has begun.
func (c *Cache) fly(name string, fly *flight, fn func(context.Context) (Answer, error)) {
	go func() {
		defer c.running.Done()
		own, cancel := context.WithTimeout(c.life, missTimeout)
		defer cancel()
		a, err := fn(own)
		c.flights.land(name, fly, a, err)
	}()
}

// GetBypass reads a name from the source, past every tier. audit marks it as no part of the workload.
func (c *Cache) GetBypass(ctx context.Context, n key.Name, audit bool) (Answer, error) {
	f, _, err := c.resolve(n)
	if err != nil {
		return Answer{}, err
	}
	e, _, err := c.load(ctx, n, f, audit)
	return answer(&e, TierBypass), err
}

// load reads a name at the source, and redacts what it finds. The copy has no life yet; see [policy.Policy.Admit].
func (c *Cache) load(ctx context.Context, n key.Name, f Family, audit bool) (e entry, fenced bool, err error) {
	asked := c.clock.instant()
	r, err := c.source.Load(ctx, n, source.Caller{Region: c.cfg.Region, Audit: audit})
	if err != nil {
		return entry{}, false, err
	}
	c.clock.heard(r.T0, asked)
	took := time.Duration(c.clock.instant() - asked)
	if e, err = f.entryOf(r, took); err != nil {
		return entry{}, false, err
	}
	return e, r.Fenced, nil
}

// Warm makes sure that the region's Redis and the worker's memory hold a name, without a reader waiting. With renew it loads
// the name even where a copy is still good, unless somebody is loading it already; of a strong family it looks whether the copy is
// current. The load is bounded and shed as a reader's is.
func (c *Cache) Warm(ctx context.Context, n key.Name, renew bool) error {
	f, k, err := c.resolve(n)
	if err != nil {
		return err
	}
	if c.policy.Confirms(f.Contract) {
		_, err = c.confirmed(ctx, k, n, f)
		return err
	}
	if !renew {
		_, err = c.joined(ctx, k, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, k, n, f, lookup{}) })
		return err
	}
	_, err = c.joined(ctx, "renew "+k, func(ctx context.Context) (Answer, error) { return c.reload(ctx, k, n, f, anyCopy) })
	return err
}

// background renews a copy, read at source time t0, while readers are served with it.
func (c *Cache) background(k string, n key.Name, f Family, t0 int64) {
	select {
	case c.refresh <- struct{}{}:
	default:
		c.watch.Refresh(f.Schema.Family, Skipped)
		return
	}
	if !c.begin() {
		<-c.refresh
		return
	}
	go func() {
		defer c.running.Done()
		defer func() { <-c.refresh }()
		// A failed refresh is tried again by a later reader; until then the copy ages towards its bound.
		_, err := c.joined(c.life, "refresh "+k, func(ctx context.Context) (Answer, error) { return c.renew(ctx, k, n, f, t0) })
		c.watch.Refresh(f.Schema.Family, outcome(err))
	}()
}

func answer(e *entry, t Tier) Answer {
	return Answer{Value: e.value, Version: e.meta.Version, Tier: t, Absent: e.meta.Kind == policy.Absence, t0: e.meta.T0}
}

func absent(r source.Record) bool { return r.Version == 0 || r.Deleted }
