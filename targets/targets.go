// Package targets holds the words that every part of cachedrill shares: what is asked of a target
// ([Request]), what it answers ([Reply]), what the harness saw ([Operation]) and what the source of
// truth did ([Commit], [Load]). It holds no behaviour beyond naming these things.
//
// All times are offsets from one monotonic start that the harness chose; they are comparable with
// each other within a drill, and with nothing else.
package targets

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Key names one cached thing in the words of the user, not in the words of any cache. Two keys are
// the same thing exactly when all fields are equal. Dimensions that a family does not vary by are
// empty.
type Key struct {
	Family   string
	ID       string
	Tenant   string
	Locale   string
	Currency string
	Variant  string
}

// String gives the key as evidence shows it, e.g. "product:17 (tenant t3, locale de)".
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Family)
	b.WriteByte(':')
	b.WriteString(k.ID)
	sep := " ("
	for _, d := range [...]struct{ name, value string }{
		{"tenant", k.Tenant}, {"locale", k.Locale}, {"currency", k.Currency}, {"variant", k.Variant},
	} {
		if d.value != "" {
			b.WriteString(sep + d.name + " " + d.value)
			sep = ", "
		}
	}
	if sep == ", " {
		b.WriteByte(')')
	}
	return b.String()
}

// Kind says what an operation does to its key.
type Kind uint8

// The kinds of operation.
const (
	Read Kind = iota
	Write
	Delete // a write of absence: it carries no token, and what it makes is a version like any other
)

// String gives the kind as the label "kind" shows it.
func (k Kind) String() string {
	switch k {
	case Read:
		return "read"
	case Write:
		return "write"
	case Delete:
		return "delete"
	}
	return "invalid"
}

// Changes says whether an operation of the kind makes a new version of its key.
func (k Kind) Changes() bool { return k == Write || k == Delete }

// Request is one operation as asked of a target.
type Request struct {
	Seq      uint64 // the operation's number within the drill; 0 is the first
	Kind     Kind
	Key      Key
	Token    string // of a [Write]: the unique self-certifying value to store (see [NewToken])
	Session  uint64 // operations of one session come from one client
	Region   string // where the client is
	Instance string // "": any worker of the region; else one of the target's [Instanced.Instances]
}

// SourceInstance is the [Request.Instance] that leads past every cache to the source of truth.
const SourceInstance = "source"

// Tiers that a [Reply] may name. A target that does not say where an answer came from leaves it
// empty.
const (
	TierL1     = "l1"     // the worker's own memory
	TierL2     = "l2"     // the shared cache
	TierSource = "source" // loaded from the source because no tier had it
	TierBypass = "bypass" // read from the source without asking any cache; counts for no hit ratio
)

// Reply is a target's answer.
type Reply struct {
	Version uint64 // the per-key version, 1 or more; 0 when the target does not tell
	Token   string // the token stored by the write that made this version
	Owner   Key    // whom the answered value says it belongs to; zero when the target does not tell
	Tier    string // which tier answered; see the Tier constants
	Worker  string // which worker answered; empty when the target does not tell
	Absent  bool   // a not-found answer: Token is empty

	// Accepted is of an answer to a change that promises nothing yet, such as 202: the change may
	// take effect at any later time, or never.
	Accepted bool
}

// ErrNotApplied marks a write error after which the target guarantees that the write had and will
// have no effect. Any other error of a write leaves its outcome unknown.
var ErrNotApplied = errors.New("not applied")

// ErrUnreadable marks the error of an answer with a good status that does not hold what it should.
var ErrUnreadable = errors.New("the answer can't be understood")

// Target is a system under test. Do is called concurrently, must honour ctx, and must not retry on
// its own: a retried write is two writes.
type Target interface {
	Do(ctx context.Context, r Request) (Reply, error)
	Close() error
}

