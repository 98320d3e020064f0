package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// versionModel judges by the versions that acknowledgements and answers carry: they grow in commit
// order, so the commit of each lies between the latest sending among the versions up to it and the
// earliest evidence of the versions from it on. See "Versions" in docs/oracle.md.
//
// A deletion whose acknowledgement carried a version is a version like any other. One without is
// never recognised, for an absence carries no token: it stays among the open writes, and can
// explain any "not found" that it can precede.
type versionModel struct{ *keyState }

// match finds the version that a read answered, and notes what that proves. An absent answer's
// version is found by compare.
func (m versionModel) match(op *targets.Operation) match {
	r := &op.Reply
	if (r.Owner != targets.Key{}) && r.Owner != m.key {
		return match{finding: owned}
	}
	h := &m.history
	at, ok := -1, false
	if r.Version != 0 {
		at, ok = h.Find(r.Version)
	}
	if ok && h.All[at].Token.Hash == m.drill.digest(r.Token) && h.All[at].Deleted == r.Absent {
		m.saw(at, op) // the common case: nothing new but the time
		if r.Token == "" && !r.Absent {
			return match{finding: blank, version: r.Version}
		}
		return match{finding: sound, version: r.Version}
	}
	switch {
	case r.Absent && m.drill.cfg.Shared:
		return match{finding: unplaced}
	case r.Absent && ok && h.All[at].Token.Hash != 0:
		return m.conflict(at, op)
	case r.Absent:
		if r.Version != 0 && !ok { // the target tells the version of a deletion that is not ours
			at, _ = h.Put(r.Version)
			h.Bury(at)
			m.saw(at, op)
		}
		return match{finding: sound}
	case r.Token == "":
		if r.Version != 0 {
			if !ok {
				at, _ = h.Put(r.Version)
			}
			m.saw(at, op)
		}
		return match{finding: blank, version: r.Version}
	}
	t, f := m.classify(r.Token)
	switch {
	case f == alien:
		m.foreign = true
		return match{finding: f}
	case f != sound:
		return match{finding: f}
	case ok && h.All[at].Token.Hash != 0:
		return m.conflict(at, op)
	}
	return m.matchToken(t, op)
}

// conflict is the match of an answer that shows version at with another value than is known of it.
func (m versionModel) conflict(at int, op *targets.Operation) match {
	v := &m.history.All[at]
	if v.AckedAt == never && op.Instance != targets.SourceInstance { // of two reads, either may be right
		m.tainted = true
	}
	return m.contradicted(match{finding: conflicting, version: v.N, known: v.Token}, op)
}

// matchToken finds which write stored the value that a read answered, and notes its version if that
// is news.
func (m versionModel) matchToken(t targets.Token, op *targets.Operation) match {
	h, r := &m.history, &op.Reply
	token := history.Signature{Hash: m.drill.digest(r.Token), Seq: t.Seq}
	sent, v := before, r.Version
	i, open := m.open.byToken(token.Hash)
	earlier, known := 0, false
	if !open || m.open.all[i].version != 0 { // else no read has shown it
		earlier, known = h.ByToken(token.Hash, never)
	}
	switch {
	case v == 0 && known:
		v = h.All[earlier].N
		m.saw(earlier, op)
		return match{finding: sound, version: v}
	case known: // stored twice: a duplicated write, as networks make them
		sent = h.All[earlier].Sent
	case open:
		sent = m.open.all[i].sent
	case t.Seq == targets.SeedSeq: // there before everything
	default:
		rejected, failed := m.open.takeRejected(t.Seq)
		switch {
		case failed:
			sent = rejected.sent
			m.falseRejection(rejected, v, op.Sent, answered(op))
			if v == 0 { // it has a place, and its version is not known
				m.open.all = append(m.open.all, write{seq: t.Seq, token: token.Hash, sent: sent})
				m.keepOpen(len(m.open.all)-1, history.Unknown, rejected.returned)
			}
		case m.crowded:
			return match{finding: unplaced}
		default:
			return match{finding: unwritten}
		}
	}
	if v == 0 {
		return match{finding: unplaced}
	}
	at, _ := h.Put(v)
	h.All[at].Token = token
	h.NotBefore(at, sent)
	if open && h.All[at].AckedAt == never {
		w := &m.open.all[i]
		w.version = v
		switch w.state {
		case history.Unversioned:
			h.All[at].AckedAt = w.returned // no evidence of v: this may be a later duplicate of what was acknowledged
			fallthrough
		case history.Unknown:
			m.open.close(i)
			h.Postpone(v)
		}
	}
	m.saw(at, op)
	m.checkOrder(at)
	return match{finding: sound, version: v}
}

