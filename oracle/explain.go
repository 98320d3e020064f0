package oracle

import (
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// notFound notes an answer "not found" of a strong family: together they must be explained, and one of them may leave
// only one absence for another.
func (j *Judge) notFound(k *keyState, op *targets.Operation) {
	if op.Instance == targets.SourceInstance || !k.family.classed || k.family.Class != Strong || (op.Reply.Owner != targets.Key{}) && op.Reply.Owner != k.key {
		return
	}
	if k.absent == nil {
		k.absent = &absences{}
	}
	k.absent.add(op.Sent, op.Returned)
}

// explain accuses a key of a strong family that tells versions if its absences can't all be explained, although no read by itself
// is proven stale. It says whether that could be decided.
func (j *Judge) explain(k *keyState) (decided bool) {
	switch a := k.absent; {
	case a == nil || k.stale:
		return true
	case a.overflow:
		return false
	case k.history.explains(a.all):
		return true
	default:
		explained, decided := k.explainedUntold(a.all)
		if decided && !explained {
			j.accuseOrder(k, a.all[0].from, textAbsences(k.key, a.all))
		}
		return decided
	}
}

// mostPlacements bounds the search for a place for deletions that told no version.
const mostPlacements = 5_000

// explainedUntold says whether the absences can be explained with the deletions that told no version: each stands somewhere
// between the versions, or, if nobody knows whether it took effect, nowhere. All places are tried, if they are few enough.
func (k *keyState) explainedUntold(reads []interval) (explained, decided bool) {
	var untold []write
	for i := range k.open {
		if w := k.open[i]; w.deleted {
			untold = append(untold, w)
		}
	}
	places := 1
	for i := range untold {
		if places *= len(k.history.versions) + i + 1; places > mostPlacements {
			return false, false
		}
	}
	return len(untold) > 0 && k.history.explainsWith(untold, reads), true
}

// explainsWith tries all places of deletions. One that may not have taken effect may as well have done so last of all.
func (h *history) explainsWith(untold []write, reads []interval) bool {
	if len(untold) == 0 {
		return h.explains(reads)
	}
	w := untold[0]
	for at := 0; at <= len(h.versions); at++ {
		with := h.withTomb(at, w)
		if with.explainsWith(untold[1:], reads) {
			return true
		}
	}
	return false
}

// withTomb gives the history with a deletion before version at, numbered anew: where versions are not known there is room, and
// where none seems to be, nobody knows whether a deletion takes up a number.
func (h *history) withTomb(at int, w write) *history {
	d := version{sent: w.sent, own: never, last: before, deleted: true}
	if w.state == unplaced {
		d.own = w.returned
	}
	out := &history{versions: slices.Insert(slices.Clone(h.versions), at, d)}
	low := before
	for i := range out.versions {
		v := &out.versions[i]
		v.n = uint64(i) + 1
		low = max(low, v.sent)
		v.low = low
		if _, tomb := slices.BinarySearch(h.tombs, h.numberBefore(i, at)); tomb || i == at {
			out.tombs = append(out.tombs, v.n)
		}
	}
	return out
}

// numberBefore is the number that version i of a history with an insertion at at had before; 0 of the inserted one.
func (h *history) numberBefore(i, at int) uint64 {
	switch {
	case i == at:
		return 0
	case i > at:
		i--
	}
	return h.versions[i].n
}

// explains says whether every absence can be given to one of the history's absences such that no read of any version is stale.
// An absence that was read had been committed by the read's end. So each takes the earliest absence that was not superseded
// before it began: that is evidence of the fewest versions. Evidence can supersede what others took; they move on,
// until nothing changes: then all the choices are the least possible ones.
func (h *history) explains(reads []interval) bool {
	own := make([]time.Duration, len(h.versions))
	for i := range h.versions {
		own[i] = h.versions[i].own
	}
	high := make([]time.Duration, len(own)+1)
	choice := make([]int, len(reads)) // 0 is the absence before the first version, then tombs
	place := func(c int) int {
		if c == 0 {
			return -1
		}
		at, _ := h.find(h.tombs[c-1])
		return at
	}
	for changed := true; changed; {
		changed = false
		high[len(own)] = never
		for i := len(own) - 1; i >= 0; i-- {
			high[i] = min(own[i], high[i+1])
		}
		for r, read := range reads {
			for choice[r] <= len(h.tombs) && high[place(choice[r])+1] < read.from {
				choice[r]++
			}
			if choice[r] > len(h.tombs) {
				return false
			}
			if at := place(choice[r]); at >= 0 && own[at] > read.end {
				own[at], changed = read.end, true
			}
		}
	}
	for i := range h.versions {
		if v := &h.versions[i]; v.low > high[i] || high[i+1] < v.last {
			return false
		}
	}
	return true
}
