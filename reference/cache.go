package reference

import (
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/coalesce"
	"github.com/cachedrill/cachedrill/reference/internal/keylock"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Bounds on waiting. A fill lease outlives the load that it stands for, so that a slow load is not
// doubled.
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

// Close ends the background work and waits for it. The cache must not be used after it, and what
// was under way may fail. The source and the client are closed after it, by their owner.
func (c *Cache) Close() {
	c.work.Close()
	c.l1.Close()
}
