package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// before and never are the times of what has always been and of what has not happened.
const (
	before = history.Before
	never  = history.Never
)

// Class is what a family promises about its reads.
type Class uint8

// The consistency classes.
const (
	Bounded  Class = iota // no read is staler than [Family.Within]
	Strong                // no read is stale; without versions: and some order of the writes explains all reads
	Eventual              // no read is staler than [Family.Within], once the world has been healthy for longer than that
)

// String gives the class as labels show it.
func (c Class) String() string {
	switch c {
	case Bounded:
		return "bounded"
	case Strong:
		return "strong"
	case Eventual:
		return "eventual"
	}
	return "invalid"
}

// Family is what the judge must know of a kind of key.
type Family struct {
	Class  Class
	Within time.Duration // the bound D of a bounded family, the C of an eventual one; ignored for strong ones
	// Unclassed families promise nothing: their reads are judged, and no answer is a violation.
	Unclassed bool
	// Horizon is how long a cache could plausibly keep a copy: the TTL. Only opportunities depend
	// on it. 0 means never: no read of the family counts as one that could have been stale.
	Horizon time.Duration
}

// bound is the staleness up to which a read of the family keeps its promise.
func (f Family) bound() time.Duration {
	if f.Class == Strong {
		return 0
	}
	return f.Within
}

// Config is what a judge knows before the first operation.
type Config struct {
	Run      string            // the run part of this run's tokens; see [targets.NewToken]
	Families map[string]Family // a family that is not here is judged, but has no class to violate

	// Historian says that the source's history arrives through [Judge.Commit], with seals. Commits
	// are then the only evidence of order and time, and a read waits for a seal at or after its
	// return.
	Historian bool

	// ForeignWriters says that others may have written the keys, before the drill or during it: a
	// value that bears no mark of this run is somebody else's then, and makes its key unjudged,
	// rather than a torn one.
	ForeignWriters bool

	// Shared says that others may also delete them: then no absence proves anything.
	Shared bool

	// Siblings says whether other keys exist that a mix-up could confuse the key with; only
	// opportunities for leaks depend on it. nil: never. It is called once a key, with a lock held:
	// it must be quick and must not call the judge.
	Siblings func(targets.Key) bool

	// Judged gets every read that ended OK, once, in the goroutine that called End, Commit or
	// Finish, possibly later than its End. Calls are concurrent; no lock of the judge is held. May
	// be nil.
	Judged func(Judgement)
}