// Instanced is a target whose workers can be asked one by one, and whose source can be asked past
// the caches through [SourceInstance]. The audit phase reads every written key at every instance.
type Instanced interface {
	Instances() []string
}

// Historian is a target whose source of truth can tell its history.
type Historian interface {
	// Commits sends every commit from the first on, in commit order, and ends when ctx does.
	// A [Commit] with version 0 is a seal: every commit before its At has been sent.
	Commits(ctx context.Context) <-chan Commit
}

// LoadCounter is a target that counts reads that reached its source of truth, at the source.
type LoadCounter interface {
	// OnLoad registers the function that gets each load after it ended. It is called concurrently
	// and must be called before the first operation.
	OnLoad(func(Load))
}

// Commit is one entry of the source's history.
type Commit struct {
	Key     Key
	Version uint64        // per key, dense, from 1; 0 in a seal
	Token   string        // of the write that made it; empty when Deleted
	Deleted bool          // the version is an absence
	At      time.Duration // when it became visible, stamped under the commit lock on the harness's clock
}

// Load is one read of one key that reached the source of truth.
type Load struct {
	Key     Key
	Region  string        // of the worker that asked
	Arrived time.Duration // when it reached the source, before any queueing
	Done    time.Duration // when the source answered or gave up
	Version uint64        // what it read; 0 when it failed
	Check   bool          // only the version was asked for, not the value
	Width   int           // loads of this key from this region under way at its arrival, itself included; 0 of a check
	Widest  int           // where Width is only known not to be less: what it is at most; 0: Width is exact
	Audit   bool          // asked through [SourceInstance]: no part of the workload

	Queued    time.Duration // between its arrival and the moment at which it was taken up
	Attempt   int           // 2 or more: a retry of a load that was given up
	Abandoned bool          // the caller gave up at Done, and it is served all the same
}

// InvalidationReporter is a target that reports when its tiers let go of superseded copies:
// invalidation seen from inside.
type InvalidationReporter interface {
	// OnInvalidated registers the function that gets each report. It is called concurrently and
	// must be registered before the first operation.
	OnInvalidated(func(Invalidated))
}

// Invalidated reports that one cache of one tier (a worker's memory, or a region's shared cache)
// holds nothing older than Version of Key any more.
type Invalidated struct {
	Key     Key
	Tier    string // [TierL1] or [TierL2]
	Region  string
	Worker  string        // for a tier in a worker's memory; empty otherwise
	Version uint64        // the version that superseded what was there
	At      time.Duration // when it was done
}

// Outcome of an operation.
type Outcome uint8

// The outcomes of an operation. A read that failed is Failed; a write without a definite answer is
// Unknown.
const (
	OK Outcome = iota
	Failed
	Unknown
	// Accepted is a change whose answer promises nothing yet (see [Reply]). It was answered, and so
	// is no error; its effect is as open as that of an Unknown one.
	Accepted
)

// Answered reports whether the target answered as it should: the operation is no error.
func (o Outcome) Answered() bool { return o == OK || o == Accepted }

// Open reports whether a change may take effect later than its answer, or never.
func (o Outcome) Open() bool { return o == Unknown || o == Accepted }

// String gives the outcome as evidence shows it.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Failed:
		return "failed"
	case Unknown:
		return "unknown"
	case Accepted:
		return "accepted"
	}
	return "invalid"
}

// Operation is one request, what came of it, and when, as seen from outside the target.
type Operation struct {
	Request
	Reply   Reply
	Outcome Outcome
	Err     error

	Due      time.Duration // when the schedule asked for it; latency counts from here
	Sent     time.Duration // stamped before the target was called
	Returned time.Duration // stamped after the target answered; 0 while in flight
}

// Latency is what a user waited: from when the operation was due.
func (o Operation) Latency() time.Duration { return o.Returned - o.Due }

// Service is how long the target took once it was asked.
func (o Operation) Service() time.Duration { return o.Returned - o.Sent }
