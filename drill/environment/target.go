package environment

import (
	"context"
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

// Target is a target with all optional parts of package targets. Those that it lacks are empty, and
// [Capabilities] tell which. A decorator embeds a Target, and so keeps what the decorated one can
// do.
type Target interface {
	targets.Target
	targets.Historian
	targets.LoadCounter
	targets.InvalidationReporter
	targets.Instanced
	targets.CacheStatsReporter
	targets.EgressCounter
	Settler
	Purger
}

// Settler is a target that can wait until what was written has reached all its caches.
type Settler interface {
	Settle(ctx context.Context) error
}

// Purger is a target whose caches can be made to drop keys.
type Purger interface {
	Purge(ctx context.Context, keys []targets.Key) error
}

// completed is a target of which some parts may be [absent].
type completed struct {
	targets.Target
	targets.Historian
	targets.LoadCounter
	targets.InvalidationReporter
	targets.Instanced
	targets.CacheStatsReporter
	targets.EgressCounter
	Settler
	Purger
}

// complete looks for the optional parts of a target, and fills in those that it lacks.
func complete(t targets.Target) (Target, Capabilities) {
	none := absent{}
	c := completed{t, none, none, none, none, none, none, none, none}
	can := Capabilities{Versions: true, EgressUnavailable: noEgress}
	if part, ok := t.(targets.Historian); ok {
		c.Historian, can.History = part, true
	}
	if part, ok := t.(targets.LoadCounter); ok {
		c.LoadCounter, can.Loads = part, everyLoad
	}
	if part, ok := t.(targets.InvalidationReporter); ok {
		c.InvalidationReporter, can.Invalidations = part, true
	}
	if part, ok := t.(targets.Instanced); ok {
		c.Instanced = part
		can.addInstances(part.Instances())
	}
	if part, ok := t.(targets.CacheStatsReporter); ok {
		c.CacheStatsReporter, can.CacheStats = part, true
	}
	if part, ok := t.(targets.EgressCounter); ok {
		c.EgressCounter = part
		_, can.EgressUnavailable = part.CrossRegionBytes()
	}
	if part, ok := t.(Settler); ok {
		c.Settler = part
	}
	if part, ok := t.(Purger); ok {
		c.Purger = part
	}
	return c, can
}

// absent stands for each optional part that a target lacks.
type absent struct{}

func (absent) Commits(context.Context) <-chan targets.Commit {
	none := make(chan targets.Commit)
	close(none)
	return none
}

func (absent) OnLoad(func(targets.Load)) {}

func (absent) OnInvalidated(func(targets.Invalidated)) {}

// Instances names the one instance that there is: whichever answers.
func (absent) Instances() []string { return []string{""} }

func (absent) CacheStats() []targets.CacheStats { return nil }

func (absent) CrossRegionBytes() (bytes map[string]int64, unavailable string) { return nil, noEgress }

func (absent) Settle(context.Context) error { return nil }

func (absent) Purge(context.Context, []targets.Key) error { return nil }

// blackBox hides of a target what only the reference service shows: what is left are values, their
// owners, and whatever else any service could answer.
type blackBox struct{ Target }

// Do implements [targets.Target]. Answers tell no version.
func (b blackBox) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := b.Target.Do(ctx, r)
	reply.Version = 0
	return reply, err
}

func (blackBox) Commits(ctx context.Context) <-chan targets.Commit { return absent{}.Commits(ctx) }

func (blackBox) OnLoad(func(targets.Load)) {}

func (blackBox) OnInvalidated(func(targets.Invalidated)) {}

func (blackBox) CacheStats() []targets.CacheStats { return nil }

func (blackBox) CrossRegionBytes() (map[string]int64, string) { return nil, noEgress }

// writtenVersions lets the versions that reads answer through once a write of their family has
// shown its own. Versions that only reads tell leave acknowledged writes without a rank among them:
// hardly anything could be proven then, and tokens alone prove more.
type writtenVersions struct {
	Target
	families sync.Map // by name: a write has shown its version
}

// Do implements [targets.Target].
func (v *writtenVersions) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := v.Target.Do(ctx, r)
	if err != nil || reply.Version == 0 {
		return reply, err
	}
	if r.Kind.Changes() {
		v.families.Store(r.Key.Family, true)
	} else if _, shown := v.families.Load(r.Key.Family); !shown {
		reply.Version = 0
	}
	return reply, nil
}
