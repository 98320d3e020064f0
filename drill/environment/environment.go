// Package environment makes what a drill happens in: a target, with everything around it that faults can touch.
package environment

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment/sourceload"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Options say how to make an environment.
type Options struct {
	Policy  service.Policy
	Backend redis.Backend // of the Redises that are started
	Seed    uint64
	// Run is what the tokens of the drill begin with.
	Run string

	// Env is what the policy sets in the environment of a service that the suite starts.
	Env map[string]string
	// Out is where logs of what is started are kept; "": nowhere.
	Out string

	// Statistics asks a PostgreSQL, for suites that count loads so; nil: they can't be drilled.
	Statistics sourceload.Statistics
}

// Place is where a drill happens: the service, with everything around it that faults can touch.
type Place struct {
	Service Subject
	// Target is who is asked, and whose optional interfaces count; nil: Service.
	Target targets.Target
	Site   faults.Site
	// Sleep is how the generator waits for the next operation; nil is precise, and not for virtual time.
	Sleep func(time.Duration)
	// Broken says which of the harness's own parts broke by themselves, "" when none did; may be nil.
	Broken func() string
	// Said gives what a reader of the report should know, at the end; may be nil.
	Said func() []string
	// Unreadable counts answers that said ok and could not be understood, and gives the first; may be nil.
	Unreadable func() (n int64, first string)
	// Memory asks a region's Redis how much it uses, past everything that faults touch; nil: there is none to ask.
	Memory map[string]Gauge
	// Traces gives what was seen of the causes of what the drill measured, what explains most first; may be nil.
	Traces func(epoch time.Time) []report.Trace
	// Close ends everything that belongs to the place.
	Close func() error
}

// Gauge asks how many bytes of memory are used, and how many were at most since the server started. An
// [errors.ErrUnsupported] says that it will never tell.
type Gauge func(context.Context) (used, peak int64, err error)

// Subject is a target as a drill prepares it.
type Subject interface {
	targets.Target
	// Seed gives the source a first value of every key, with tokens of the run.
	Seed(ctx context.Context, keys []targets.Key, run string) error
	// Prewarm fills the caches. What it says is for the reader of the report; "" when there is nothing to say.
	Prewarm(ctx context.Context, keys []targets.Key) (said string, err error)
	// SetEpoch says when offset 0 of all times is.
	SetEpoch(time.Time)
}

// CleanupError says what could not be put back or ended: after it, something may be left.
type CleanupError struct{ Err error }

func (e *CleanupError) Error() string { return "cleaning up: " + e.Err.Error() }

// Unwrap gives what went wrong.
func (e *CleanupError) Unwrap() error { return e.Err }

// Cleanup makes a [CleanupError] of an error, and nothing of none.
func Cleanup(err error) error {
	if err == nil {
		return nil
	}
	return &CleanupError{err}
}
