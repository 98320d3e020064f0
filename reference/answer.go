package reference

import (
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Answer is what a read found.
type Answer struct {
	Value        []byte // shared with other readers: it must not be changed
	Version      uint64 // 0 when the name was never written
	Tier         Tier
	Absent       bool // there is no value: never written, or deleted
	StaleIfError bool // a copy past its TTL and within the family's bound, because nothing better could be had

	t0 int64 // source clock inside the read that made the answer
}

// Tier says where an answer came from.
type Tier string

// The tiers.
const (
	TierL1     Tier = "l1"
	TierL2     Tier = "l2"
	TierSource Tier = "source" // no tier had it
	TierBypass Tier = "bypass" // no tier was asked
)

// Tiers lists where answers to [Cache.Get] come from.
var Tiers = []Tier{TierL1, TierL2, TierSource}

func answer(e *entry.Entry, t Tier) (a Answer) {
	a.fill(e, t)
	return a
}

// fill makes the answer, which is zero, that of an entry.
func (a *Answer) fill(e *entry.Entry, t Tier) {
	a.Value, a.Version, a.Tier, a.Absent, a.t0 = e.Value, e.Meta.Version, t, e.Meta.Kind == policy.Absence, e.Meta.T0
}
