package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// notFound notes an answer "not found" of a strong family: together they must be explained, and one of them may leave
// only one absence for another.
func (j *Judge) notFound(k *keyState, op *targets.Operation) {
	if op.Door == targets.SourceDoor || !k.family.classed || k.family.Class != Strong || (op.Reply.Owner != targets.Key{}) && op.Reply.Owner != k.key {
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
		if _, open := k.excuse(&targets.Operation{Returned: never}); open {
			return false // a deletion that told no version may explain it
		}
		j.accuseOrder(k, a.all[0].from, textAbsences(k.key, a.all))
		return true
	}
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