// saw notes that a read returned version at.
func (m versionModel) saw(at int, op *targets.Operation) {
	h := &m.history
	h.Learned(at, op.Sent)
	if op.Instance != targets.SourceInstance && !op.Reply.Absent {
		h.All[at].Last = max(h.All[at].Last, op.Sent)
	}
	m.witness(&h.All[at], op)
	if op.Returned < h.All[at].High || op.Returned < h.All[at].Own {
		h.By(at, op.Returned, history.Seen)
		m.checkOrder(at)
	}
}

func (m versionModel) unjudged() string { return m.why() }

// compare uses exactly what came from operations that were sent by the read's return: all of them
// have ended, so the answer does not depend on the order of the calls of End. A version that only
// later ones carried is hidden.
func (m versionModel) compare(of match, d *verdict) {
	h, op := &m.history, &d.Op
	v := m.answered(of, op)
	d.Version = v
	pos := h.After(v)
	low, high, next := h.Around(pos, op.Returned)
	known := high.At // v was committed by then
	if pos > 0 {
		known = min(known, h.All[pos-1].Own)
	}
	first, acked := m.unresolved(op, v, low, known)
	if acked < high.At {
		high = history.Evidence{At: acked, How: history.Acknowledged}
	}
	dense := next < len(h.All) && h.All[next].N == v+1
	if dense { // no version lies between
		first = never
	}
	if next < len(h.All) {
		first = min(first, max(low, h.All[next].Sent))
	}
	d.answer(high, first)
	if d.Answer == Stale {
		d.Next = high.Via
	}
	switch {
	case v == 0 && !h.CreatedAt(next): // the key may have existed before
		d.High = -1
		if d.Answer == Fresh {
			d.Answer = Indeterminate
		}
	case d.Answer != Fresh && m.open.pruned && !dense: // one that was forgotten may have superseded it at once
		d.High = d.bound(low)
	}
	m.sawSource(&d.Judgement)
	if op.Reply.Absent {
		if by, ok := m.excuse(op); ok {
			m.excused(d, by)
			d.base = 0 // it may be later than anything that the session saw
		}
	}
}

// unresolved looks at the writes that were sent by the time at which the read began and whose
// acknowledgement, if any, carried no version. The read answered version v, which was committed in
// [low, known].
//
// first is the earliest time at which one whose version was carried by no operation sent by the
// read's return can have superseded v; not one that was acknowledged before low, for it precedes v.
// acked is the earliest acknowledgement of one that was sent after known: it follows v, whichever
// its version is. Each is [never] when there is none.
func (m versionModel) unresolved(op *targets.Operation, v uint64, low, known time.Duration) (first, acked time.Duration) {
	first, acked = never, never
	consider := func(sent, returned time.Duration, placed bool) {
		if sent > op.Sent || returned < low {
			return
		}
		if !placed {
			first = min(first, max(sent, low))
		}
		if sent > known {
			acked = min(acked, returned)
		}
	}
	h := &m.history
	for i := range m.open.all {
		switch w := &m.open.all[i]; w.state {
		case history.Unversioned:
			consider(w.sent, w.returned, false)
		default:
			consider(w.sent, never, w.version != 0 && h.Visible(w.version, op.Returned))
		}
	}
	for i := len(h.Late) - 1; i >= 0; i-- {
		if op.Returned >= h.Shown && h.Late[i] <= v {
			break // all have their versions, and none of the rest follows v
		}
		if at, ok := h.Find(h.Late[i]); ok {
			w := &h.All[at]
			consider(w.Sent, w.AckedAt, w.Since <= op.Returned)
		}
	}
	return first, acked
}

