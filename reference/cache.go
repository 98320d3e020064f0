package reference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
	"unsafe"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Family is one kind of key: how its keys are built and what its readers are promised.
type Family struct {
	Schema    key.Schema
	Contract  policy.Family
	Namespace string // families of one namespace must have one class; empty: a namespace of its own

	// Redact takes out of a value what must not be cached or shown; nil leaves it as it is. It is applied to what the
	// source answers, before anything else sees it, and to nothing that is absent. A value that it refuses can't be read.
	Redact func(value []byte) ([]byte, error)
}

// ErrMixed marks a configuration in which one namespace has families of two classes.
var ErrMixed = errors.New("a namespace has one class")

// Config describes one worker's cache.
type Config struct {
	Region   string
	Policy   policy.Policy
	Families []Family
	Source   source.Source
	Shared   store.Store // of the region: [store.NewRedis] of a [NewClient]. The cache does not close it.
	L1Size   int         // copies kept in memory; 0: 10,000
	Behind   Writer      // takes the writes of families that are written behind; nil where there are none
	OnDrop   func(Drop)  // told when the worker's memory let go of superseded copies; may be nil
	Observer Observer    // told what the cache decides and meets; may be nil

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

// Answer is what a read found.
type Answer struct {
	Value   []byte
	Version uint64
	Tier    Tier
	Absent  bool
	Spare   bool // a copy past its TTL and within the family's bound, because nothing better could be had

	t0 int64 // source clock inside the read that made the answer
}

// Tier says where an answer came from.
type Tier string

// The tiers.
const (
	TierL1     Tier = "l1"
	TierL2     Tier = "l2"
	TierSource Tier = "source" // no tier had it
	TierBypass Tier = "bypass" // no tier was asked
)

var errClosed = errors.New("the cache is closed")

// ErrFamily marks a name of a family that the cache has no contract for.
var ErrFamily = errors.New("unknown family")

// New makes a worker's cache and starts listening to the region's invalidation bus, as soon as Redis is there. It asks the
// source for its clock, so ctx bounds the time this may take.
func New(ctx context.Context, cfg Config) (*Cache, error) {
	c := &Cache{cfg: cfg, policy: cfg.Policy, families: map[string]*known{}, refresh: make(chan struct{}, refreshers), fencePatience: fencePatience}
	classes := map[string]policy.Class{}
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
		if f.Contract.Behind && cfg.Behind == nil {
			return nil, fmt.Errorf("family %s is written behind, and there is nobody to do it", f.Schema.Family)
		}
		if f.Contract.Behind && f.Redact != nil {
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

// Close ends the background work and waits for it.
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

// Get reads a name. For a bounded family the answer is at most Within old; for a strong one it was the source's own at some
// moment since the call. An error means that no honest answer could be given in time.
func (c *Cache) Get(ctx context.Context, n key.Name) (Answer, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return Answer{}, fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	var buffer [96]byte // longer keys cost an allocation
	b, err := f.keys.Append(buffer[:0], &n)
	if err != nil {
		return Answer{}, err
	}
	if c.policy.Confirms(f.Contract) {
		return c.sawConfirmed(ctx, string(b), n, f.Family)
	}
	began := c.clock.instant()
	c.l1.read(began)
	held, ok := c.l1.get(unsafe.String(unsafe.SliceData(b), len(b))) // which keeps no key that it is asked for
	if ok {
		now := c.clock.at(began)
		if c.policy.Plain(&f.Contract, &held.meta, now) && !c.l1.doubted(held) {
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		}
		action := c.policy.Lookup(f.Contract, held.meta, now, rand.Float64())
		if c.l1.doubted(held) {
			action = c.policy.Doubted(f.Contract, action)
		}
		switch action {
		case policy.Serve:
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		case policy.Refresh:
			c.sawRefresh(&f.Family, &held.meta, now, c.l1.doubted(held))
			if held.mayRefresh(now) {
				c.background(string(b), n, f.Family, held.meta.T0)
			}
			c.sawHit(&n, began)
			return answer(&held.entry, TierL1), nil
		}
	}
	return c.sawPast(ctx, string(b), n, f.Family, began)
}

// past reads a name that memory does not answer, for a reader that came at began.
func (c *Cache) past(ctx context.Context, k string, n key.Name, f Family, began instant) (Answer, error) {
	if !c.policy.Controls.Has(policy.SingleFlight) {
		return c.fetch(ctx, k, n, f, lookup{})
	}
	for {
		a, err := c.read(ctx, k, n, f)
		// A load that was under way when this reader came may have read too long before.
		if err != nil || !c.policy.TooOld(f.Contract, a.t0, c.clock.at(began)) {
			return a, err
		}
	}
}

// read is fetch, once for all callers that come while it runs. Who leads asks Redis itself, for a hit is one round trip and
// must not cost a change of goroutine; what takes longer goes on without it, since others may wait for that.
func (c *Cache) read(ctx context.Context, k string, n key.Name, f Family) (Answer, error) {
	fly, lead := c.flights.join(k)
	if !lead {
		return fly.wait(ctx, k)
	}
	if !c.begin() {
		c.flights.land(k, fly, Answer{}, errClosed)
		return Answer{}, errClosed
	}
	var look lookup
	// Without a deadline of its own the client would keep the leader beyond its context.
	if c.policy.Controls.Has(policy.RedisDeadline) {
		look = c.look(ctx, k)
		if look.err == nil && look.found {
			if a, ok := c.adopt(k, n, f, look.entry, look.era, &spares{}); ok {
				c.flights.land(k, fly, a, nil)
				c.running.Done()
				return a, nil
			}
		}
		if ctx.Err() != nil {
			look = lookup{} // says nothing about Redis
		}
	}
	c.fly(k, fly, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, k, n, f, look) })
	return fly.wait(ctx, k)
}

// joined runs fn once for all callers with the same name that come while it runs. It goes on when
// its first caller gives up, since others may wait for it, but not beyond missTimeout.
func (c *Cache) joined(ctx context.Context, name string, fn func(context.Context) (Answer, error)) (Answer, error) {
	fly, lead := c.flights.join(name)
	if lead {
		if c.begin() {
			c.fly(name, fly, fn)
		} else {
			c.flights.land(name, fly, Answer{}, errClosed)
		}
	}
	return fly.wait(ctx, name)
}

// fly runs fn in the background, which has begun.
func (c *Cache) fly(name string, fly *flight, fn func(context.Context) (Answer, error)) {
	go func() {
		defer c.running.Done()
		own, cancel := context.WithTimeout(c.life, missTimeout)
		defer cancel()
		a, err := fn(own)
		c.flights.land(name, fly, a, err)
	}()
}

// GetPast reads a name from the source, past every tier. audit marks it as no part of the workload.
func (c *Cache) GetPast(ctx context.Context, n key.Name, audit bool) (Answer, error) {
	f, _, err := c.resolve(n)
	if err != nil {
		return Answer{}, err
	}
	e, _, err := c.load(ctx, n, f, audit)
	return answer(&e, TierBypass), err
}

// load reads a name at the source, and redacts what it finds. The copy has no life yet; see [policy.Policy.Admit].
func (c *Cache) load(ctx context.Context, n key.Name, f Family, audit bool) (e entry, fenced bool, err error) {
	asked := c.clock.instant()
	r, err := c.source.Load(ctx, n, source.Caller{Region: c.cfg.Region, Audit: audit})
	if err != nil {
		return entry{}, false, err
	}
	c.clock.heard(r.T0, asked)
	if f.Redact != nil && !absent(r) {
		if r.Value, err = f.Redact(r.Value); err != nil {
			return entry{}, false, err
		}
	}
	e = entry{meta: policy.Meta{Kind: policy.Value, Version: r.Version, T0: r.T0, Took: time.Duration(c.clock.instant() - asked)}, value: r.Value}
	if absent(r) {
		e.meta.Kind, e.value = policy.Absence, nil
	}
	return e, r.Fenced, nil
}

// Writer takes changes, as [Cache.Put] and [Cache.Delete] do.
type Writer interface {
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
}

// put is [Cache.Put].
func (c *Cache) put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	if f.Contract.Behind {
		return c.cfg.Behind.Put(ctx, n, value, token)
	}
	return c.change(ctx, k, n, f, func(by source.Caller) (source.Record, error) {
		return c.cfg.Source.Store(ctx, n, value, token, by)
	})
}

