package reference

import (
	"context"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/breaker"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/internal/sourceguard"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// New makes a worker's cache and starts listening to the region's invalidation bus, as soon as
// Redis is there: that it is away is no error. It asks the source for its clock, and fails when
// that does not answer; ctx bounds the time this may take, and nothing of it is kept. It also fails
// for families that no cache could keep.
func New(ctx context.Context, cfg Config) (*Cache, error) {
	var err error
	if cfg.Shared, err = cfg.onlyStore(); err != nil {
		return nil, err
	}
	c := &Cache{cfg: cfg, policy: cfg.Policy, families: map[string]*family{}, clock: sourceclock.New(cfg.Clock),
		work: background.New(), refresh: make(chan struct{}, refreshers), strong: strongReads{fencePatience: fencePatience}}
	classes := map[string]policy.Class{}
	for _, f := range cfg.Families {
		if err := cfg.validate(f, classes); err != nil {
			return nil, err
		}
		c.families[f.Schema.Family] = &family{f, f.Schema.Compile()}
	}
	asked := c.clock.Instant()
	now, err := cfg.Source.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the source for its clock: %w", err)
	}
	c.clock.Learn(now, asked)
	if c.policy.Controls.Has(policy.L1) {
		size := cfg.L1Size
		if size == 0 {
			size = 10_000
		}
		if c.l1, err = l1.New(c.policy, size); err != nil {
			return nil, err
		}
	}
	c.instrument(cfg.Observer)
	c.source = sourceguard.New(c.instrumented.source(cfg.Source), c.policy, c.instrumented.shed)
	c.l2 = l2.New(breaker.New(cfg.Shared, c.policy, c.observer.Breaker), c.policy)
	if c.policy.Controls.Has(policy.Bus | policy.L1) {
		c.listen(ctx)
	}
	if c.policy.Controls.Has(policy.HotRefresh | policy.L1) {
		_ = c.work.Go(c.keepHot) // nothing has closed it yet
	}
	return c, nil
}
