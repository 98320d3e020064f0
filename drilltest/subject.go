package drilltest

import "github.com/cachedrill/cachedrill/drill/environment"

// Seeder is a target that puts first values to its source of truth itself: of every key the token
// targets.NewToken(run, targets.SeedSeq, key). Other targets are seeded by writes.
type Seeder = environment.Seeder

// Prewarmer is a target that fills its caches itself, before a drill. Of other targets every key is
// read once at every instance.
type Prewarmer = environment.Prewarmer

// Clocked is a target that must know when offset 0 is, to stamp history, loads or drops. SetEpoch
// is called after the seeding: what was committed before lies at negative offsets.
type Clocked = environment.Clocked

// Settler is a target that can wait until what was written has reached all its caches.
type Settler = environment.Settler

// Purger is a target whose caches can be made to drop keys, as happens before the audit, so that
// its reads come from the source.
type Purger = environment.Purger
