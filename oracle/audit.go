package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// audit compares an answer from past the caches with what was proven before it was asked for: versions that
// are later than the answer's, and were proven before, are gone.
func (j *Judge) audit(k *keyState, v uint64, op *targets.Operation) {
	k.audited = max(k.audited, op.Sent)
	h := &k.history
	by, excused := before, false
	first := h.after(v)
	if op.Reply.Absent && !j.cfg.Historian {
		if by, excused = k.excuse(op); excused {
			_, first = h.following(v, by, op.Returned)
		}
	}
	for at := first; at < len(h.versions); at++ {
		if h.versions[at].own < op.Sent {
			j.lostOrRolledBack(k, at, op.Sent, textAudit(v, op), answered(op))
		}
	}
	if v != 0 || j.cfg.Historian {
		return
	}
	for i := len(k.open) - 1; i >= 0; i-- { // nothing is there: neither is any write whose version nobody told
		if w := k.open[i]; w.state == unplaced && w.returned < op.Sent && !w.deleted && !(excused && by >= w.sent) {
			k.settle(i)
			j.lost(k, w, "; "+textAudit(v, op), acked(k.key, w.seq, 0, w.sent, w.returned), accused(op, 0))
		}
	}
}

// looked is until when writes were looked for at the source.
func (k *keyState) looked() time.Duration { return max(k.audited, k.sourced) }

// sawSource takes note of a fresh answer that came from the source, to one who asks instance by instance: which is after the last write.
func (k *keyState) sawSource(d *Judgement) {
	if d.Answer == Fresh && d.Op.Instance != "" && (d.Op.Reply.Tier == targets.TierSource || d.Op.Reply.Tier == targets.TierBypass) {
		k.sourced = max(k.sourced, d.Op.Sent)
	}
}

// contradicted notes that the source answered version v with another value than is known for it.
func (j *Judge) contradicted(k *keyState, v uint64, op *targets.Operation) finding {
	k.audited = max(k.audited, op.Sent)
	at, _ := k.history.find(v)
	if !k.trusted() || k.history.versions[at].own >= op.Sent {
		return ordered
	}
	j.lostOrRolledBack(k, at, op.Sent, "the source answered its version with another value", answered(op))
	return contradicting
}

// lostOrRolledBack counts a version that the source no longer has, once: as a lost write if its write was
// acknowledged, and else as a rollback.
func (j *Judge) lostOrRolledBack(k *keyState, at int, when time.Duration, how string, against Event) {
	v := &k.history.versions[at]
	if v.gone || v.contested {
		return
	}
	v.gone = true
	if v.ackedAt != never {
		seq := v.token.seq
		if v.deleted {
			seq = targets.SeedSeq // which deletion made it is not remembered
		}
		j.lost(k, write{seq: seq, token: v.token.hash, sent: v.sent, returned: v.ackedAt, claimed: v.n, deleted: v.deleted}, "; "+how,
			j.goneHistory(k, at, against)...)
		return
	}
	if j.ledger.count(kindRollback, when) {
		events := j.goneHistory(k, at, against)
		j.ledger.keep(kindRollback, k.accusation(when, targets.Operation{}, textRollback(k.key, v, how), events,
			proofGone(v.n, v.token.seq, events)))
	}
}

// lost counts a lost write. how continues the text that says when it was acknowledged; the events prove it.
func (j *Judge) lost(k *keyState, w write, how string, events ...Event) {
	if j.ledger.count(kindLost, w.returned) {
		j.ledger.keep(kindLost, k.accusation(w.returned, w.operation(k.key), textLost(k.key, &w, how),
			events, proofGone(w.claimed, w.seq, events)))
	}
}

// falseRejection counts a write that the target promised to be without effect and that took effect.
func (j *Judge) falseRejection(k *keyState, r rejection, version uint64, at time.Duration, there Event) {
	if j.ledger.count(kindFalseRejection, at) {
		rejected := Event{What: WriteRejected, Key: k.key, Seq: r.seq, Writer: r.seq, Sent: r.sent, Returned: r.returned, Accused: true}
		j.ledger.keep(kindFalseRejection, k.accusation(at, targets.Operation{}, textFalseRejection(k.key, r.seq, version, at),
			[]Event{rejected, there}, proofFalseRejection(&r, &there)))
	}
}

// operation is the write as far as it is remembered: its token can be made again, see [targets.NewToken].
func (w *write) operation(key targets.Key) targets.Operation {
	kind := targets.Write
	if w.deleted {
		kind = targets.Delete
	}
	return targets.Operation{
		Request:  targets.Request{Seq: w.seq, Kind: kind, Key: key},
		Sent:     max(w.sent, 0),
		Returned: w.returned,
	}
}
