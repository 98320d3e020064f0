package reference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Family is one kind of key: how its keys are built and what its readers are promised.
type Family struct {
	Schema    key.Schema
	Contract  policy.Family
	Namespace string // families of one namespace must have one class, and one pool; empty: a namespace of its own
	Pool      string // whose Redis has its copies, see [Config.Pools]; empty: the region's own

	// Redact takes out of a value what must not be cached or shown; nil leaves it as it is. It is applied to what the
	// source answers, before anything else sees it, and to nothing that is absent. A value that it refuses can't be read.
	Redact func(value []byte) ([]byte, error)
}

// ErrMixed marks a configuration in which one namespace has families of two classes.
var ErrMixed = errors.New("a namespace has one class")

// Config describes one worker's cache.
type Config struct {
	Region        string // any name, the same in all processes of the region
	Policy        policy.Policy
	Families      []Family
	Source        source.Source     // the one that all regions share. The cache does not close it.
	Shared        store.Store       // of the region: [store.NewRedis] of a [NewClient]. The cache does not close it.
	Pools         map[string]Pool   // beside Shared, by name; see [NewPools]
	L1Size        int               // copies kept in memory; 0: 10,000
	Behind        Writer            // takes the writes of families that are written behind; nil where there are none
	OnInvalidated func(Invalidated) // told when the worker's memory let go of superseded copies; may be nil
	Observer      Observer          // told what the cache decides and meets; may be nil

	// Clock is the worker's own monotonic clock, since whatever moment; nil: the process's. The guarantees bear a rate that is
	// wrong by up to a thousandth, and no jumps.
	Clock func() time.Duration
}

// Bounds on waiting. A lease outlives the load that it stands for, so that a slow load is not doubled.
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
	families map[string]*known
	l1       l1
	l2       l2
	clock    upperClock
	source   source.Source // behind its guard
	flights  flights
	checks   rounds[sighting] // of strong families: what the source says of a version
	loads    rounds[sighting] // and of a value
	writing  locks            // of strong families that are held: one writer of a name at a time

	fencePatience time.Duration // see there

	life    context.Context
	end     context.CancelFunc
	closing sync.RWMutex // held for reading while something joins running
	running sync.WaitGroup
	refresh chan struct{} // a place each for the background refreshes

	watch Observer // never nil
	seen  Observer // the same, or nil: for where a call would be too dear
}

var errClosed = errors.New("the cache is closed")

// ErrFamily marks a name of a family that the cache has no contract for.
var ErrFamily = errors.New("unknown family")

// New makes a worker's cache and starts listening to the region's invalidation bus, as soon as Redis is there: that it is away
// is no error. It asks the source for its clock, and fails when that does not answer; ctx bounds the time this may take, and nothing of it
// is kept. It also fails for families that no cache could keep.
func New(ctx context.Context, cfg Config) (*Cache, error) {
	c := &Cache{cfg: cfg, policy: cfg.Policy, families: map[string]*known{}, refresh: make(chan struct{}, refreshers), fencePatience: fencePatience}
	classes := map[string]policy.Class{}
	if all := pools(cfg.Families); len(all) > 1 {
		return nil, fmt.Errorf("%w for a cache of one pool: it has families in %s and in %s; NewPools makes caches of several", ErrPool,
			poolName(all[0]), poolName(all[1]))
	} else if len(all) == 1 {
		var err error
		if cfg.Shared, err = cfg.store(cfg.Families[0]); err != nil {
			return nil, err
		}
		c.cfg.Shared = cfg.Shared
	}
	for _, f := range cfg.Families {
		if err := f.Schema.Validate(); err != nil {
			return nil, err
		}
		if err := f.Contract.Validate(); err != nil {
			return nil, fmt.Errorf("family %s: %w", f.Schema.Family, err)
		}
		if class, known := classes[f.Namespace]; known && f.Namespace != "" && class != f.Contract.Class {
			return nil, fmt.Errorf("family %s: %w: %s has %s and %s", f.Schema.Family, ErrMixed, f.Namespace, class, f.Contract.Class)
		}
		classes[f.Namespace] = f.Contract.Class
		if f.Contract.Writes == policy.WriteBehind && cfg.Behind == nil {
			return nil, fmt.Errorf("family %s is written behind, and there is nobody to do it", f.Schema.Family)
		}
		if f.Contract.Writes == policy.WriteBehind && f.Redact != nil {
			return nil, fmt.Errorf("family %s can't be written behind: the journal would hold what is to be redacted", f.Schema.Family)
		}
		c.families[f.Schema.Family] = &known{f, f.Schema.Compile()}
	}
	c.watch = c.watched(cfg.Observer)
	c.source = newGuard(cfg.Source, cfg.Policy).watched(c.watch)
	c.clock.local = cfg.Clock
	asked := c.clock.instant()
	said, err := cfg.Source.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the source for its clock: %w", err)
	}
	c.clock.heard(said, asked)
	if c.policy.Controls.Has(policy.L1) {
		size := cfg.L1Size
		if size == 0 {
			size = 10_000
		}
		if c.l1, err = newL1(c.policy, size); err != nil {
			return nil, err
		}
	}
	c.l2 = l2{shared: newCircuit(cfg.Shared, c.policy).watched(c.watch), policy: c.policy}
	c.life, c.end = context.WithCancel(context.Background())
	if c.policy.Controls.Has(policy.Bus | policy.L1) {
		c.listen(ctx)
	}
	if c.policy.Controls.Has(policy.HotRefresh | policy.L1) {
		c.running.Go(c.keepHot)
	}
	return c, nil
}

// Close ends the background work and waits for it. The cache must not be used after it, and what was under way may fail. The source and
// the client are closed after it, by whoever made them.
func (c *Cache) Close() {
	c.closing.Lock()
	c.end()
	c.closing.Unlock()
	c.running.Wait()
	c.l1.close()
}

// begin counts one piece of background work, unless the cache is closed.
func (c *Cache) begin() bool {
	c.closing.RLock()
	defer c.closing.RUnlock()
	if c.life.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// known is a family with its schema made ready.
type known struct {
	Family
	keys key.Compiled
}

func (c *Cache) resolve(n key.Name) (Family, string, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return Family{}, "", fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	b, err := f.keys.Append(make([]byte, 0, 64), &n)
	return f.Family, string(b), err
}
