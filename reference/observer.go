package reference

import (
	"time"
)

// Observer hears what a worker's cache decides and meets; package metrics has one for Prometheus.
// Its methods are called concurrently, in the way of readers and writers: they must be quick, and
// must not block or call the cache. Embed [NopObserver] to hear of some events only, and to need no
// change when events are added here.
//
// Audits and [Cache.GetBypass] cause no event, nor do names that the cache makes no key of.
type Observer interface {
	// Read is called for each [Cache.Get] when it ends.
	Read(ReadEvent)
	// Stale is called each time that a copy is served although a better one was wanted. Readers
	// that share what one of them found are one time.
	Stale(family string, why StaleReason)
	// Load is called for each question to the source when it ends, retries among them, and for
	// those that the worker refused to ask.
	Load(LoadEvent)
	// Lag is called with how long after the commit a newer version was heard of, about: the worker
	// knows the source's clock from its answers. The cache reports [PathBus]; the process that runs
	// a relay reports [PathRelay].
	Lag(family string, via Path, lag time.Duration)
	// Shared is called with how many readers were answered by one look past the worker's memory.
	Shared(readers int)
	// LeaseWait is called for each look past memory that finds another worker loading the name.
	LeaseWait(family string)
	// Breaker is called when the circuit breaker before Redis opens and closes, and once at the
	// beginning: closed.
	Breaker(open bool)
	// Purge is called for each purge that the worker's memory hears of.
	Purge()
	// Gap is called each time that the worker finds that it may have missed messages of the bus.
	Gap()
	// Refresh is called for each background refresh: how it ended, or that it was [Skipped].
	Refresh(family string, o Outcome)
	// Write is called for each [Cache.Put] and [Cache.Delete] when it ends.
	Write(WriteEvent)
}

// ReadEvent is one read that ended.
type ReadEvent struct {
	Family, Tenant string
	Tier           Tier    // where its answer came from; "" when it failed
	Outcome        Outcome // Done, or how it failed
	Took           time.Duration
}

// LoadEvent is one question to the source that ended.
type LoadEvent struct {
	Family  string
	Check   bool    // only the version was asked for
	Outcome Outcome // Shed: the worker did not ask
	Took    time.Duration
}

// WriteEvent is one change that ended.
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
	Canceled   Outcome = "canceled" // the caller gave up
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

// StaleReason says why a copy was served although a better one was wanted. Reports have the reasons
// as keys.
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

// NopObserver is an [Observer] that does nothing.
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
