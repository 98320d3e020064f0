package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Prewarm puts names into the region's Redis as a long-running service would have them: the copies'
// ages are spread over their fresh life by position(i) in [0, 1), so that they do not end together.
// A copy is never made to look younger than it is. Names that the source does not know are left out.
func (c *Cache) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	var items []store.Item
	for i, n := range names {
		f, k, err := c.resolve(n)
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		found, _, err := c.load(ctx, n, f, true)
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		if found.meta.Kind == policy.Absence {
			continue
		}
		e := entry{meta: c.policy.Admit(f.Contract, found.meta, rand.Float64()), value: found.value}
		age := int64(position(i) * float64(e.meta.FreshUntil-e.meta.T0))
		e.meta.T0, e.meta.FreshUntil, e.meta.Until, e.meta.DropAt = e.meta.T0-age, e.meta.FreshUntil-age, e.meta.Until-age, e.meta.DropAt-age
		if left := time.Duration(e.meta.DropAt - found.meta.T0); left >= time.Millisecond {
			items = append(items, store.Item{Key: k, Value: encode(c.policy, e), TTL: left})
		}
	}
	if err := c.cfg.Shared.SetAll(ctx, items); err != nil {
		return fmt.Errorf("prewarming redis: %w", err)
	}
	return nil
}
