// Package purge takes values out of a region's caches on an operator's order, and keeps an audit
// log of that.
package purge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/token"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Config describes a region's purger.
type Config struct {
	Region   string
	Policy   policy.Policy // as the workers have it
	Families []Family      // likewise; reference.PurgeFamilies gives them
	Shared   store.Store
	Pools    map[string]store.Store // of families that have a pool, by its name
	Audit    *Audit
	Progress func(Purged) // called after every batch with all so far; must not block. May be nil
}

// Order is what somebody wants purged. Who and Why go to the audit log and must not be empty.
type Order struct {
	Selector
	Who string // who answers for it: a person, or a job by its name
	Why string
}

// Purged is what a purge has done in the region's Redis so far.
type Purged struct {
	Seen    int // keys looked at; one may be looked at more than once
	Removed int // values, and what was no entry of ours under a key of ours
	Voided  int // fills under way that may not store what they have read
}

// Errors of a purge.
var (
	// ErrOrder: nothing was purged, because the order does not say by whom or why.
	ErrOrder = errors.New("a purge needs who and why")
	// ErrPool: the purger was made with a family whose pool has no store.
	ErrPool = errors.New("no such pool")
	// ErrPartly: some was purged, perhaps all, but not known to be all. A purge can be repeated.
	ErrPartly = errors.New("the purge did not get through")
)

// Purger takes values out of a region: out of its Redis, then out of the memory of its workers. It
// takes no knowledge away: what is superseded stays superseded, so that no older fill wins after a
// purge, and every family keeps its promise. The next reader loads anew. It is safe for concurrent
// use.
//
// What was cached, or was being loaded, when the purge began is not served from any tier after it
// ended, with these exceptions:
//
//   - A worker that does not hear the bus at that moment keeps its copies. With gap detection it
//     notices at the next beat, and renews each with the next read; without, they stay until their
//     end of life.
//   - A reader who waits for a load that began before the purge is answered with what it read, and
//     so is one who joins it.
//   - A strong family is filled without a lease. What a load under way has read may be stored
//     again: it is payload, which is never served but as the version that the source has.
//   - A policy without the lease or the versioned-store control has nothing by which a fill under
//     way could be stopped.
//   - The source has what it has: what should be gone must be deleted there first.
//
// Names that a family's schema of another version has other keys for are found by Family, Tenant
// and Prefix, not by Name.
type Purger struct {
	cfg      Config
	families map[string]Family
}

// New makes a purger. It fails without an audit log, and without a store.
func New(cfg Config) (*Purger, error) {
	if cfg.Audit == nil || cfg.Shared == nil {
		return nil, errors.New("a purger needs an audit log and a store")
	}
	p := &Purger{cfg: cfg, families: map[string]Family{}}
	for _, f := range cfg.Families {
		if p.storeOf(f.Pool) == nil {
			return nil, fmt.Errorf("family %s: %w: %q", f.Schema.Family, ErrPool, f.Pool)
		}
		p.families[f.Schema.Family] = f
	}
	return p, nil
}

// Purge does what the order says, and returns when the region's Redis has forgotten and its workers
// have the message. It ends early when ctx does. An error that is [ErrOrder], [ErrSelector], or
// [ErrAudit] and not [ErrPartly] says that nothing was purged; one that is [ErrAudit] and
// [ErrPartly] that it may have got through, but the log does not say so.
func (p *Purger) Purge(ctx context.Context, o Order) (Purged, error) {
	if strings.TrimSpace(o.Who) == "" || strings.TrimSpace(o.Why) == "" {
		return Purged{}, ErrOrder
	}
	what, err := o.compile(p.families)
	if err != nil {
		return Purged{}, err
	}
	record := Record{ID: token.New(), Event: Begun, Time: time.Now().UTC(), Who: o.Who, Why: o.Why,
		Region: p.cfg.Region, Selector: what.String()}
	if err := p.cfg.Audit.write(record); err != nil {
		return Purged{}, err
	}
	sofar, err := p.purge(ctx, what)
	record.Event, record.Time = Ended, time.Now().UTC()
	record.Removed, record.Voided = sofar.Removed, sofar.Voided
	if err != nil {
		err = fmt.Errorf("%w: %s in %s: %w", ErrPartly, what, p.cfg.Region, err)
		record.Error = err.Error()
	}
	if failed := p.cfg.Audit.write(record); failed != nil {
		err = errors.Join(fmt.Errorf("%w: its end is not in the log: %w", ErrPartly, failed), err)
	}
	return sofar, err
}

// purge goes through the pools that have families of the selection.
func (p *Purger) purge(ctx context.Context, what Selection) (sofar Purged, err error) {
	for _, pool := range what.pools() {
		run := &poolPurge{Purger: p, shared: p.storeOf(pool), what: what.in(pool), sofar: &sofar}
		if err = run.purge(ctx); err != nil {
			return sofar, err
		}
	}
	return sofar, nil
}

// storeOf gives the Redis of a pool, "" being the region's own; nil where there is none.
func (p *Purger) storeOf(pool string) store.Store {
	if pool == "" {
		return p.cfg.Shared
	}
	return p.cfg.Pools[pool]
}
