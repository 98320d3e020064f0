package history

import (
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// mostPlacements bounds the search for a place for deletions without a version.
const mostPlacements = 5_000

// Deletion is one without a known version. By is when it had taken effect, [Never] if it may not
// have.
type Deletion struct{ Sent, By time.Duration }

// ExplainsWith says whether the absences can be explained with deletions without a version: each
// stands somewhere between the versions, or, if it may have had no effect, nowhere. All places are
// tried, if they are few enough.
func (h *Versions) ExplainsWith(deletions []Deletion, reads []Interval) (explained, decided bool) {
	places := 1
	for i := range deletions {
		if places *= len(h.All) + i + 1; places > mostPlacements {
			return false, false
		}
	}
	return len(deletions) > 0 && h.explainsWith(deletions, reads), true
}

// explainsWith tries all places of deletions. One that may not have taken effect may as well have
// done so last of all.
func (h *Versions) explainsWith(deletions []Deletion, reads []Interval) bool {
	if len(deletions) == 0 {
		return h.Explains(reads)
	}
	w, first := deletions[0], 0
	if h.seeded() {
		first = 1
	}
	for at := first; at <= len(h.All); at++ {
		with := h.withTomb(at, w)
		if with.explainsWith(deletions[1:], reads) {
			return true
		}
	}
	return false
}

// withTomb gives the history with a deletion before version at, numbered anew: where versions are
// not known there is room, and where none seems to be, a deletion may not take up a number.
func (h *Versions) withTomb(at int, w Deletion) *Versions {
	d := Version{Sent: w.Sent, Own: w.By, Last: Before, Deleted: true}
	out := &Versions{All: slices.Insert(slices.Clone(h.All), at, d)}
	low, before := Before, uint64(2) // the first of a history that does not begin with version 1
	if h.seeded() {
		before = 1
	}
	for i := range out.All {
		v := &out.All[i]
		v.N = uint64(i) + before
		low = max(low, v.Sent)
		v.Low = low
		if _, tomb := slices.BinarySearch(h.Tombs, h.numberBefore(i, at)); tomb || i == at {
			out.Tombs = append(out.Tombs, v.N)
		}
	}
	return out
}

// seeded says whether version 1 is the initial value, which was there before everything.
func (h *Versions) seeded() bool { return len(h.All) > 0 && h.All[0].N == 1 && h.All[0].initial() }

// initial says whether the version is an initial value.
func (v *Version) initial() bool {
	return v.Token.Hash != 0 && v.Token.Seq == targets.SeedSeq && v.Sent == Before
}

// numberBefore is the number that version i of a history with an insertion at at had before; 0 of
// the inserted one.
func (h *Versions) numberBefore(i, at int) uint64 {
	switch {
	case i == at:
		return 0
	case i > at:
		i--
	}
	return h.All[i].N
}

// Explains says whether every absence can be given to one of the history's absences such that no
// read of any version is stale. An absence that was read had been committed by the read's end. So
// each takes the earliest absence that was not superseded before it began: that is evidence of the
// fewest versions. Evidence can supersede what others took; they move on, until nothing changes:
// then all the choices are the least possible ones.
func (h *Versions) Explains(reads []Interval) bool {
	own := make([]time.Duration, len(h.All))
	for i := range h.All {
		own[i] = h.All[i].Own
	}
	if h.seeded() || len(h.Tombs) == 0 && len(h.All) > 0 && h.All[0].initial() { // nothing can have removed it before
		own[0] = Before
	}
	high := make([]time.Duration, len(own)+1)
	choice := make([]int, len(reads)) // 0 is the absence before the first version, then tombs
	place := func(c int) int {
		if c == 0 {
			return -1
		}
		at, _ := h.Find(h.Tombs[c-1])
		return at
	}
	for changed := true; changed; {
		changed = false
		high[len(own)] = Never
		for i := len(own) - 1; i >= 0; i-- {
			high[i] = min(own[i], high[i+1])
		}
		for r, read := range reads {
			for choice[r] <= len(h.Tombs) && high[place(choice[r])+1] < read.From {
				choice[r]++
			}
			if choice[r] > len(h.Tombs) {
				return false
			}
			if at := place(choice[r]); at >= 0 && own[at] > read.End {
				own[at], changed = read.End, true
			}
		}
	}
	for i := range h.All {
		if v := &h.All[i]; v.Low > high[i] || high[i+1] < v.Last {
			return false
		}
	}
	return true
}
