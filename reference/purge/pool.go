package purge

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/store"
)

// poolPurge is one purge in one Redis.
type poolPurge struct {
	*Purger
	shared store.Store
	what   Selection // of this pool only
	sofar  *Purged   // in all pools
}

// purge goes to Redis first, so that no worker refills its memory from a copy that is about to go.
func (p *poolPurge) purge(ctx context.Context) (err error) {
	if p.what.key != "" {
		err = p.batch(ctx, []string{p.what.key})
	} else {
		// Leases first. A fill that had one when this scan began has lost it when it ends, or has
		// stored by then what the second scan will find. The other way round it could store behind
		// the scan's back.
		err = p.scan(ctx, l2.LeaseKey(""))
		if err == nil {
			err = p.scan(ctx, "")
		}
	}
	if err == nil {
		err = bus.AnnouncePurge(ctx, p.shared, p.what.message())
	}
	return err
}

// scan purges what is under keys that begin with prefix and go on as selected keys do.
func (p *poolPurge) scan(ctx context.Context, prefix string) error {
	pieces := p.what.pieces()
	switch {
	case len(pieces) == 0 && prefix != "":
		pieces = []string{prefix}
	case len(pieces) > 0:
		pieces = append([]string{prefix + pieces[0]}, pieces[1:]...)
	}
	return p.shared.Scan(ctx, pieces, func(found []string) error {
		var keys []string
		for _, k := range found {
			if k, ok := strings.CutPrefix(k, prefix); ok {
				keys = append(keys, k)
			}
		}
		for first := 0; first < len(keys); first += batchSize {
			if err := p.batch(ctx, keys[first:min(first+batchSize, len(keys))]); err != nil {
				return err
			}
		}
		return nil
	})
}

// batchSize is how many entries one script looks at: other commands wait for it.
const batchSize = 100

// batch purges those of the keys that are selected: it asks for their versions, and then puts
// floors of these in their place, until nothing newer came between.
func (p *poolPurge) batch(ctx context.Context, keys []string) error {
	floors := map[string]string{}
	for _, k := range keys {
		if _, selected := p.what.owner(k); selected {
			floors[k] = ""
		}
	}
	for p.sofar.Seen += len(floors); len(floors) > 0; {
		var pairs []string
		args := []string{strconv.Itoa(entry.HeadLength)}
		for k, floor := range floors {
			f, _ := p.what.owner(k)
			pairs = append(pairs, k, l2.LeaseKey(k))
			args = append(args, script.Millis(p.cfg.Policy.Keep(f.Contract)), floor)
		}
		found, err := p.shared.Run(ctx, purgeScript, pairs, args...)
		if err != nil {
			return err
		}
		for i := 0; i < len(found); i += 2 {
			k := pairs[i]
			if found[i+1] != "0" {
				p.sofar.Voided++
			}
			if found[i][0] == 'R' {
				if floors[k], err = p.floorFor(k, found[i][1:]); err != nil {
					return err
				}
				continue
			}
			delete(floors, k)
			if found[i][0] == 'V' || found[i][0] == 'D' {
				p.sofar.Removed++
			}
		}
	}
	if p.cfg.Progress != nil {
		p.cfg.Progress(*p.sofar)
	}
	return nil
}

// floorFor makes the floor that takes a copy's place, from the digits of the copy's version and T0.
func (p *poolPurge) floorFor(k, digits string) (string, error) {
	version, err := entry.ParseHex([]byte(digits[:entry.HexLength]))
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	t0, err := entry.ParseHex([]byte(digits[entry.HexLength:]))
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	f, _ := p.what.owner(k)
	return string(entry.Encode(p.cfg.Policy, entry.Entry{Meta: p.cfg.Policy.FloorFor(f.Contract, version, int64(t0))})), nil
}
