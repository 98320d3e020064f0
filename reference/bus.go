package reference

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// busChannel is the Redis channel on which a region's workers hear of superseded versions.
const busChannel = "cache:superseded"

// A bus message is "family version key", the version in decimal.
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

// listenTimeout bounds the subscription to the bus.
const listenTimeout = 2 * time.Second

// listen drops the worker's copies as the bus tells of newer versions. Messages are lost while the
// connection is: what a bounded family needs then is the age clamp.
func (c *Cache) listen(ctx context.Context) error {
	sub := c.cfg.Redis.Subscribe(c.life, busChannel)
	// A cancelled context does not wake a read without a deadline.
	if _, err := sub.ReceiveTimeout(ctx, listenTimeout); err != nil {
		sub.Close()
		return fmt.Errorf("listening to the invalidation bus: %w", err)
	}
	messages := sub.Channel(redis.WithChannelSize(1024))
	c.running.Go(func() {
		defer sub.Close()
		for {
			select {
			case m, ok := <-messages:
				if !ok {
					return
				}
				if family, version, k, ok := parseBusMessage(m.Payload); ok {
					if f, known := c.families[family]; known {
						c.drop(k, f, version)
					}
				}
			case <-c.life.Done():
				return
			}
		}
	})
	return nil
}

// Invalidator carries commits into a region's caches: Redis first, then the workers' memory, so that
// no worker refills its memory from a copy that Redis is about to drop.
type Invalidator struct {
	policy   policy.Policy
	families map[string]Family
	l2       l2
}

// NewInvalidator makes the invalidator of the region that client belongs to.
func NewInvalidator(p policy.Policy, families []Family, client *redis.Client) *Invalidator {
	v := &Invalidator{policy: p, families: map[string]Family{}, l2: l2{client: client, policy: p}}
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
	if err := v.l2.client.Publish(ctx, busChannel, busMessage(f.Schema.Family, version, k)).Err(); err != nil {
		return fmt.Errorf("publishing that %s was superseded: %w", k, err)
	}
	return nil
}
