package oracle

import (
	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// logModel judges by the source's log, which is the only evidence of order and time: each commit
// happened at its stamp. A read waits until the log is complete up to its return; reads in flight
// do not matter. See "With the source's log" in docs/oracle.md.
type logModel struct{ *keyState }

func (m logModel) begin(op *targets.Operation) {
	if op.Kind.Changes() {
		m.counts.writes++
		m.open.add(op.Seq, m.drill.digest(op.Token), op)
	}
}

// commit adds an entry of the log.
func (m logModel) commit(c targets.Commit) {
	h, token := &m.history, m.drill.signature(c.Token)
	at, isNew := h.Put(c.Version)
	v := &h.All[at]
	if !isNew {
		if v.Token.Hash != token.Hash || v.Deleted != c.Deleted { // numbering restarted: what was there is gone
			m.gone(at, c.At, "its version was committed again with another value", m.drill.logEntry(c))
			m.rewritten = true
		}
		return
	}
	v.Token = token
	if c.Deleted {
		h.Bury(at)
		m.showDeletion(at)
	}
	h.NotBefore(at, c.At)
	v.Since = before
	if c.Version == 1 {
		t, ok := targets.ParseToken(c.Token)
		v.Initial = !ok || t.Run != m.drill.cfg.Run || t.Seq == targets.SeedSeq
	}
	h.By(at, c.At, history.Committed)
	if i, ok := m.open.byToken(token.Hash); ok && c.Token != "" {
		if w := &m.open.all[i]; w.state == history.InFlight {
			w.version = c.Version
		} else {
			v.AckedAt = w.returned
			m.open.close(i)
		}
		return
	}
	if len(m.open.rejected) == 0 || c.Deleted {
		return
	}
	if t, ok := targets.ParseToken(c.Token); ok && t.Run == m.drill.cfg.Run && t.For(m.key) {
		if r, rejected := m.open.takeRejected(t.Seq); rejected {
			m.falseRejection(r, c.Version, c.At, m.drill.logEntry(c))
		}
	}
}

// showDeletion notes that the log has the deletion that was acknowledged as version at, if one was.
func (m logModel) showDeletion(at int) {
	v := &m.history.All[at]
	for i := len(m.open.all) - 1; i >= 0; i-- {
		if w := &m.open.all[i]; w.deleted && w.state != history.InFlight && w.claimed == v.N {
			v.AckedAt = min(v.AckedAt, w.returned)
			m.open.close(i)
		}
	}
}

func (m logModel) end(op *targets.Operation) {
	i := m.opened(op)
	w := m.open.all[i]
	switch op.Outcome {
	case targets.OK:
		m.counts.acknowledged++
		m.recordAck(i, op)
	case targets.Failed:
		m.counts.rejected++
		m.open.close(i)
		r := rejection{w.seq, w.sent, op.Returned}
		if w.version != 0 {
			m.falseRejection(r, w.version, op.Returned, m.there(w.version))
		} else {
			m.open.reject(r)
		}
	default:
		m.counts.unknown++
		m.open.close(i) // if it took effect, the log has it
		if w.version != 0 {
			m.history.Postpone(w.version)
		}
	}
}

// recordAck notes that the open write i was acknowledged: the log shows it, or will, or it is lost.
func (m logModel) recordAck(i int, op *targets.Operation) {
	w := m.open.all[i]
	version := w.version
	if w.deleted { // it has no token: the log shows it under the version that the acknowledgement carries
		if op.Reply.Version == 0 {
			m.open.close(i)
			return
		}
		if at, ok := m.history.Find(op.Reply.Version); ok && m.history.All[at].Deleted {
			version = op.Reply.Version
		}
	}
	if version == 0 { // kept until the log shows it
		m.open.ends(i, history.Unversioned, op.Returned)
		m.open.all[i].claimed = op.Reply.Version
		return
	}
	m.open.close(i)
	at, _ := m.history.Find(version)
	m.history.All[at].AckedAt = min(m.history.All[at].AckedAt, op.Returned)
}

// match finds the commit of what the read answered, once the log is complete up to its return or
// the drill is over.
func (m logModel) match(op *targets.Operation) match {
	r := &op.Reply
	switch {
	case !m.settled(op):
		return match{finding: unsealed}
	case (r.Owner != targets.Key{}) && r.Owner != m.key:
		return match{finding: owned}
	case r.Absent:
		return match{finding: sound}
	}
	v, ok := m.committed(op)
	ended := op.Returned >= m.drill.logEnd() // the log ended before the read did
	if r.Token == "" {
		switch {
		case !ok && v == 0 || !ok && ended:
			return match{finding: blank}
		case !ok:
			return match{finding: uncommitted}
		}
		return match{finding: blank, version: v}
	}
	var known history.Signature
	if ok {
		at, _ := m.history.Find(v)
		if known = m.history.All[at].Token; known.Hash == m.drill.digest(r.Token) && !m.history.All[at].Deleted {
			return match{finding: sound, version: v}
		}
	}
	_, f := m.classify(r.Token)
	switch {
	case f == alien:
		m.foreign = true
		return match{finding: f}
	case f != sound:
		return match{finding: f}
	case ok:
		return m.contradicted(match{finding: conflicting, version: v, known: known}, op)
	case ended:
		return match{finding: unplaced}
	}
	return match{finding: uncommitted}
}

// settled reports whether the log can't add anything about a read. Commits at the very time of a
// seal may not have been sent yet: at that time only a read that began earlier and whose version is
// in the log is settled.
func (m logModel) settled(op *targets.Operation) bool {
	end := m.drill.logEnd()
	if m.drill.finished || end != op.Returned {
		return m.drill.finished || end > op.Returned
	}
	if op.Reply.Absent || op.Reply.Version == 0 || op.Sent == end { // its token may be stored again at this time
		return false
	}
	_, ok := m.committed(op)
	return ok
}

// committed gives the version that the log has for what the read answered, if it was committed by
// its return.
func (m logModel) committed(op *targets.Operation) (uint64, bool) {
	if v := op.Reply.Version; v != 0 {
		at, ok := m.history.Find(v)
		return v, ok && m.history.All[at].Own <= op.Returned
	}
	if op.Reply.Token == "" {
		return 0, false
	}
	at, ok := m.history.ByToken(m.drill.digest(op.Reply.Token), op.Returned)
	if !ok {
		return 0, false
	}
	return m.history.All[at].N, true
}

func (m logModel) unjudged() string { return m.why() }

func (m logModel) compare(of match, d *verdict) {
	h, op := &m.history, &d.Op
	d.Version = m.answered(of, op)
	pos := h.After(d.Version)
	low, high, next := h.Around(pos, op.Returned)
	first, end := never, m.drill.logEnd()
	dense := next < len(h.All) && h.All[next].N == d.Version+1 // no version lies between
	if end <= op.Sent && !dense {                              // the drill is over, and the log did not get here
		first = max(end, low)
	}
	if next < len(h.All) {
		first = min(first, max(low, h.All[next].Sent))
	}
	d.answer(high, first)
	if d.Answer == Stale {
		d.Next = high.Via
	}
	m.sawSource(&d.Judgement)
	if op.Reply.Version == 0 && end <= op.Returned { // what explains it may have been committed after the log's end
		d.logEnded = true
		if d.Answer == Stale {
			d.doubt()
		}
	}
}

func (m logModel) audit(of match, d *verdict) {
	m.audited = max(m.audited, d.Op.Sent)
	v := m.answered(of, &d.Op)
	m.missing(m.history.After(v), v, &d.Op)
}

func (m logModel) stale(_ match, d *verdict, wanted bool) { m.staleVersion(d, wanted) }

func (m logModel) conclude() {
	end := m.drill.logEnd()
	for _, w := range m.open.all {
		if w.state != history.Unversioned || w.returned >= end || !m.trusted() || m.inLog(&w) {
			continue
		}
		m.counts.lostChecked++
		m.lost(w, " and is not in the source's history",
			acked(m.key, w.seq, w.claimed, w.sent, w.returned), Event{What: Sealed, Key: m.key, At: end})
	}
	for i := range m.history.All {
		v := &m.history.All[i]
		switch {
		case v.AckedAt != never:
			m.counts.lostChecked++
		case !v.Deleted:
			m.counts.rollbacksChecked++
		}
	}
}

// inLog reports whether the log has a write that was acknowledged.
func (m logModel) inLog(w *write) bool {
	if !w.deleted {
		_, ok := m.history.ByToken(w.token, never)
		return ok
	}
	at, ok := m.history.Find(w.claimed)
	return ok && m.history.All[at].Deleted
}

// explained: with every commit's time known, a read that no order explains is stale by itself.
func (m logModel) explained() bool { return true }