// remove is [Cache.Delete].
func (c *Cache) remove(ctx context.Context, n key.Name) (source.Record, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	if f.Contract.Behind {
		return c.cfg.Behind.Delete(ctx, n)
	}
	return c.change(ctx, k, n, f, func(by source.Caller) (source.Record, error) {
		return c.cfg.Source.Delete(ctx, n, by)
	})
}

// change commits at the source and drops what the region has cached of what was there before.
func (c *Cache) change(ctx context.Context, k string, n key.Name, f Family, commit func(source.Caller) (source.Record, error)) (source.Record, error) {
	by := source.Caller{Region: c.cfg.Region}
	if f.Contract.Lease > 0 && c.policy.Confirms(f.Contract) && c.policy.Controls.Has(policy.Fence) {
		free, err := c.announce(ctx, k, n, f, &by)
		if err != nil {
			return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
		}
		defer free()
	}
	asked := c.clock.instant()
	r, err := commit(by)
	if err != nil {
		return source.Record{}, err
	}
	c.clock.heard(r.T0, asked)
	c.drop(k, f, r.Version)
	own, cancel := context.WithTimeout(c.life, redisTimeout)
	defer cancel()
	// The write stands whether or not Redis hears of it now: the relay will tell it again.
	_ = c.l2.invalidate(own, k, f.Contract, r.Version, c.clock.now())
	return r, nil
}

