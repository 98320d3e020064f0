// Package source is the third tier: the source of truth. [Source] is what the cache needs of one;
// [Model] is one with real queueing, in memory, for drills on any machine. Package postgres has one
// in PostgreSQL, with tables of its own.
//
// # A source of your own
//
// Implement [Source], and [Feed] where there is more than one worker; [Applier] only for families
// that are written behind. The example of package sourcetest is a whole one, and its Run and
// RunFeed hold yours to the rules. What matters most:
//
//   - A name keeps a version, a fence, and whether it was deleted, beside its value. Each change
//     raises the version by one, deletes too, and versions go on where they were after a delete:
//     nothing is forgotten of a name. Change, version and the feed's entry are one transaction.
//   - All times are of one clock, the source's, whatever its zero is. T0 of a read must not be
//     later than the moment of which the value is: in a database take the time at the transaction's
//     start, before its snapshot. Too early costs freshness, too late is a lie.
//   - Load and Version answer from the newest, never from a replica that lags.
//   - An error says what is known: [ErrNotApplied] where there was no effect, which is so of a
//     change whose context had ended before it came (wrap that error, too) and of one whose fence
//     is no longer its own ([ErrFenced], too). A caller that gives up while the change is under way
//     has any other error.
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
	Fenced  bool  // a writer has announced a change: what was read must not be kept where it is served unconfirmed
	T0      int64 // the source's clock inside the read or commit, nanoseconds; of a read never later than the moment of which it tells
}

// Caller says who asks, for accounting at the source.
type Caller struct {
	Region  string // of the worker: [Entry.Origin] of what it changes
	Audit   bool   // no part of the workload: neither queued nor counted as load
	Attempt int    // 2 or more: the load was asked for before, and given up
	// Fence is the fence under which a change is made: it commits only while the name's fence is
	// still this one, and ends it. "" changes without looking at fences.
	Fence string
}

// Source is a source of truth.
type Source interface {
	// Load reads one name. A name that never existed is a Record with version 0, not an error; one
	// that was deleted has its version, and no value.
	Load(ctx context.Context, n key.Name, by Caller) (Record, error)
	// Version is Load without the value, for less.
	Version(ctx context.Context, n key.Name, by Caller) (Record, error)
	// Store commits a value as the next version. token is its writer's mark, which may be empty,
	// for the feed only. An error that is [ErrNotApplied] guarantees that there was and will be no
	// effect; after any other error the outcome is unknown. One that is also [ErrFenced] says that
	// by's fence is not the name's any more. The caller does not change value after the call, nor
	// that of a Record.
	Store(ctx context.Context, n key.Name, value []byte, token string, by Caller) (Record, error)
	// Delete commits an absence, also where nothing is. Its errors are those of Store.
	Delete(ctx context.Context, n key.Name, by Caller) (Record, error)
	// Fence announces a change of a name: every load that starts after it returned finds the name
	// fenced, until a change under the same fence has committed. The fence of another writer is
	// left alone, with [ErrFenced], unless take is set: then it is replaced, and the other writer's
	// change can't commit any more. A fence never ends by itself. After an error that is neither
	// ErrFenced nor [ErrNotApplied] the name may be fenced.
	Fence(ctx context.Context, n key.Name, fence string, take bool, by Caller) error
	// Clock reads the source's clock, nanoseconds; the same clock that stamps Record.T0.
	Clock(ctx context.Context) (int64, error)
}

// Applier is a source that also takes changes whose versions were given before they came here, by
// the one owner of their names.
type Applier interface {
	Source
	// Own makes owner the only one whose changes to a realm are taken. Where another owns it that
	// stays so, with [ErrOwned], unless take is set. When it returns, no change of a former owner
	// is under way or will be made. Owner "" frees the realm.
	Own(ctx context.Context, realm, owner string, take bool) error
	// Apply commits a change. It is not needed, and nothing happens, when the name has its version
	// or a newer one: so changes can be repeated, in their order, as often as it takes. Versions
	// that were left out stay out, and no fence is looked at. Its errors are those of Store;
	// [ErrOwned] says that the realm is not the owner's.
	Apply(ctx context.Context, c Change, by Caller) (needed bool, err error)
}

// Change is a change with a version.
type Change struct {
	Name         key.Name
	Version      uint64 // from 1
	Value        []byte
	Token        string
	Deleted      bool
	Realm, Owner string
}

// ErrOwned marks a realm that belongs to another owner.
var ErrOwned = errors.New("the realm has another owner")

// ErrNotApplied marks a store that had no effect.
var ErrNotApplied = errors.New("not applied")

// ErrFenced marks a name that another writer has announced a change of.
var ErrFenced = errors.New("another writer's fence stands")

// ErrShed marks a request that the source refused because its queue was full.
var ErrShed = errors.New("the source's queue is full")
