package reference

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Prewarm puts names into the region's Redis as a long-running service would have them: the copies'
// ages are spread over their fresh life by position(i) in [0, 1), so that they do not end together.
// A copy is never made to look younger than it is. Names that the source does not know are left
// out.
func (c *Cache) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	var items []store.Item
	for i, n := range names {
		o, err := c.op(n)
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		found, _, err := c.load(ctx, o, true)
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		if found.Meta.Kind == policy.Absence {
			continue
		}
		e := found
		c.admit(o, &e)
		age := int64(position(i) * float64(e.Meta.FreshUntil-e.Meta.T0))
		e.Meta.T0, e.Meta.FreshUntil, e.Meta.Until, e.Meta.DropAt = e.Meta.T0-age, e.Meta.FreshUntil-age, e.Meta.Until-age, e.Meta.DropAt-age
		if left := time.Duration(e.Meta.DropAt - found.Meta.T0); left >= time.Millisecond {
			items = append(items, store.Item{Key: o.key, Value: entry.Encode(c.policy, e), TTL: left})
		}
	}
	if err := c.cfg.Shared.SetAll(ctx, items); err != nil {
		return fmt.Errorf("prewarming redis: %w", err)
	}
	return nil
}

// Warm makes sure that the region's Redis and the worker's memory hold a name, without a reader
// waiting. With renew it loads the name even where a copy is still good, unless somebody is loading
// it already; of a strong family it looks whether the copy is current. The load is bounded and shed
// as a reader's is.
func (c *Cache) Warm(ctx context.Context, n key.Name, renew bool) error {
	o, err := c.op(n)
	if err != nil {
		return err
	}
	if c.policy.Confirms(o.contract()) {
		held, _ := c.l1.Get(o.key)
		_, err = c.readStrong(ctx, o, held)
		return err
	}
	name, search := o.key, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, o, lookup{}) }
	if renew {
		name, search = "renew "+o.key, func(ctx context.Context) (Answer, error) { return c.forceRefresh(ctx, o, l2.AnyCopy) }
	}
	_, err = c.joined(ctx, name, search)
	return err
}
