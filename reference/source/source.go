// Package source is the third tier: the source of truth. [Source] is what the cache needs of one;
// [Model] is one with real queueing, in memory, for drills on any machine.
package source

import (
	"context"
	"errors"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Record is what the source knows of a name.
type Record struct {
	Value   []byte
	Version uint64 // per name, from 1; 0 when the name never existed
	Deleted bool
	T0      int64 // the source's clock inside the read or commit, nanoseconds
}

// Caller says who asks, for accounting at the source.
type Caller struct {
	Region  string
	Audit   bool // no part of the workload: neither queued nor counted as load
	Attempt int  // 2 or more: the load was asked for before, and given up
}

// Source is a source of truth.
type Source interface {
	// Load reads one name. A name that never existed is a Record with version 0, not an error.
	Load(ctx context.Context, n key.Name, by Caller) (Record, error)
	// Store commits a value under its writer's token. An error that is [ErrNotApplied] guarantees
	// that there was and will be no effect; after any other error the outcome is unknown.
	Store(ctx context.Context, n key.Name, value []byte, token string, by Caller) (Record, error)
	// Delete commits an absence, also where nothing is. Its errors are those of Store.
	Delete(ctx context.Context, n key.Name, by Caller) (Record, error)
	// Clock reads the source's clock, nanoseconds; the same clock that stamps Record.T0.
	Clock(ctx context.Context) (int64, error)
}

// ErrNotApplied marks a store that had no effect.
var ErrNotApplied = errors.New("not applied")

// ErrShed marks a request that the source refused because its queue was full.
var ErrShed = errors.New("the source's queue is full")
