// Package policy is the pure decision core of the reference cache: given an entry's metadata, the
// time and a random number, it says what to do. It does no I/O, reads no clock, starts no goroutine
// and logs nothing, so that the live cache, a shadow evaluation and a simulation run the same code.
//
// All instants are on the *source's* clock, in nanoseconds, as an upper bound where they mean "now":
// an age computed from them is never too young.
package policy

import (
	"errors"
	"fmt"
	"time"
)

// Class is what a family promises its readers.
type Class uint8

// The consistency classes.
const (
	// Bounded promises that no read is older than the family's Within.
	Bounded Class = iota
	// Strong promises linearizability per key.
	Strong
)

// String gives the class as YAML and labels show it.
func (c Class) String() string {
	if c == Strong {
		return "strong"
	}
	return "bounded"
}

// Family is the caching contract of one kind of key.
type Family struct {
	Class  Class
	Within time.Duration // bounded: the greatest staleness a read may have
	TTL    time.Duration // how long a copy may be kept at all
}

// ErrTTL is wrapped by [Family.Validate] when the TTL exceeds the family's bound.
var ErrTTL = errors.New("ttl exceeds the bound")

// Validate refuses a contract that no cache could keep.
func (f Family) Validate() error {
	if f.TTL < time.Millisecond {
		return errors.New("ttl must be at least 1ms: Redis counts in milliseconds")
	}
	if f.Class == Bounded && f.Within <= 0 {
		return errors.New("a bounded family needs within above 0")
	}
	if f.Class == Bounded && f.TTL > f.Within {
		return fmt.Errorf("%w: ttl %v, within %v", ErrTTL, f.TTL, f.Within)
	}
	return nil
}

// Policy is everything configurable about how the cache behaves. The zero Policy has no control.
type Policy struct {
	Name     string
	Controls Controls
}

// Meta is what the decisions need to know of a copy. The zero Meta means that there is none.
type Meta struct {
	Version    uint64 // 0: no copy and no floor
	T0         int64  // source clock inside the read that made the copy
	FreshUntil int64  // served without a second thought until then
	DropAt     int64  // never served from then on
	Floor      bool   // no copy: only the knowledge that older versions are superseded
}

// Action says what to do with a copy.
type Action uint8

// The actions of a lookup.
const (
	Miss    Action = iota // go on to the next tier
	Serve                 // answer with the copy
	Refresh               // answer with the copy, and renew it in the background
)

// Cached says whether the family's values may be put into any tier at all.
func (p Policy) Cached(f Family) bool {
	return f.Class != Strong || !p.Controls.Has(ClassRouting)
}

// Lookup decides about a copy found in a tier, at source time now.
func (p Policy) Lookup(f Family, m Meta, now int64) Action {
	if m.Version == 0 || m.Floor || now >= m.DropAt {
		return Miss
	}
	if p.TooOld(f, m.T0, now) {
		return Miss
	}
	if now < m.FreshUntil {
		return Serve
	}
	if p.Controls.Has(StaleWhileRevalidate) {
		return Refresh
	}
	return Miss
}

// TooOld says whether a value that was read at source time t0 may be older than its family allows, for
// a reader that began at source time began.
func (p Policy) TooOld(f Family, t0, began int64) bool {
	return p.Controls.Has(AgeClamp) && f.Class == Bounded && began-t0 >= int64(f.Within)
}

// Share of its life for which a copy counts as fresh when stale-while-revalidate is on: what remains
// is the time in which a refresh may come late without a reader waiting for it.
const (
	freshLeast = 0.5
	freshMost  = 0.8
)

// Admit decides how long a value that the source gave at t0 may live; random is uniform in [0, 1).
// Jitter spreads the end of life of copies that were made together over 20% of the TTL, and always
// downwards: a TTL is a promise.
func (p Policy) Admit(f Family, version uint64, t0 int64, random float64) Meta {
	life := float64(f.TTL)
	if p.Controls.Has(Jitter) {
		life *= 1 - 0.2*random
	}
	m := Meta{Version: version, T0: t0, DropAt: t0 + int64(life)}
	m.FreshUntil = m.DropAt
	if p.Controls.Has(StaleWhileRevalidate) {
		share := freshMost
		if p.Controls.Has(Jitter) {
			share = freshLeast + (freshMost-freshLeast)*random
		}
		m.FreshUntil = t0 + int64(life*share)
	}
	return m
}

// Supersedes says whether a copy or floor of candidate may take the place of current. With equal
// versions the younger read wins, so that a refresh extends a life and a late fill does not shorten it.
func (p Policy) Supersedes(candidate, current Meta) bool {
	if !p.Controls.Has(VersionedStore) || current.Version == 0 {
		return true
	}
	if candidate.Version != current.Version {
		return candidate.Version > current.Version
	}
	return current.Floor || (!candidate.Floor && candidate.T0 >= current.T0)
}

// FloorFor is the knowledge that everything older than version is superseded, kept for as long as a
// fill that began before could still be under way or a copy be alive.
func (p Policy) FloorFor(f Family, version uint64, now int64) Meta {
	return Meta{Version: version, T0: now, FreshUntil: now, DropAt: now + int64(f.TTL), Floor: true}
}
