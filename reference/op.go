package reference

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// op is one operation on one name: what every step past the worker's memory needs to know of it.
// Steps that outlive their caller share it, so it is never changed; each step has a context of its
// own.
type op struct {
	key    string // of the name, in Redis and in memory
	name   key.Name
	family *family
	began  sourceclock.Instant
}

// op resolves a name, for an operation that begins now.
func (c *Cache) op(n key.Name) (*op, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	b, err := f.keys.Append(make([]byte, 0, 64), &n)
	if err != nil {
		return nil, err
	}
	o := &op{string(b), n, f, c.clock.Instant()}
	c.l1.Tick(o.began) // else what the operation leaves in the memory of a quiet worker would end too early
	return o, nil
}

// contract is what the operation's family promises its readers.
func (o *op) contract() policy.Family { return o.family.Contract }

// familyName is the name by which events and labels know the family.
func (o *op) familyName() string { return o.family.Schema.Family }

// copyOf makes a copy for the worker's memory. gaps is [l1.Tier.Gaps] when the load or look began
// that found it.
func (o *op) copyOf(e entry.Entry, gaps uint64) *l1.Copy {
	return &l1.Copy{Entry: e, Name: o.name, Gaps: gaps}
}

// decide is the policy's decision about a copy now.
func (c *Cache) decide(o *op, m policy.Meta) policy.Action {
	return c.policy.Lookup(o.contract(), m, c.clock.Now(), rand.Float64())
}

// admit gives a found entry its life.
func (c *Cache) admit(o *op, e *entry.Entry) {
	e.Meta = c.policy.Admit(o.contract(), e.Meta, rand.Float64())
}

// caller names this cache to the source.
func (c *Cache) caller() source.Caller { return source.Caller{Region: c.cfg.Region} }

// ownTime bounds a step that is seen through whether or not its caller waits.
func (c *Cache) ownTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.work.Context(), redisTimeout)
}

// versionRead is the source's answer about a name to a question asked at an instant of the worker's
// clock.
type versionRead struct {
	entry.Entry
	asked  sourceclock.Instant
	fenced bool
}
