package reference

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// PurgerConfig describes a region's purger.
type PurgerConfig struct {
	Region   string
	Policy   policy.Policy // as the workers have it
	Families []Family      // likewise
	Shared   store.Store
	Pools    map[string]Pool // as the workers have it
	Audit    *Audit
	Progress func(Purged) // told after every batch, of all so far; must not block. May be nil
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
	// ErrPartly: some was purged, perhaps all, but not known to be all. A purge can be repeated.
	ErrPartly = errors.New("the purge did not get through")
)

// Purger takes values out of a region: out of its Redis, then out of the memory of its workers. It takes no knowledge
// away: what is superseded stays superseded, so that no older fill wins after a purge, and every family keeps its promise.
// The next reader loads anew. It is safe for concurrent use.
//
// What was cached, or was being loaded, when the purge began is not served from any tier after it ended, with these exceptions:
//
//   - A worker that does not hear the bus at that moment keeps its copies. With gap detection it notices at the next beat, and
//     renews each with the next read; without, they stay until their end of life.
//   - A reader who waits for a load that began before the purge is answered with what it read, and so is one who joins it.
//   - A strong family is filled without a lease. What a load under way has read may be stored again: it is payload, which is
//     never served but as the version that the source has.
//   - A policy without the lease or the versioned-store control has nothing by which a fill under way could be stopped.
//   - The source has what it has: what should be gone must be deleted there first.
//
// Names that a family's schema of another version has other keys for are found by Family, Tenant and Prefix, not by Name.
type Purger struct {
	cfg      PurgerConfig
	families map[string]Family
}

// NewPurger makes a purger. It fails without an audit log, and without a store.
func NewPurger(cfg PurgerConfig) (*Purger, error) {
	if cfg.Audit == nil || cfg.Shared == nil {
		return nil, errors.New("a purger needs an audit log and a store")
	}
	p := &Purger{cfg: cfg, families: map[string]Family{}}
	for _, f := range cfg.Families {
		if _, err := (Config{Shared: cfg.Shared, Pools: cfg.Pools}).store(f); err != nil {
			return nil, err
		}
		p.families[f.Schema.Family] = f
	}
	return p, nil
}

// Purge does what the order says, and returns when the region's Redis has forgotten and its workers were told. It ends
// early when ctx does. An error that is [ErrOrder], [ErrSelector], or [ErrAudit] and not [ErrPartly] says that nothing was
// purged; one that is [ErrAudit] and [ErrPartly] that it may have got through, but the log does not say so.
func (p *Purger) Purge(ctx context.Context, o Order) (Purged, error) {
	if strings.TrimSpace(o.Who) == "" || strings.TrimSpace(o.Why) == "" {
		return Purged{}, ErrOrder
	}
	what, err := o.compile(p.families)
	if err != nil {
		return Purged{}, err
	}
	record := AuditRecord{ID: newToken(), Event: AuditBegun, Time: time.Now().UTC(), Who: o.Who, Why: o.Why,
		Region: p.cfg.Region, Selector: what.String()}
	if err := p.cfg.Audit.write(record); err != nil {
		return Purged{}, err
	}
	sofar, err := p.purge(ctx, what)
	record.Event, record.Time = AuditDone, time.Now().UTC()
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
func (p *Purger) purge(ctx context.Context, what selection) (sofar Purged, err error) {
	for _, pool := range pools(what.of) {
		at := *p
		at.cfg.Shared, _ = Config{Shared: p.cfg.Shared, Pools: p.cfg.Pools}.storeOf(pool)
		if err = at.purgePool(ctx, what.in(pool), &sofar); err != nil {
			return sofar, err
		}
	}
	return sofar, nil
}

// purgePool goes to Redis first, so that no worker refills its memory from a copy that is about to go.
func (p *Purger) purgePool(ctx context.Context, what selection, sofar *Purged) (err error) {
	if what.key != "" {
		err = p.batch(ctx, what, []string{what.key}, sofar)
	} else {
		// Leases first. A fill that had one when this scan began has lost it when it ends, or has stored by then what
		// the second scan will find. The other way round it could store behind the scan's back.
		err = p.scan(ctx, what, "lease:", sofar)
		if err == nil {
			err = p.scan(ctx, what, "", sofar)
		}
	}
	if err == nil {
		_, err = p.cfg.Shared.Run(ctx, tellPurgeScript, []string{busEpoch, busNumber}, p.cfg.Shared.Channel(busChannel), what.message(), newToken(), millis(busKept))
	}
	return err
}

// scan purges what is under keys that begin with prefix and go on as selected keys do.
func (p *Purger) scan(ctx context.Context, what selection, prefix string, sofar *Purged) error {
	pieces := what.pieces()
	switch {
	case len(pieces) == 0 && prefix != "":
		pieces = []string{prefix}
	case len(pieces) > 0:
		pieces = append([]string{prefix + pieces[0]}, pieces[1:]...)
	}
	return p.cfg.Shared.Scan(ctx, pieces, func(found []string) error {
		var keys []string
		for _, k := range found {
			if k, ok := strings.CutPrefix(k, prefix); ok {
				keys = append(keys, k)
			}
		}
		for first := 0; first < len(keys); first += purgeBatch {
			if err := p.batch(ctx, what, keys[first:min(first+purgeBatch, len(keys))], sofar); err != nil {
				return err
			}
		}
		return nil
	})
}

// purgeBatch is how many entries one script looks at: others wait for it.
const purgeBatch = 100

// batch purges those of the keys that are selected: it asks for their versions, and then puts floors of these in their place,
// until nothing newer came between.
func (p *Purger) batch(ctx context.Context, what selection, keys []string, sofar *Purged) error {
	floors := map[string]string{}
	for _, k := range keys {
		if _, selected := what.owner(k); selected {
			floors[k] = ""
		}
	}
	for sofar.Seen += len(floors); len(floors) > 0; {
		var pairs []string
		args := []string{strconv.Itoa(headLength)}
		for k, floor := range floors {
			f, _ := what.owner(k)
			pairs = append(pairs, k, leaseKey(k))
			args = append(args, millis(p.cfg.Policy.Keep(f.Contract)), floor)
		}
		said, err := p.cfg.Shared.Run(ctx, purgeScript, pairs, args...)
		if err != nil {
			return err
		}
		for i := 0; i < len(said); i += 2 {
			k := pairs[i]
			if said[i+1] != "0" {
				sofar.Voided++
			}
			if said[i][0] == 'R' {
				if floors[k], err = p.floorFor(what, k, said[i][1:]); err != nil {
					return err
				}
				continue
			}
			delete(floors, k)
			if said[i][0] == 'V' || said[i][0] == 'D' {
				sofar.Removed++
			}
		}
	}
	if p.cfg.Progress != nil {
		p.cfg.Progress(*sofar)
	}
	return nil
}

// floorFor makes the floor that takes a copy's place, from the digits of the copy's version and T0.
func (p *Purger) floorFor(what selection, k, digits string) (string, error) {
	version, err := getHex([]byte(digits[:hexLength]))
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	t0, err := getHex([]byte(digits[hexLength:]))
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	f, _ := what.owner(k)
	return string(encode(p.cfg.Policy, entry{meta: p.cfg.Policy.FloorFor(f.Contract, version, int64(t0))})), nil
}
