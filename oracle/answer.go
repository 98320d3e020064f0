package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// compare decides between fresh, stale and indeterminate, and bounds the staleness, of a read of version v.
//
// It uses exactly what was told by operations that were sent by the read's return: all of them have ended, so the
// answer does not depend on the order in which ends were told. A version that only later ones told of is hidden.
func (j *Judge) compare(k *keyState, v uint64, op *targets.Operation, d *Judgement) {
	h, i := &k.history, op.Sent
	pos := h.after(v)
	low, high, next := h.around(pos, op.Returned)
	d.High = -1

	// first is the earliest time at which a write whose version is not known could have superseded v.
	first := never
	if !j.cfg.Historian {
		known := high.at // v was committed by then
		if pos > 0 {
			known = min(known, h.versions[pos-1].own)
		}
		var acked time.Duration
		if first, acked = k.unresolved(op, v, low, known); acked < high.at {
			high = evidence{at: acked, how: acknowledged}
		}
	} else if sealed := time.Duration(j.sealed.Load()); sealed <= i { // the drill is over, and the log did not get here
		first = max(sealed, low)
	}
	if next < len(h.versions) && h.versions[next].n == v+1 { // no version lies between
		first = never
	}

	switch {
	case high.at < i:
		d.Answer, d.Low = Stale, i-high.at
		d.Next, d.NextAt, d.NextHow = high.via, high.at, high.how.String()
	case first <= i && first != never, next < len(h.versions) && max(low, h.versions[next].sent) <= i:
		d.Answer = Indeterminate
	case v == 0 && !j.cfg.Historian && !h.createdAt(next):
		d.Answer = Indeterminate // nobody said that the key did not exist
		return
	default:
		d.Answer, d.High = Fresh, 0
		return
	}
	if v == 0 && !j.cfg.Historian && !h.createdAt(next) {
		return
	}
	if k.pruned && !(next < len(h.versions) && h.versions[next].n == v+1) {
		first = low
	}
	if next < len(h.versions) {
		first = min(first, max(low, h.versions[next].sent))
	}
	if first != before && first != never {
		d.High = max(0, i-first)
	}
}

// unresolved looks at the writes that were sent by the time at which the read began and whose acknowledgement, if any, did
// not tell their version. The read answered version v, which was committed in [low, known].
//
// first is the earliest time at which one whose version was not told by any operation sent by the read's return can have
// superseded v; not one that was acknowledged before low, for it precedes v. acked is the earliest acknowledgement of one that
// was sent after known: it follows v, whichever its version is. Each is [never] when there is none.
func (k *keyState) unresolved(op *targets.Operation, v uint64, low, known time.Duration) (first, acked time.Duration) {
	first, acked = never, never
	consider := func(sent, returned time.Duration, told bool) {
		if sent > op.Sent || returned < low {
			return
		}
		if !told {
			first = min(first, max(sent, low))
		}
		if sent > known {
			acked = min(acked, returned)
		}
	}
	h := &k.history
	for i := range k.open {
		switch w := &k.open[i]; w.state {
		case unplaced:
			consider(w.sent, w.returned, false)
		default:
			consider(w.sent, never, w.version != 0 && h.visible(w.version, op.Returned))
		}
	}
	for i := len(h.late) - 1; i >= 0; i-- {
		if op.Returned >= h.shown && h.late[i] <= v {
			break // all are told, and none of the rest follows v
		}
		if at, ok := h.find(h.late[i]); ok {
			w := &h.versions[at]
			consider(w.sent, w.ackedAt, w.since <= op.Returned)
		}
	}
	return first, acked
}
