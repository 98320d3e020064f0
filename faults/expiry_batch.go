package faults

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
)

// expiryBatch is the keys of one Redis that keys.expire gives a common expiry, with the expiry that
// each had before.
type expiryBatch struct {
	redis string // its name
	keys  Keys
	at    undo.Server
	glob  string
	picks func(key string) bool
	entry *undo.Entry // of the undo journal

	found []string      // by the last scan
	ahead time.Duration // of the server's clock against ours

	// keyEnds holds when a key would have expired by itself, on our clock; the zero time: never. It
	// is written before the key is touched, to undo from.
	keyEnds map[string]time.Time
	// armed are keys that would have outlived the moment by so much that their end proves
	// something; ending are the other armed ones; missed are keys that a pass found and had no time
	// left to look at.
	armed, ending, missed map[string]bool

	gone, rewritten, survived int64
}

func newExpiryBatch(redis string, keys Keys, glob string, picks func(key string) bool) *expiryBatch {
	return &expiryBatch{
		redis: redis, keys: keys, glob: glob, picks: picks, keyEnds: map[string]time.Time{},
		armed: map[string]bool{}, ending: map[string]bool{}, missed: map[string]bool{},
	}
}

const (
	expireSettle = 400 * time.Millisecond // after the moment, by which a Redis must have expired a key
	// expireLast is how long before the moment arming ends: a key that is armed afterwards might be
	// one that had expired and come back.
	expireLast = 5 * time.Millisecond

	batch    = 500 // keys in one round trip
	ttlSlack = undo.TTLSlack
)

