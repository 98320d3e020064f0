package reference

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/breaker"
	"github.com/cachedrill/cachedrill/reference/internal/coalesce"
	"github.com/cachedrill/cachedrill/reference/internal/keylock"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/internal/sourceguard"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Config describes one worker's cache.
type Config struct {
	Region        string // any name, the same in all processes of the region
	Policy        policy.Policy
	Families      []Family
	Source        source.Source     // the one that all regions share. The cache does not close it.
	Shared        store.Store       // of the region: [store.NewRedis] of a [NewClient]. The cache does not close it.
	Pools         map[string]Pool   // beside Shared, by name; see [NewPools]
	L1Size        int               // copies kept in memory; 0: 10,000
	WriteBehind   Writer            // for families that are written behind; nil where there are none
	OnInvalidated func(Invalidated) // called when the worker's memory dropped superseded copies; may be nil
	Observer      Observer          // of what the cache decides and meets; may be nil

	// Clock is the worker's own monotonic clock, relative to any moment; nil: the process's. The guarantees bear a rate
	// that is wrong by up to a thousandth, and no jumps.
	Clock func() time.Duration
}

// Bounds on waiting. A fill lease outlives the load that it stands for, so that a slow load is not doubled.
const (
	loadTimeout  = time.Second
	leaseTTL     = loadTimeout + 200*time.Millisecond
	missTimeout  = 1500 * time.Millisecond
	redisTimeout = 150 * time.Millisecond
	leasePoll    = 8 * time.Millisecond
	refreshers   = 64 // background refreshes under way at most; more are left to the next reader
)

// Cache is one worker's view of the three tiers. It is safe for concurrent use.
type Cache struct {
	cfg      Config
	policy   policy.Policy
	families map[string]*family

	clock  *sourceclock.Clock
	l1     l1.Tier
	l2     l2.Tier
	source source.Source // behind its guard
	strong strongReads
	misses coalesce.Group[Answer]

	work    *background.Group
	refresh chan struct{} // one slot for each background refresh

	observer     Observer      // never nil
	instrumented *instrumented // nil without an observer
}

// strongReads is what the reads and writes of strong families share.
type strongReads struct {
	checks        coalesce.Rounds[versionRead] // of versions
	loads         coalesce.Rounds[versionRead] // of values
	writers       keylock.Locks                // of families with a read lease: one writer of a name at a time
	fencePatience time.Duration                // see there
}

// family is a family with its schema made ready.
type family struct {
	Family
	keys key.Compiled
}

// New makes a worker's cache and starts listening to the region's invalidation bus, as soon as Redis is there: that it is
// away is no error. It asks the source for its clock, and fails when that does not answer; ctx bounds the time this may
// take, and nothing of it is kept. It also fails for families that no cache could keep.
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

// Close ends the background work and waits for it. The cache must not be used after it, and what was under way may fail.
// The source and the client are closed after it, by their owner.
func (c *Cache) Close() {
	c.work.Close()
	c.l1.Close()
}