func (c *Cache) resolve(n key.Name) (Family, string, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return Family{}, "", fmt.Errorf("%w %q", ErrFamily, n.Family)
	}
	b, err := f.keys.Append(make([]byte, 0, 64), &n)
	return f.Family, string(b), err
}

// drop forgets the worker's own copy of everything older than version.
func (c *Cache) drop(k string, f Family, version uint64) {
	if c.policy.Controls.Has(policy.VersionedStore) {
		c.l1.put(k, &copied{entry: entry{meta: c.policy.FloorFor(f.Contract, version, c.clock.now())}})
		return
	}
	c.l1.delete(k)
}

// Drop says that one place holds nothing older than a version of a name any more.
type Drop struct {
	Key     string // as the family's schema builds it
	Version uint64
}

// Warm makes sure that the region's Redis and the worker's memory hold a name, without a reader waiting. With renew it loads
// the name even where a copy is still good, unless somebody is loading it already; of a strong family it looks whether the copy is
// current. The load is bounded and shed as a reader's is.
func (c *Cache) Warm(ctx context.Context, n key.Name, renew bool) error {
	f, k, err := c.resolve(n)
	if err != nil {
		return err
	}
	if c.policy.Confirms(f.Contract) {
		_, err = c.confirmed(ctx, k, n, f)
		return err
	}
	if !renew {
		_, err = c.joined(ctx, k, func(ctx context.Context) (Answer, error) { return c.fetch(ctx, k, n, f, lookup{}) })
		return err
	}
	_, err = c.joined(ctx, "renew "+k, func(ctx context.Context) (Answer, error) { return c.reload(ctx, k, n, f, anyCopy) })
	return err
}

// background renews a copy, read at source time t0, while readers are served with it.
func (c *Cache) background(k string, n key.Name, f Family, t0 int64) {
	select {
	case c.refresh <- struct{}{}:
	default:
		c.watch.Refresh(f.Schema.Family, Skipped)
		return
	}
	if !c.begin() {
		<-c.refresh
		return
	}
	go func() {
		defer c.running.Done()
		defer func() { <-c.refresh }()
		// A failed refresh is tried again by a later reader; until then the copy ages towards its bound.
		_, err := c.joined(c.life, "refresh "+k, func(ctx context.Context) (Answer, error) { return c.renew(ctx, k, n, f, t0) })
		c.watch.Refresh(f.Schema.Family, outcome(err))
	}()
}

func answer(e *entry, t Tier) Answer {
	return Answer{Value: e.value, Version: e.meta.Version, Tier: t, Absent: e.meta.Kind == policy.Absence, t0: e.meta.T0}
}

func absent(r source.Record) bool { return r.Version == 0 || r.Deleted }
