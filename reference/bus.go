package reference

import (
	"context"
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// busChannel is the Redis channel on which a region's workers hear of superseded versions.
const busChannel = "cache:superseded"

// A bus message is "family version key", the version in decimal, or a purge's (purge_select.go).
func busMessage(family string, version uint64, k string) string {
	return fmt.Sprintf("%s %d %s", family, version, k)
}

func parseBusMessage(s string) (family string, version uint64, k string, ok bool) {
	parts := strings.SplitN(s, " ", 3)
	if len(parts) != 3 {
		return "", 0, "", false
	}
	if _, err := fmt.Sscanf(parts[1], "%d", &version); err != nil {
		return "", 0, "", false
	}
	return parts[0], version, parts[2], true
}

// listen drops the worker's copies as the bus tells of newer versions. Messages are lost while the
// connection is: what a bounded family needs then is the age clamp.
func (c *Cache) listen(ctx context.Context) error {
	sub, err := c.cfg.Shared.Subscribe(ctx, busChannel)
	if err != nil {
		return fmt.Errorf("listening to the invalidation bus: %w", err)
	}
	c.running.Go(func() {
		defer sub.Close()
		for {
			select {
			case m, ok := <-sub.Messages():
				if !ok {
					return
				}
				c.heard(m)
			case <-c.life.Done():
				return
			}
		}
	})
	return nil
}

func (c *Cache) heard(message string) {
	if c.purge(message) {
		return
	}
	family, version, k, ok := parseBusMessage(message)
	if !ok {
		return
	}
	f, known := c.families[family]
	if !known {
		return
	}
	c.drop(k, f, version)
	if c.cfg.OnDrop != nil && c.policy.Controls.Has(policy.L1) {
		c.cfg.OnDrop(Drop{k, version})
	}
}

// Invalidator carries commits into a region's caches: Redis first, then the workers' memory, so that
// no worker refills its memory from a copy that Redis is about to drop.
type Invalidator struct {
	policy   policy.Policy
	families map[string]Family
	l2       l2
}

// NewInvalidator makes the invalidator of the region that the store belongs to.
func NewInvalidator(p policy.Policy, families []Family, shared store.Store) *Invalidator {
	v := &Invalidator{policy: p, families: map[string]Family{}, l2: l2{shared: shared, policy: p}}
	for _, f := range families {
		v.families[f.Schema.Family] = f
	}
	return v
}

// Apply tells the region that version of n was committed, when the source's clock showed at. It may
// be called again for the same version, and in any order.
func (v *Invalidator) Apply(ctx context.Context, n key.Name, version uint64, at int64) error {
	f, ok := v.families[n.Family]
	if !ok || !v.policy.Controls.Has(policy.Bus) || !v.policy.Cached(f.Contract) {
		return nil
	}
	k, err := f.Schema.Build(n)
	if err != nil {
		return fmt.Errorf("invalidating: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if err := v.l2.invalidate(ctx, k, f.Contract, version, at); err != nil {
		return err
	}
	if !v.policy.Controls.Has(policy.L1) {
		return nil
	}
	if err := v.l2.shared.Publish(ctx, busChannel, busMessage(f.Schema.Family, version, k)); err != nil {
		return fmt.Errorf("publishing that %s was superseded: %w", k, err)
	}
	return nil
}
