package reference

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Observer is told what a worker's cache decides and meets; package metrics has one for Prometheus. Its methods are called
// concurrently, in the way of readers and writers: they must be quick, and must not block or call the cache. Embed
// [NopObserver] to be told of some things only, and of what is added here later without a change.
//
// Audits, and what [Cache.GetBypass] reads, are told of nowhere; nor are names of families that the cache has not.
type Observer interface {
	// Read is told of each [Cache.Get] when it ends.
	Read(ReadEvent)
	// Stale is told of each time that a copy is served which a better one was wanted for. Readers who share what one of them
	// found are one time.
	Stale(family string, why StaleReason)
	// Load is told of each question to the source when it ends, retries among them, and of those that the worker did
	// not put.
	Load(LoadEvent)
	// Lag is told how long after the commit a newer version was heard of, about: the worker knows the source's clock from
	// its answers. The cache tells of [PathBus]; whoever runs a relay tells of [PathRelay] when it has delivered.
	Lag(family string, via Path, lag time.Duration)
	// Shared is told how many readers were answered by one look past the worker's memory.
	Shared(readers int)
	// LeaseWait is told of each look past memory that finds another worker loading the name.
	LeaseWait(family string)
	// Breaker is told when the circuit breaker before Redis opens and closes, and that it is closed at the beginning.
	Breaker(open bool)
	// Purge is told of each purge that the worker's memory hears of.
	Purge()
	// Gap is told of each time that the worker finds that it may have missed messages of the bus.
	Gap()
	// Refresh is told of each background refresh: how it ended, or that it was [Skipped].
	Refresh(family string, o Outcome)
	// Write is told of each [Cache.Put] and [Cache.Delete] when it ends.
	Write(WriteEvent)
}

// ReadEvent is one read.
type ReadEvent struct {
	Family, Tenant string
	Tier           Tier    // where its answer came from; "" when it failed
	Outcome        Outcome // Done, or how it failed
	Took           time.Duration
}

// LoadEvent is one question to the source.
type LoadEvent struct {
	Family  string
	Check   bool    // only the version was asked for
	Outcome Outcome // Shed: the worker did not ask
	Took    time.Duration
}

// WriteEvent is one change.
type WriteEvent struct {
	Family  string
	Delete  bool
	Outcome Outcome // Done, NotApplied or Unknown
	Took    time.Duration
}

// Outcome says how something ended.
type Outcome string

// The outcomes.
const (
	Done       Outcome = "ok"
	Shed       Outcome = "shed"    // the worker did not ask the source, which is slow already
	Refused    Outcome = "refused" // the source's queue was full
	TimedOut   Outcome = "timeout"
	Canceled   Outcome = "canceled" // whoever asked gave up
	Failed     Outcome = "failed"
	Skipped    Outcome = "skipped"     // of a refresh: too many were under way
	NotApplied Outcome = "not_applied" // of a write: proven without effect
	Unknown    Outcome = "unknown"     // of a write: it may have been made
)

// Outcomes of reads and loads, refreshes, and writes.
var (
	LoadOutcomes    = []Outcome{Done, Shed, Refused, TimedOut, Canceled, Failed}
	RefreshOutcomes = append(LoadOutcomes[:len(LoadOutcomes):len(LoadOutcomes)], Skipped)
	WriteOutcomes   = []Outcome{Done, NotApplied, Unknown}
)

// StaleReason says why a copy was served which a better one was wanted for.
type StaleReason string

// The reasons.
const (
	StaleRefresh  StaleReason = "refresh" // its fresh life had ended, and it was being renewed
	StaleIfError  StaleReason = "spare"   // it had outlived its TTL, and nothing better could be had
	StaleAfterGap StaleReason = "doubted" // the worker may have missed the message that would have dropped it
)

// StaleReasons lists them.
var StaleReasons = []StaleReason{StaleRefresh, StaleIfError, StaleAfterGap}

// Path is a way by which commits come to copies.
type Path string

// The paths.
const (
	PathBus   Path = "bus"   // to a worker's memory
	PathRelay Path = "relay" // to a region's Redis
)

// Paths lists them.
var Paths = []Path{PathBus, PathRelay}

// Tiers lists where answers to [Cache.Get] come from.
var Tiers = []Tier{TierL1, TierL2, TierSource}

// NopObserver is an [Observer] that takes no notice.
type NopObserver struct{}

