package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// A deletion that told its version is a version like any other. One that did not is never recognised, for an
// absence carries no token: it stays among the writes of unknown version, and can explain any "not found" that it can precede.

// placeDeleted adds the version as which a deletion was acknowledged.
func (j *Judge) placeDeleted(k *keyState, w write, op *targets.Operation) {
	h := &k.history
	at, isNew := h.put(op.Reply.Version)
	v := &h.versions[at]
	switch {
	case isNew:
		h.bury(at)
	case v.deleted && v.ackedAt != never: // of what was deleted already: either may have made the version
		h.relax(at, w.sent)
		w.sent = v.sent
	case v.deleted:
	default:
		j.contradict(k, at, w, op)
		return
	}
	j.placed(k, at, w, op)
}

// acknowledgeLogged notes the acknowledgement of a deletion whose commit the log will show, or does not. One that did not
// tell its version can't be recognised there.
func (k *keyState) acknowledgeLogged(i int, op *targets.Operation) {
	at, ok := k.history.find(op.Reply.Version)
	switch {
	case op.Reply.Version == 0:
		k.settle(i)
	case ok && k.history.versions[at].deleted:
		k.settle(i)
		k.history.versions[at].ackedAt = min(k.history.versions[at].ackedAt, op.Returned)
	default:
		k.keepForLog(i, op)
	}
}

// deletionLogged notes that the log showed the deletion that was acknowledged as version at, if one was.
func (k *keyState) deletionLogged(at int) {
	v := &k.history.versions[at]
	for i := len(k.open) - 1; i >= 0; i-- {
		if w := &k.open[i]; w.deleted && w.state != inFlight && w.claimed == v.n {
			v.ackedAt = min(v.ackedAt, w.returned)
			k.settle(i)
		}
	}
}

// inLog says whether the log has a write that was acknowledged.
func (k *keyState) inLog(w *write) bool {
	if !w.deleted {
		_, ok := k.history.byToken(w.token, never)
		return ok
	}
	at, ok := k.history.find(w.claimed)
	return ok && k.history.versions[at].deleted
}

// excuse gives the time by which the last deletion was committed that can explain an answer "not found" and whose version
// nobody told; ok is false when there is none.
func (k *keyState) excuse(op *targets.Operation) (by time.Duration, ok bool) {
	by = before
	for i := range k.open {
		w := &k.open[i]
		if !w.deleted || w.sent > op.Returned {
			continue
		}
		ok = true
		if w.state == unplaced {
			by = max(by, min(w.returned, op.Returned))
		} else {
			by = op.Returned
		}
	}
	return by, ok
}

// following gives the earliest evidence of a version that follows v and whatever was committed by the given time, and the index
// of the first such version, as operations sent by t told it.
func (h *history) following(v uint64, by, t time.Duration) (e evidence, first int) {
	pos := h.after(v)
	low, _, _ := h.around(pos, t)
	e, first = evidence{at: never}, len(h.versions)
	for i := pos; i < len(h.versions); i++ {
		w := &h.versions[i]
		if w.since > t {
			continue
		}
		if low = max(low, w.sent); low <= by {
			continue
		}
		first = min(first, i)
		if own := (evidence{w.own, w.n, w.ownProof}); own.betters(e) {
			e = own
		}
	}
	return e, first
}

// excused takes into account that a deletion whose version nobody told, committed by the given time, can explain
// an absence that was judged as version v.
func (h *history) excused(d *Judgement, v uint64, by time.Duration) {
	if d.Answer != Stale {
		return
	}
	i := d.Op.Sent
	if e, _ := h.following(v, by, d.Op.Returned); e.at < i {
		d.Low, d.Next, d.NextAt, d.NextHow = i-e.at, e.via, e.at, e.how.String()
		return
	}
	d.Answer, d.Low, d.Next, d.NextAt, d.NextHow = Indeterminate, 0, 0, 0, ""
}

// relax notes that version i may have been committed as early as t.
func (h *history) relax(i int, t time.Duration) {
	if h.versions[i].sent <= t {
		return
	}
	h.versions[i].sent = t
	low := before
	if i > 0 {
		low = h.versions[i-1].low
	}
	for ; i < len(h.versions); i++ {
		low = max(low, h.versions[i].sent)
		h.versions[i].low = low
	}
}
