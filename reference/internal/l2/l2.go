// Package l2 is the shared tier: a region's Redis, with the commands that keep an older fill from
// replacing what is newer.
package l2

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/internal/token"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Tier is the shared cache of a region.
type Tier struct {
	shared store.Store
	policy policy.Policy
}

// New gives the tier that a store holds.
func New(shared store.Store, p policy.Policy) Tier { return Tier{shared, p} }

// LeaseKey is the key of the fill lease of an entry's key.
func LeaseKey(k string) string { return "lease:" + k }

// Get reads an entry; ok is false when there is none. A value that is no entry of this cache, or is
// damaged, reads as an entry that can't be served, so that it is replaced.
func (t Tier) Get(ctx context.Context, k string) (e entry.Entry, ok bool, err error) {
	raw, ok, err := t.shared.Get(ctx, k)
	if err != nil {
		return entry.Entry{}, false, fmt.Errorf("reading %s from redis: %w", k, err)
	}
	if !ok {
		return entry.Entry{}, false, nil
	}
	if e, err = entry.Decode(raw); err != nil {
		return entry.Entry{}, true, nil
	}
	return e, true, nil
}

// Replacing names, for [Tier.Lease], the copy that is to be replaced: the one found, or none.
func Replacing(e entry.Entry, found bool) string {
	switch {
	case !found || e.Meta.Kind == policy.Floor:
		return ""
	case e.Meta.Kind == policy.Nothing: // no entry of this cache
		return AnyCopy
	}
	return string(entry.Encode(policy.Policy{}, entry.Entry{Meta: e.Meta})[:entry.HeadCoding])
}

// Lease asks for the right to load k for ttl. It answers with a lease token, or an entry that is
// there by now, or neither: another worker is loading. replace is the copy that it is asked for in
// spite of; see [Replacing]. With an error the lease may have been granted all the same, and must
// be released.
func (t Tier) Lease(ctx context.Context, k string, ttl time.Duration, replace string) (lease string, e entry.Entry, err error) {
	lease = token.New()
	res, err := t.shared.Run(ctx, LeaseScript, []string{k, LeaseKey(k)}, lease, script.Millis(ttl), replace)
	if err != nil {
		return lease, entry.Entry{}, fmt.Errorf("leasing %s: %w", k, err)
	}
	if len(res) == 0 {
		return "", entry.Entry{}, fmt.Errorf("leasing %s: empty answer", k)
	}
	switch res[0] {
	case "L":
		return lease, entry.Entry{}, nil
	case "V":
		if e, err := entry.Decode([]byte(res[1])); err == nil {
			return "", e, nil
		}
	}
	return "", entry.Entry{}, nil
}

// Release gives a lease back that was not used, if it is still the caller's.
func (t Tier) Release(ctx context.Context, k, lease string) error {
	_, err := t.shared.Run(ctx, ReleaseScript, []string{LeaseKey(k)}, lease)
	return err
}

// Offer is what became of an entry that was offered to Redis.
type Offer uint8

// The outcomes of an offer.
const (
	Unsettled Offer = iota // unknown, or not offered; the lease, if there is one, is to be released
	Stored
	Overtaken // something newer is there, or the lease has ended: what was read may be superseded
)

// Store offers an entry for the rest of its life, at source time now, under a fill lease; "" stores
// without one.
func (t Tier) Store(ctx context.Context, k string, e entry.Entry, now int64, lease string) (Offer, error) {
	ttl := time.Duration(e.Meta.DropAt - now).Truncate(time.Millisecond)
	if ttl <= 0 {
		return Unsettled, nil
	}
	if !t.policy.Controls.Has(policy.VersionedStore) {
		if err := t.shared.Set(ctx, k, entry.Encode(t.policy, e), ttl); err != nil {
			return Unsettled, fmt.Errorf("storing %s in redis: %w", k, err)
		}
		return Unsettled, nil // its lease has not ended with it
	}
	out, err := t.shared.Run(ctx, StoreScript, []string{k, LeaseKey(k)}, string(entry.Encode(t.policy, e)), script.Millis(ttl), lease)
	if err != nil {
		return Unsettled, fmt.Errorf("storing %s in redis: %w", k, err)
	}
	if slices.Equal(out, script.Refused) {
		return Overtaken, nil
	}
	return Stored, nil
}

// Superseded is a version that makes everything older unusable.
type Superseded struct {
	Key     string
	Family  policy.Family
	Version uint64
	Now     int64 // source clock, nanoseconds

	// Channel and Body publish it to the region's workers; both "": nothing is published.
	Channel, Body string
}

// Invalidate makes everything older than a version unusable, and voids the lease of a fill under
// way. Where something as new is, the lease was granted after that came (what came then voided or
// used up the one before), and so was its load begun: to void it because an event comes twice would
// double the load for nothing.
func (t Tier) Invalidate(ctx context.Context, s Superseded) error {
	fresh, kept := "", ""
	if s.Channel != "" {
		fresh, kept = token.New(), script.Millis(bus.Kept)
	}
	_, err := t.shared.Run(ctx, SupersedeScript, []string{s.Key, LeaseKey(s.Key), bus.EpochKey, bus.NumberKey},
		entry.Floor(t.policy, s.Family, s.Version, s.Now), script.Millis(t.policy.Keep(s.Family)), s.Channel, s.Body, fresh, kept)
	if err != nil {
		return fmt.Errorf("invalidating %s in redis: %w", s.Key, err)
	}
	return nil
}