// Read implements [Observer], and so do the other methods.
func (NopObserver) Read(ReadEvent)                   {}
func (NopObserver) Stale(string, StaleReason)        {}
func (NopObserver) Load(LoadEvent)                   {}
func (NopObserver) Lag(string, Path, time.Duration)  {}
func (NopObserver) Shared(int)                       {}
func (NopObserver) LeaseWait(string)                 {}
func (NopObserver) Breaker(bool)                     {}
func (NopObserver) Purge()                           {}
func (NopObserver) Gap()                             {}
func (NopObserver) Refresh(family string, o Outcome) {}
func (NopObserver) Write(WriteEvent)                 {}

var _ Observer = NopObserver{}

// watched has everything tell the observer of the configuration. It comes before anything runs.
func (c *Cache) watched(o Observer) Observer {
	if o == nil {
		return NopObserver{}
	}
	c.seen = o
	c.flights.landed = func(name string, readers int) {
		if !strings.Contains(name, " ") { // keys have none, and what is no reader's begins with a word and one
			o.Shared(readers)
		}
	}
	c.checks.landed, c.loads.landed = o.Shared, o.Shared
	o.Breaker(false)
	return o
}

// sawHit tells of a read that memory answered. It is small enough to cost nothing where nobody listens.
func (c *Cache) sawHit(n *key.Name, began instant) {
	if c.seen != nil {
		c.sawRead(n, TierL1, nil, began)
	}
}

// sawPast is [Cache.past], told of.
func (c *Cache) sawPast(ctx context.Context, k string, n key.Name, f Family, began instant) (Answer, error) {
	a, err := c.past(ctx, k, n, f, began)
	if c.seen != nil {
		c.sawRead(&n, a.Tier, err, began)
	}
	return a, err
}

// sawConfirmed is [Cache.confirmed], told of.
func (c *Cache) sawConfirmed(ctx context.Context, k string, n key.Name, f Family) (Answer, error) {
	if c.seen == nil {
		return c.confirmed(ctx, k, n, f)
	}
	began := c.clock.instant()
	a, err := c.confirmed(ctx, k, n, f)
	c.sawRead(&n, a.Tier, err, began)
	return a, err
}

func (c *Cache) sawRead(n *key.Name, t Tier, err error, began instant) {
	if err != nil {
		t = ""
	}
	c.seen.Read(ReadEvent{Family: n.Family, Tenant: n.Tenant, Tier: t, Outcome: outcome(err), Took: time.Duration(c.clock.instant() - began)})
}

func (c *Cache) wrote(family string, deleted bool, err error, began instant) {
	if _, known := c.families[family]; !known {
		return
	}
	o := Done
	switch {
	case errors.Is(err, source.ErrNotApplied):
		o = NotApplied
	case err != nil:
		o = Unknown
	}
	c.watch.Write(WriteEvent{Family: family, Delete: deleted, Outcome: o, Took: time.Duration(c.clock.instant() - began)})
}

// sawRefresh tells why a copy is served at source time now that is being renewed. One that is renewed early is as good as any.
func (c *Cache) sawRefresh(f *Family, m *policy.Meta, now int64, doubted bool) {
	switch {
	case doubted:
		c.watch.Stale(f.Schema.Family, StaleAfterGap)
	case now >= m.FreshUntil:
		c.watch.Stale(f.Schema.Family, StaleRefresh)
	}
}

// sawInvalidation tells how long ago, about, a version was committed that the bus tells of; at is 0 where it does not say.
func (c *Cache) sawInvalidation(family string, at int64) {
	if at != 0 {
		c.watch.Lag(family, PathBus, time.Duration(max(0, c.clock.about(c.clock.instant())-at)))
	}
}

// about is the source's clock at a local instant as it probably is, by the latest knowledge: at is as late as it can be.
func (c *upperClock) about(i instant) int64 {
	k := c.last.Load()
	return k.said + int64(i-k.asked)
}

// watched makes the guard tell of what it asks.
func (g *guard) watched(o Observer) *guard {
	g.watch = o
	return g
}

// seen is a question that is told of.
func (g *guard) seen(check bool, ask question) question {
	return func(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
		began := time.Now()
		r, err := ask(ctx, n, by)
		if !by.Audit {
			o := outcome(err)
			if o == Shed {
				o = Refused
			}
			g.watch.Load(LoadEvent{Family: n.Family, Check: check, Outcome: o, Took: time.Since(began)})
		}
		return r, err
	}
}

// watched makes the circuit tell when it opens and closes.
func (c *circuit) watched(o Observer) *circuit {
	c.watch = o
	return c
}

// turned tells of a step of the circuit, in the order of steps.
func (c *circuit) turned(before policy.Circuit) {
	if was, is := before.Until != 0, c.state.Until != 0; was != is {
		c.watch.Breaker(is)
	}
}

func outcome(err error) Outcome {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, source.ErrShed):
		return Shed
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Failed
}
