// Package environment makes what a drill happens in: a target, with everything around it that
// faults can touch, and says what the target and its surroundings can do.
package environment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment/sourceload"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Environment is where one drill happens. Every kind of target has its own: [Reference], [HTTP] and
// [Go], and package virtual for virtual time.
type Environment interface {
	// Run is what the tokens of this run begin with.
	Run() string
	// Target is the only handle on the system under test.
	Target() Target
	// Capabilities say what the target and its surroundings can do. They never change.
	Capabilities() Capabilities
	// Prepare gives the source first values and fills the caches, family by family. It is called
	// once, before Start.
	Prepare(ctx context.Context, families [][]targets.Key) (Preparation, error)
	// Start sets offset 0 of all times, a moment ahead, and gives it with a monotonic reading. It
	// is called once, before the load.
	Start() time.Time
	// Site is what faults can touch, complete with journal, audit log and clock.
	Site() faults.Site
	// UsedMemory asks a Redis of [Capabilities].Memory how many bytes it uses, and how many it used
	// at most since it started, past everything that faults touch. An [errors.ErrUnsupported] is
	// its answer for ever.
	UsedMemory(ctx context.Context, redis string) (used, peak int64, err error)
	// Observations are what the environment itself saw so far.
	Observations() Observations
	// Close ends everything that belongs to the environment.
	Close() error
}

// Preparation is what came of preparing an environment.
type Preparation struct {
	Notes []string // for the reader of the report
}

// Observations are what an environment saw during a drill, besides what the target answered.
type Observations struct {
	Notes   []string // for the reader of the report
	Failure string   // which part of the harness broke by itself; "" when none did

	Garbled      int64  // answers with a good status that could not be understood
	FirstGarbled string // the first of them

	Corroborations []measure.Corroboration // causes of what was measured, what explains most first
}

// Preparer readies a target for a drill.
type Preparer interface {
	// Seed gives the source a first value of every key, with tokens of the run.
	Seed(ctx context.Context, keys []targets.Key, run string) error
	// Prewarm fills the caches. The note is for the reader of the report; it may be empty.
	Prewarm(ctx context.Context, keys []targets.Key) (note string, err error)
	// SetEpoch sets offset 0 of all times.
	SetEpoch(time.Time)
}

// Options say how to make an environment.
type Options struct {
	Policy  service.Policy
	Backend redis.Backend // of the Redises that are started
	Seed    uint64        // of what the reference service decides at random
	Run     string        // what the tokens begin with; "" makes one up

	// BlackBox hides what only the reference service shows: versions, the source's history, loads
	// and figures. Its answers alone are judged then, as those of any service.
	BlackBox bool

	Env map[string]string // variables that the policy sets for a service that the suite starts
	Out string            // the directory for logs of what is started; "": none are kept

	// Statistics asks a PostgreSQL, for suites that count loads so; nil: they can't be drilled.
	Statistics sourceload.Statistics

	Journal *undo.Journal // of what to undo, should this process end before it has healed; may be nil
	Audit   *undo.Audit   // of what was done; may be nil
}

// Open makes the environment of one drill of a scenario. On an error nothing is left running.
type Open func(context.Context, scenarios.Scenario, Options) (Environment, error)

// lead is the time between the end of the preparations and the first operation.
const lead = 50 * time.Millisecond

// Base is what the environments of all kinds have in common. They embed it.
type Base struct {
	run          string
	target       Target
	capabilities Capabilities
	preparer     Preparer
	site         faults.Site
	epoch        time.Time
}

// NewBase looks at what the target can do, this once, and completes the site.
func NewBase(target targets.Target, preparer Preparer, site faults.Site, opt Options) *Base {
	b := &Base{run: opt.Run, preparer: preparer, site: site, epoch: time.Now()}
	if b.run == "" {
		b.run = NewRun()
	}
	b.target, b.capabilities = complete(target)
	if opt.BlackBox {
		b.target, b.capabilities = blackBox{b.target}, b.capabilities.ofBlackBox()
	}
	if !b.capabilities.History {
		b.target = &writtenVersions{Target: b.target}
	}
	b.site.Journal, b.site.Audit = opt.Journal, opt.Audit
	b.site.Now = func() time.Duration { return time.Since(b.epoch) }
	return b
}

// NewRun makes up the beginning of a run's tokens.
func NewRun() string { return fmt.Sprintf("%08x", rand.Uint32()) }

// Run implements [Environment].
func (b *Base) Run() string { return b.run }

// Target implements [Environment].
func (b *Base) Target() Target { return b.target }

// Capabilities implements [Environment].
func (b *Base) Capabilities() Capabilities { return b.capabilities }

// Site implements [Environment].
func (b *Base) Site() faults.Site { return b.site }

// UsedMemory implements [Environment]: there is no Redis to ask.
func (b *Base) UsedMemory(context.Context, string) (used, peak int64, err error) {
	return 0, 0, fmt.Errorf("memory of a Redis: %w", errors.ErrUnsupported)
}

// Observations implements [Environment]: there are none.
func (b *Base) Observations() Observations { return Observations{} }

// Prepare implements [Environment].
func (b *Base) Prepare(ctx context.Context, families [][]targets.Key) (Preparation, error) {
	var p Preparation
	for _, keys := range families {
		if err := b.preparer.Seed(ctx, keys, b.run); err != nil {
			return p, fmt.Errorf("seeding the source: %w", err)
		}
		note, err := b.preparer.Prewarm(ctx, keys)
		if err != nil {
			return p, fmt.Errorf("prewarming: %w", err)
		}
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
	return p, nil
}

// Start implements [Environment].
func (b *Base) Start() time.Time {
	b.epoch = time.Now().Add(lead)
	b.preparer.SetEpoch(b.epoch)
	return b.epoch
}

// CleanupError is about what could not be put back or ended: after it, something may be left.
type CleanupError struct{ Err error }

func (e *CleanupError) Error() string { return "cleaning up: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *CleanupError) Unwrap() error { return e.Err }

// Cleanup makes a [CleanupError] of an error, and nothing of none.
func Cleanup(err error) error {
	if err == nil {
		return nil
	}
	return &CleanupError{err}
}
