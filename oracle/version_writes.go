package oracle

import (
	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// What the version model learns from writes and their acknowledgements.

func (m versionModel) begin(op *targets.Operation) {
	m.counts.writes++
	m.open.add(op.Seq, m.drill.digest(op.Token), op)
}

func (m versionModel) end(op *targets.Operation) {
	i := m.opened(op)
	w := m.open.all[i]
	switch op.Outcome {
	case targets.OK:
		m.counts.acknowledged++
		m.recordAck(i, op)
	case targets.Failed:
		m.counts.rejected++
		r := rejection{w.seq, w.sent, op.Returned}
		there, read := valueModel(m).readBefore(w.seq)
		switch {
		case w.version != 0:
			m.open.close(i)
			m.falseRejection(r, w.version, op.Returned, m.there(w.version))
		case read:
			m.keepOpen(i, history.Unknown, op.Returned) // it has a place, and its version is not known
			m.falseRejection(r, 0, op.Returned, there)
		default:
			m.open.close(i)
			m.open.reject(r)
		}
	default:
		m.counts.unknown++
		if w.version == 0 {
			m.keepOpen(i, history.Unknown, op.Returned)
			return
		}
		m.open.close(i)
		m.history.Postpone(w.version)
	}
}

// recordAck notes that the open write i was acknowledged.
func (m versionModel) recordAck(i int, op *targets.Operation) {
	w := m.open.all[i]
	switch {
	case op.Reply.Version != 0 && w.deleted:
		m.open.close(i)
		m.recordDeletion(w, op)
	case op.Reply.Version != 0:
		m.open.close(i)
		at, isNew := m.history.Put(op.Reply.Version)
		v := &m.history.All[at]
		if !isNew && (v.Deleted || v.Token.Hash != 0 && v.Token.Hash != w.token) {
			m.contradict(at, w, op)
			return
		}
		v.Token = history.Signature{Hash: w.token, Seq: w.seq}
		m.recordVersion(at, w, op)
	case w.version != 0:
		m.open.close(i)
		at, _ := m.history.Find(w.version)
		m.history.All[at].AckedAt = op.Returned
		m.history.Postpone(w.version)
	default:
		m.keepOpen(i, history.Unversioned, op.Returned)
	}
}

// recordDeletion adds the version as which a deletion was acknowledged.
func (m versionModel) recordDeletion(w write, op *targets.Operation) {
	h := &m.history
	at, isNew := h.Put(op.Reply.Version)
	v := &h.All[at]
	switch {
	case isNew:
		h.Bury(at)
	case v.Deleted && v.AckedAt != never: // of what was deleted already: either may have made the version
		h.Relax(at, w.sent)
		w.sent = v.Sent
	case v.Deleted:
	default:
		m.contradict(at, w, op)
		return
	}
	m.recordVersion(at, w, op)
}

// recordVersion notes that a write was acknowledged as version at.
func (m versionModel) recordVersion(at int, w write, op *targets.Operation) {
	h := &m.history
	h.All[at].AckedAt = min(h.All[at].AckedAt, op.Returned)
	h.NotBefore(at, w.sent)
	h.Learned(at, op.Sent)
	h.By(at, op.Returned, history.Acknowledged)
	m.checkOrder(at)
}

// contradict notes that a write was acknowledged as a version that is known to be another value.
func (m versionModel) contradict(at int, w write, op *targets.Operation) {
	v := &m.history.All[at]
	switch {
	case v.AckedAt == never: // a read had answered this version with another value
		if m.drill.accused.count(kindCorruption, op.Returned) {
			m.drill.accused.keep(kindCorruption, m.accusation(op.Returned, *op, textMisread(m.key, v, op),
				append(m.proven(at), acked(m.key, op.Seq, v.N, op.Sent, op.Returned)), proofMisread(v, op)))
		}
		m.tainted = true
	case !v.Contested: // two writes were acknowledged as one version: the source has at most one of them
		v.Contested = true
		m.lost(write{seq: op.Seq, token: w.token, sent: op.Sent, returned: op.Returned, claimed: v.N, deleted: w.deleted},
			"; another write was acknowledged as the same version",
			acked(m.key, v.Token.Seq, v.N, v.Sent, v.AckedAt), acked(m.key, op.Seq, v.N, op.Sent, op.Returned))
	}
}

// checkOrder accuses versions that a read or an acknowledgement proves to have been followed by
// another before they can have existed: version order is commit order. at is the version that
// something new was learned of: if that was evidence, it bears on the versions up to at, and Low,
// which does not fall, ends the walk; if it was the write's Sent, it bears on at alone.
func (m versionModel) checkOrder(at int) {
	versions := m.history.All
	if !m.trusted() {
		return
	}
	for i := at; i >= 0 && versions[i].Low > versions[at].High; i-- {
		v := &versions[i]
		if v.Disordered || v.Sent <= v.High {
			continue
		}
		v.Disordered = true
		if m.drill.accused.count(kindCorruption, v.Sent) {
			m.drill.accused.keep(kindCorruption, m.accusation(v.Sent, targets.Operation{}, textDisorder(m.key, v),
				m.disorderHistory(i), proofDisorder(v)))
		}
	}
}
