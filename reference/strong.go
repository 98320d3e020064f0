package reference

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/coalesce"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/internal/token"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// readStrong answers for a strong family. A copy from memory (held, or nil) or Redis is only
// payload: the source is asked, after the reader came, which version is current, and the copy is
// served if it is that one. Where the family has a read lease, a worker whose copy's version the
// source has confirmed may serve it for that long without asking again, because every writer
// announces its change and waits.
func (c *Cache) readStrong(ctx context.Context, o *op, held *l1.Copy) (Answer, error) {
	if held != nil && c.leaseValid(o, held) {
		return answer(&held.Entry, TierL1), nil
	}
	var e entry.Entry
	tier := TierL1
	var ok bool
	if held != nil && c.decide(o, held.Meta) == policy.Confirm {
		e = held.Entry
	} else if e, ok = c.cachedPayload(ctx, o); ok {
		tier = TierL2
	} else {
		return c.loadStrong(ctx, o)
	}
	now, err := c.currentVersion(ctx, o)
	if err != nil {
		return Answer{}, err
	}
	if e.Meta.Version != now.Meta.Version && tier == TierL1 {
		// Another worker of the region may have loaded the current one.
		if other, ok := c.cachedPayload(ctx, o); ok {
			e, tier = other, TierL2
		}
	}
	switch {
	case e.Meta.Version == now.Meta.Version:
	case now.Meta.Kind == policy.Absence:
		return answer(&now.Entry, TierSource), nil
	default:
		return c.loadStrong(ctx, o)
	}
	c.keepLeased(o, e, now)
	return answer(&e, tier), nil
}

// leaseValid says whether the worker may serve a copy for a strong family without asking the
// source.
func (c *Cache) leaseValid(o *op, held *l1.Copy) bool {
	if o.contract().ReadLease == 0 || held.Asked == 0 || c.clock.Now() >= held.Meta.DropAt {
		return false
	}
	return c.policy.Holds(o.contract(), time.Duration(c.clock.Instant()-held.Asked), sourceclock.RateError)
}

// keepLeased keeps in memory what the source has confirmed, unless a change is announced.
func (c *Cache) keepLeased(o *op, e entry.Entry, confirmed versionRead) {
	if o.contract().ReadLease > 0 && confirmed.fenced {
		return
	}
	fresh := o.copyOf(e, c.l1.Gaps())
	fresh.Asked = confirmed.asked
	c.l1.Put(o.key, fresh)
}

// cachedPayload finds a copy in the region's Redis, which may be current or not.
func (c *Cache) cachedPayload(ctx context.Context, o *op) (entry.Entry, bool) {
	e, found, err := c.l2.Get(ctx, o.key)
	return e, err == nil && found && c.decide(o, e.Meta) == policy.Confirm
}

// currentVersion asks the source which version is current.
func (c *Cache) currentVersion(ctx context.Context, o *op) (versionRead, error) {
	return c.askSource(ctx, &c.strong.checks, o, func(ctx context.Context) (v versionRead, err error) {
		v.asked = c.clock.Instant()
		r, err := c.source.Version(ctx, o.name, c.caller())
		if err != nil {
			return v, err
		}
		c.clock.Learn(r.T0, v.asked)
		v.Meta.Version, v.Meta.T0, v.fenced = r.Version, r.T0, r.Fenced
		if absent(r) {
			v.Meta.Kind = policy.Absence
		}
		return v, nil
	})
}

// loadStrong answers with the source's own value, and leaves it as payload.
func (c *Cache) loadStrong(ctx context.Context, o *op) (Answer, error) {
	v, err := c.askSource(ctx, &c.strong.loads, o, func(ctx context.Context) (v versionRead, err error) {
		v.asked = c.clock.Instant()
		if v.Entry, v.fenced, err = c.load(ctx, o, false); err != nil || !c.policy.Keeps(v.Meta.Kind) {
			return v, err
		}
		c.admit(o, &v.Entry)
		_, _ = c.l2.Store(ctx, o.key, v.Entry, c.clock.Now(), "") // an answer in hand is given whether or not Redis takes the copy
		c.keepLeased(o, v.Entry, v)
		return v, nil
	})
	return answer(&v.Entry, TierSource), err
}

// askSource asks the source a question for all callers that came before it is asked.
func (c *Cache) askSource(ctx context.Context, rounds *coalesce.Rounds[versionRead], o *op, question func(context.Context) (versionRead, error)) (versionRead, error) {
	bounded := func(ctx context.Context) (versionRead, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		return question(ctx)
	}
	if !c.policy.Controls.Has(policy.SingleFlight) {
		return bounded(ctx)
	}
	return rounds.Ask(ctx, o.key, c.work.Go, func() (versionRead, error) { return bounded(c.work.Context()) })
}

const (
	fencePoll     = 5 * time.Millisecond
	fencePatience = loadTimeout // with another writer, beyond the wait that it has to keep; any would be right
)

// fenceWrites announces a change of a name of a family with a read lease, and waits until no worker
// may serve the present value any more. The change must be made as the caller by, which gets the
// fence, and free be called after it. A writer that was overtaken, or died, can't change the name
// any more; one that fails here leaves the name fenced until the next change, which costs its
// readers the memory.
func (c *Cache) fenceWrites(ctx context.Context, o *op, by *source.Caller) (free func(), err error) {
	release, err := c.strong.writers.Lock(ctx, o.key)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	by.Fence = token.New()
	wait := o.contract().ReadLeaseWait(sourceclock.RateError)
	for came := c.clock.Instant(); ; {
		take := time.Duration(c.clock.Instant()-came) > wait+c.strong.fencePatience
		err = c.cfg.Source.Fence(ctx, o.name, by.Fence, take, *by)
		if err == nil {
			break
		}
		if !errors.Is(err, source.ErrFenced) {
			return nil, fmt.Errorf("announcing a change of %s: %w", o.key, err)
		}
		if err = background.Sleep(ctx, fencePoll); err != nil {
			return nil, fmt.Errorf("waiting for the announced change of %s: %w", o.key, err)
		}
	}
	fenced := c.clock.Instant()
	for left := wait; left > 0; left = wait - time.Duration(c.clock.Instant()-fenced) {
		if err = background.Sleep(ctx, left); err != nil {
			return nil, fmt.Errorf("waiting for the read leases of %s to end: %w", o.key, err)
		}
	}
	return release, nil
}