// scan finds the keys.
func (b *expiryBatch) scan(ctx context.Context) error {
	b.found = b.found[:0]
	if err := b.keys.Scan(ctx, b.glob, func(keys []string) error {
		for _, k := range keys {
			if b.picks(k) {
				b.found = append(b.found, k)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	slices.Sort(b.found) // a SCAN may give a key more than once
	b.found = slices.Compact(b.found)
	return nil
}

func (b *expiryBatch) readClock(ctx context.Context) error {
	sent := time.Now()
	server, err := b.keys.Clock(ctx)
	if err != nil {
		return err
	}
	b.ahead = server.Sub(sent.Add(time.Since(sent) / 2))
	return nil
}

// arm lets the found keys expire at the moment, except those that expire before it anyway.
func (b *expiryBatch) arm(ctx context.Context, moment time.Time) error {
	at := moment.Add(b.ahead).UnixMilli()
	for first := 0; first < len(b.found); first += batch {
		keys := b.found[first:min(first+batch, len(b.found))]
		ttls, err := b.keys.TTLs(ctx, keys)
		if err != nil {
			return err
		}
		now := time.Now()
		if moment.Sub(now) < expireLast {
			b.tooLate(b.found[first:])
			return nil
		}
		var lasting, ending []string
		for i, k := range keys {
			end, there := expiry(ttls[i], now)
			_, before := b.keyEnds[k]
			switch {
			case !there, !end.IsZero() && end.Before(moment):
				continue // gone before anyway
			case end.IsZero() || end.After(moment.Add(expireSettle+ttlSlack)):
				lasting = append(lasting, k)
			case before:
				continue // armed already
			default:
				ending = append(ending, k)
			}
			b.keyEnds[k] = end
		}
		if err := b.journal(at, lasting, ending); err != nil {
			return err
		}
		if time.Until(moment) < expireLast { // a disk may take its time
			b.tooLate(b.found[first:])
			return nil
		}
		if err := b.set(ctx, lasting, at, b.armed); err != nil {
			return err
		}
		if err := b.set(ctx, ending, at, b.ending); err != nil {
			return err
		}
		for _, k := range lasting { // written again since it was ending
			delete(b.ending, k)
		}
	}
	return nil
}

func (b *expiryBatch) tooLate(keys []string) {
	for _, k := range keys {
		b.missed[k] = true
	}
}

// journal notes, before they are touched, what to undo of keys that are about to be armed.
func (b *expiryBatch) journal(at int64, some ...[]string) error {
	var keys []string
	var own []int64
	for _, part := range some {
		for _, k := range part {
			keys, own = append(keys, k), append(own, b.ownMillis(k))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return b.entry.Note(undo.Armed(&b.at, at, keys, own))
}

// ownMillis is when a key would have expired by itself, in Unix ms on the server's clock; 0 =
// never.
func (b *expiryBatch) ownMillis(key string) int64 {
	if end := b.keyEnds[key]; !end.IsZero() {
		return end.Add(b.ahead).UnixMilli()
	}
	return 0
}

// set arms keys, unless one has got an earlier end meanwhile, and notes which.
func (b *expiryBatch) set(ctx context.Context, keys []string, at int64, note map[string]bool) error {
	done, err := b.keys.ExpireAt(ctx, keys, at)
	for i := range done {
		if done[i] {
			note[keys[i]] = true
		}
	}
	return err
}

// live is how many keys were found that, as far as a pass could tell, would have lived until the
// moment.
func (b *expiryBatch) live() int {
	n := len(b.keyEnds)
	for k := range b.missed {
		if _, looked := b.keyEnds[k]; !looked {
			n++
		}
	}
	return n
}

// proven reports whether the fault is proven here: of the armed keys that could prove something at
// least a third are gone, and at least half of the live keys expired with the others, rather than a
// few that were reached. A key that was written again before the moment, with an expiry like the
// one that it had, counts as survived although it is none: with TTLs near a second many are.
func (b *expiryBatch) proven() bool {
	return b.gone > 0 && 2*b.gone >= b.survived && 2*(len(b.armed)+len(b.ending)) >= b.live()
}

// expiry gives when a key expires whose time left came in at now (the zero time: never), and
// whether there is a key at all.
func expiry(ttl time.Duration, now time.Time) (at time.Time, there bool) {
	switch ttl {
	case rediskeys.NoKey:
		return time.Time{}, false
	case rediskeys.NoExpiry:
		return time.Time{}, true
	}
	return now.Add(ttl), true
}

// verify counts what became of the armed keys. It looks again at those that are about to expire,
// until the Redis has had time enough.
func (b *expiryBatch) verify(ctx context.Context, moment time.Time) error {
	left := sortedKeys(b.armed)
	for {
		patient := time.Now().Before(moment.Add(expireSettle))
		var again []string
		for keys := range slices.Chunk(left, batch) {
			pending, err := b.look(ctx, keys, moment, patient)
			if err != nil {
				return err
			}
			again = append(again, pending...)
		}
		if len(again) == 0 {
			return nil
		}
		left = again
		if err := pause.For(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// look counts keys as gone, rewritten or survived; with patience, those that may still expire are
// not counted but returned.
func (b *expiryBatch) look(ctx context.Context, keys []string, moment time.Time, patient bool) (pending []string, err error) {
	ttls, err := b.keys.TTLs(ctx, keys)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for i, k := range keys {
		end, there := expiry(ttls[i], now)
		natural := b.keyEnds[k]
		switch {
		case !there:
			b.gone++
		case !end.IsZero() && end.Before(moment.Add(ttlSlack)):
			// Armed, and not expired yet.
			if patient {
				pending = append(pending, k)
			} else {
				b.survived++
			}
		case end.IsZero() == natural.IsZero() && end.Sub(natural).Abs() < ttlSlack:
			b.survived++ // as if it had never been armed
		default:
			b.rewritten++
		}
	}
	return pending, nil
}

// disarm undoes arm. Not after the moment: what is gone then stays gone.
func (b *expiryBatch) disarm(ctx context.Context, moment time.Time) error {
	keys := sortedKeys(b.keyEnds)
	own := make([]int64, len(keys))
	for i, k := range keys {
		own[i] = b.ownMillis(k)
	}
	if _, err := b.keys.RestoreExpiry(ctx, moment.Add(b.ahead).UnixMilli(), ttlSlack, keys, own); err != nil {
		return fmt.Errorf("giving the keys their own expiry back: %w", err)
	}
	return nil
}
