package reference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// sighting is what the source said of a name to a question asked at an instant of the worker's clock.
type sighting struct {
	entry
	asked  instant
	fenced bool
}

// confirmed answers for a strong family. A copy from memory or Redis is only payload: the source is asked, after the reader
// came, which version is current, and the copy is served if it is that one. Where the family has a lease, a worker that
// heard the source name its copy's version may serve it for that long without asking again, for whoever changes it
// announces that and waits.
func (c *Cache) confirmed(ctx context.Context, k string, n key.Name, f Family) (Answer, error) {
	c.l1.read(c.clock.instant())
	held, ok := c.l1.get(k)
	if ok && c.holds(f, held) {
		return answer(&held.entry, TierL1), nil
	}
	var e entry
	tier := TierL1
	if ok && c.decide(f, held.meta) == policy.Confirm {
		e = held.entry
	} else if e, ok = c.payload(ctx, k, f); ok {
		tier = TierL2
	} else {
		return c.current(ctx, k, n, f)
	}
	now, err := c.check(ctx, k, n)
	if err != nil {
		return Answer{}, err
	}
	if e.meta.Version != now.meta.Version && tier == TierL1 {
		// Another worker of the region may have loaded the current one.
		if other, ok := c.payload(ctx, k, f); ok {
			e, tier = other, TierL2
		}
	}
	switch {
	case e.meta.Version == now.meta.Version:
	case now.meta.Kind == policy.Absence:
		return answer(&now.entry, TierSource), nil
	default:
		return c.current(ctx, k, n, f)
	}
	c.hold(k, n, f, e, now)
	return answer(&e, tier), nil
}

// holds says whether the worker may serve a copy for a strong family without asking the source.
func (c *Cache) holds(f Family, held *copied) bool {
	if f.Contract.ReadLease == 0 || held.asked == 0 || c.clock.now() >= held.meta.DropAt {
		return false
	}
	return c.policy.Holds(f.Contract, time.Duration(c.clock.instant()-held.asked), rateError)
}

// hold keeps in memory what the source has confirmed, unless a change is announced.
func (c *Cache) hold(k string, n key.Name, f Family, e entry, s sighting) {
	if f.Contract.ReadLease > 0 && s.fenced {
		return
	}
	c.l1.put(k, &copied{entry: e, name: n, era: c.l1.now(), asked: s.asked})
}

// payload finds a copy in the region's Redis, which may be current or not.
func (c *Cache) payload(ctx context.Context, k string, f Family) (entry, bool) {
	e, found, err := c.l2.get(ctx, k)
	return e, err == nil && found && c.decide(f, e.meta) == policy.Confirm
}

// check asks the source which version is current.
func (c *Cache) check(ctx context.Context, k string, n key.Name) (sighting, error) {
	return c.sight(ctx, &c.checks, k, func(ctx context.Context) (s sighting, err error) {
		s.asked = c.clock.instant()
		r, err := c.source.Version(ctx, n, source.Caller{Region: c.cfg.Region})
		if err != nil {
			return s, err
		}
		c.clock.heard(r.T0, s.asked)
		s.meta.Version, s.meta.T0, s.fenced = r.Version, r.T0, r.Fenced
		if absent(r) {
			s.meta.Kind = policy.Absence
		}
		return s, nil
	})
}

// current answers with the source's own value, and leaves it as payload.
func (c *Cache) current(ctx context.Context, k string, n key.Name, f Family) (Answer, error) {
	s, err := c.sight(ctx, &c.loads, k, func(ctx context.Context) (s sighting, err error) {
		s.asked = c.clock.instant()
		if s.entry, s.fenced, err = c.load(ctx, n, f, false); err != nil || !c.policy.Keeps(s.meta.Kind) {
			return s, err
		}
		s.meta = c.policy.Admit(f.Contract, s.meta, rand.Float64())
		_, _ = c.l2.store(ctx, k, s.entry, c.clock.now(), "") // an answer in hand is given whether or not Redis takes the copy
		c.hold(k, n, f, s.entry, s)
		return s, nil
	})
	return answer(&s.entry, TierSource), err
}

// sight asks the source a question for all who came before it is asked.
func (c *Cache) sight(ctx context.Context, all *rounds[sighting], k string, question func(context.Context) (sighting, error)) (sighting, error) {
	if !c.policy.Controls.Has(policy.SingleFlight) {
		own, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		return question(own)
	}
	start := func(run func()) bool {
		if !c.begin() {
			return false
		}
		go func() {
			defer c.running.Done()
			run()
		}()
		return true
	}
	return all.ask(ctx, k, start, func() (sighting, error) {
		own, cancel := context.WithTimeout(c.life, loadTimeout)
		defer cancel()
		return question(own)
	})
}

const (
	fencePoll     = 5 * time.Millisecond
	fencePatience = loadTimeout // with another writer, beyond the wait that it has to keep; any would be right
)

// announce fences a name of a family with a lease, and waits until no worker holds its value any more. The change must be
// made as the caller that it gives, and free be called after it. A writer that was overtaken, or died, can't change the
// name any more; one that fails here leaves the name fenced until the next change, which costs its readers the memory.
func (c *Cache) announce(ctx context.Context, k string, n key.Name, f Family, by *source.Caller) (free func(), err error) {
	release, err := c.writing.take(ctx, k)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	by.Fence = newToken()
	wait := f.Contract.ReadLeaseWait(rateError)
	for came := c.clock.instant(); ; {
		take := time.Duration(c.clock.instant()-came) > wait+c.fencePatience
		err = c.cfg.Source.Fence(ctx, n, by.Fence, take, *by)
		if err == nil {
			break
		}
		if !errors.Is(err, source.ErrFenced) {
			return nil, fmt.Errorf("announcing a change of %s: %w", k, err)
		}
		if err = sleep(ctx, fencePoll); err != nil {
			return nil, fmt.Errorf("waiting for the announced change of %s: %w", k, err)
		}
	}
	fenced := c.clock.instant()
	for left := wait; left > 0; left = wait - time.Duration(c.clock.instant()-fenced) {
		if err = sleep(ctx, left); err != nil {
			return nil, fmt.Errorf("waiting for what workers hold of %s: %w", k, err)
		}
	}
	return release, nil
}