// excuse gives the time by which the last deletion was committed that can explain an answer "not
// found" and whose version is not known; ok is false when there is none.
func (m versionModel) excuse(op *targets.Operation) (by time.Duration, ok bool) {
	if m.open.forgotten && m.open.deletion <= op.Returned {
		return op.Returned, true
	}
	by = before
	for i := range m.open.all {
		w := &m.open.all[i]
		if !w.deleted || w.sent > op.Returned {
			continue
		}
		ok = true
		if w.state == history.Unversioned {
			by = max(by, min(w.returned, op.Returned))
		} else {
			by = op.Returned
		}
	}
	return by, ok
}

// excused takes into account that a deletion of unknown version, committed by the given time, can
// explain an absence.
func (m versionModel) excused(d *verdict, by time.Duration) {
	if d.Answer != Stale {
		return
	}
	i := d.Op.Sent
	if e, _ := m.history.Following(d.Version, by, d.Op.Returned); e.At < i {
		d.Low, d.Next, d.NextAt, d.NextHow = i-e.At, e.Via, e.At, e.How.String()
		return
	}
	d.doubt()
}

func (m versionModel) audit(of match, d *verdict) {
	op := &d.Op
	m.audited = max(m.audited, op.Sent)
	v, by, excused := m.answered(of, op), before, false
	first := m.history.After(v)
	if op.Reply.Absent {
		if by, excused = m.excuse(op); excused {
			_, first = m.history.Following(v, by, op.Returned)
		}
	}
	m.missing(first, v, op)
	if v != 0 {
		m.followers(v, op)
		return
	}
	for i := len(m.open.all) - 1; i >= 0; i-- { // nothing is there: neither is any write of unknown version
		if w := m.open.all[i]; w.state == history.Unversioned && w.returned < op.Sent && !w.deleted && !(excused && by >= w.sent) {
			m.open.close(i)
			m.lost(w, "; "+textAudit(v, op), acked(m.key, w.seq, 0, w.sent, w.returned), accused(op, 0))
		}
	}
}

// followers counts acknowledged writes of unknown version as lost that certainly follow version v,
// which is still there: they were sent after it was proven, and acknowledged before the source was
// asked.
func (m versionModel) followers(v uint64, op *targets.Operation) {
	at, known := m.history.Find(v)
	if !known || op.Reply.Version != v { // a value without a version may have been stored again
		return
	}
	for i := len(m.open.all) - 1; i >= 0; i-- {
		w := m.open.all[i]
		if w.state != history.Unversioned || w.returned >= op.Sent || w.sent <= m.history.All[at].Own {
			continue
		}
		events := append(m.proven(at), acked(m.key, w.seq, 0, w.sent, w.returned))
		m.open.close(i)
		m.lost(w, "; "+textAudit(v, op), append(events, accused(op, v))...)
	}
}

func (m versionModel) stale(_ match, d *verdict, wanted bool) { m.staleVersion(d, wanted) }

func (m versionModel) conclude() {
	looked := m.looked()
	for i := range m.history.All {
		v := &m.history.All[i]
		if v.Contested {
			m.counts.lostChecked++
		}
		switch {
		case v.Own >= looked && !v.Gone, v.Deleted && v.AckedAt == never:
		case v.AckedAt != never && (v.AckedAt < looked || v.Gone):
			m.counts.lostChecked++
		default:
			m.counts.rollbacksChecked++
		}
	}
}

// explained accuses a key if its absences can't all be explained by deletions that carried a
// version, and those that carried none.
func (m versionModel) explained() (decided bool) {
	if m.absences == nil || m.violated || !m.family.strong() {
		return true
	}
	a := &m.absences.cached
	switch {
	case len(a.All) == 0 && !a.Overflow:
		return true
	case a.Overflow:
		return false
	case m.history.Explains(a.All):
		return true
	}
	var deletions []history.Deletion
	for i := range m.open.all {
		if w := &m.open.all[i]; w.deleted {
			d := history.Deletion{Sent: w.sent, By: never}
			if w.state == history.Unversioned {
				d.By = w.returned
			}
			deletions = append(deletions, d)
		}
	}
	explained, decided := m.history.ExplainsWith(deletions, a.All)
	if decided && !explained {
		m.disordered(a.All[0].From, textAbsences(m.key, a.All))
	}
	return decided
}
