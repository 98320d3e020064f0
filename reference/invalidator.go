package reference

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Invalidator carries commits into a region's caches: Redis first, then the workers' memory, so
// that no worker refills its memory from a copy that Redis is about to drop.
type Invalidator struct {
	policy   policy.Policy
	families map[string]Family
	stores   map[string]store.Store // by pool
}

// NewInvalidator makes the invalidator of the region that the store belongs to, where no family has
// another pool. The policy and the families are those of its workers.
func NewInvalidator(p policy.Policy, families []Family, shared store.Store) *Invalidator {
	v := &Invalidator{policy: p, families: map[string]Family{}, stores: map[string]store.Store{}}
	if shared != nil {
		v.stores[""] = shared
	}
	for _, f := range families {
		v.families[f.Schema.Family] = f
	}
	return v
}

// NewPoolsInvalidator makes the invalidator of a region whose families have the given pools. It
// fails with [ErrPool] where a family's is not among them.
func NewPoolsInvalidator(p policy.Policy, families []Family, shared store.Store, pools map[string]Pool) (*Invalidator, error) {
	v := NewInvalidator(p, families, shared)
	for _, f := range families {
		s, err := Config{Shared: shared, Pools: pools}.store(f)
		if err != nil {
			return nil, err
		}
		v.stores[f.Pool] = s
	}
	return v, nil
}

// Pool is the pool of a family. What goes to one pool must not wait for what goes to another, which
// may be away.
func (v *Invalidator) Pool(family string) string { return v.families[family].Pool }

// Apply announces to the region that version of n was committed, when the source's clock showed at:
// what a relay delivers (invalidation.Config.Deliver). It may be called again for the same version,
// and in any order. An error means that Redis may not have heard of it, and that it should be
// called again. Of names that the families make no key of, nothing can be cached, and nothing is
// announced.
func (v *Invalidator) Apply(ctx context.Context, n key.Name, version uint64, at int64) error {
	f, ok := v.families[n.Family]
	if !ok || !v.policy.Controls.Has(policy.Bus) {
		return nil
	}
	k, err := f.Schema.Build(n)
	if err != nil {
		return nil // the log outlives schemas: what has no key by this one was never cached under it
	}
	shared, ok := v.stores[f.Pool]
	if !ok {
		return fmt.Errorf("invalidating %s: %w: %q", k, ErrPool, f.Pool)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	what := l2.Superseded{Key: k, Family: f.Contract, Version: version, Now: at}
	if v.policy.Controls.Has(policy.L1) {
		what.Channel, what.Body = shared.Channel(bus.Channel), bus.EventBody(f.Schema.Family, version, at, k)
	}
	return l2.New(shared, v.policy).Invalidate(ctx, what)
}

// HeartbeatInterval is the time between two heartbeats of the bus: about as long as a lost message
// goes unnoticed.
const HeartbeatInterval = 100 * time.Millisecond

// Heartbeat keeps telling the workers how many messages there were, until ctx ends, so that they
// notice when they missed the last one. One process of a region is enough; more do no harm. Without
// any, a lost message is noticed at the next one. Each pool has a heartbeat of its own.
func (v *Invalidator) Heartbeat(ctx context.Context) {
	if !v.policy.Controls.Has(policy.GapDetection | policy.Bus | policy.L1) {
		return
	}
	var all sync.WaitGroup
	for _, s := range v.stores {
		all.Go(func() { keepBeating(ctx, s) })
	}
	all.Wait()
}

func keepBeating(ctx context.Context, s store.Store) {
	tick := time.NewTicker(HeartbeatInterval)
	defer tick.Stop()
	for {
		bus.Heartbeat(ctx, s, redisTimeout)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
