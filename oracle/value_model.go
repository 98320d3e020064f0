package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// valueModel judges by values alone: neither the source's log, nor an acknowledgement, nor an
// answer carries a version. Then the order of two writes is known only where one was sent after
// there was evidence of the other. See "Values alone" in docs/oracle.md.
type valueModel struct{ *keyState }

// active gives the key's values, unless the operation sent at this time is known to be judged by
// versions.
func (m valueModel) active(sent time.Duration) *history.Values {
	if m.values == nil && m.versionedFrom == never {
		m.values = history.NewValues(m.family.bound())
	}
	if sent >= m.versionedFrom {
		return nil
	}
	return m.values
}

func (m valueModel) begin(op *targets.Operation) {
	r := m.active(op.Sent)
	if r == nil {
		return
	}
	r.Began = min(r.Began, op.Sent)
	if op.Kind.Changes() {
		r.Add(op.Seq, op.Sent, op.Kind == targets.Delete)
	}
}

func (m valueModel) end(op *targets.Operation) {
	if r := m.active(op.Sent); r != nil {
		r.End(op)
	}
}

// readBefore gives the earliest read of a write that was then promised to be without effect.
func (m valueModel) readBefore(seq uint64) (e Event, ok bool) {
	if m.values == nil {
		return e, false
	}
	x, known := m.values.Find(seq)
	if !known || !x.Rejected {
		return e, false
	}
	return Event{What: Answered, Key: m.key, Writer: seq, Sent: x.Since, Returned: x.By}, true
}

// match finds the write that stored what a read answered, and notes what that proves.
func (m valueModel) match(op *targets.Operation) match {
	reply := &op.Reply
	r := m.active(op.Sent)
	switch {
	case (reply.Owner != targets.Key{}) && reply.Owner != m.key:
		return match{finding: owned}
	case reply.Absent && m.drill.cfg.Shared:
		return match{finding: unplaced}
	case reply.Absent:
		return match{finding: sound}
	}
	t, f := m.classify(reply.Token)
	if f == alien {
		m.foreign = true
	}
	if f != sound {
		return match{finding: f}
	}
	x, f := m.matchToken(r, t, op)
	if f != sound {
		return match{finding: f}
	}
	x.Since = min(x.Since, op.Sent)
	r.Proven(x, op.Returned, history.Seen)
	read := history.Op{Sent: op.Sent, Seq: op.Seq}
	if op.Instance == targets.SourceInstance {
		x.SawPast(read, op.Returned)
	} else if _, ok := m.promised(op); ok {
		x.Last = history.Later(x.Last, read)
	}
	return match{finding: sound, record: x}
}

// matchToken finds the write that stored a value.
func (m valueModel) matchToken(r *history.Values, t targets.Token, op *targets.Operation) (*history.WriteRecord, finding) {
	x, ok := r.Find(t.Seq)
	switch {
	case ok && x.Sent > op.Returned:
		return nil, unwritten // seen before it was sent
	case ok:
		return x, sound
	case t.Seq == targets.SeedSeq:
		return r.Initial(), sound
	}
	rejected, failed := m.open.takeRejected(t.Seq)
	switch {
	case failed && rejected.sent > op.Returned: // seen before it was sent
		m.open.reject(rejected)
		return nil, unwritten
	case failed:
		m.falseRejection(rejected, 0, op.Sent, answered(op))
		m.open.all = append(m.open.all, write{seq: t.Seq, token: m.drill.digest(op.Reply.Token), sent: rejected.sent})
		m.keepOpen(len(m.open.all)-1, history.Unknown, rejected.returned)
		x = r.Add(t.Seq, rejected.sent, false)
		x.Rejected = true
		return x, sound
	case r.Crowded:
		return nil, unplaced
	}
	return nil, unwritten
}

func (m valueModel) unjudged() string {
	switch {
	case m.foreign:
		return m.why()
	case m.values.Crowded:
		return tooManyUnknown
	}
	return ""
}

func (m valueModel) compare(of match, d *verdict) {
	var first time.Duration
	d.next, first = m.values.Bounds(of.record, d.Op.Returned)
	d.answer(d.next, first)
	d.base = 0 // sessions are compared by versions
	m.sawSource(&d.Judgement)
}

func (m valueModel) stale(of match, d *verdict, wanted bool) {
	if wanted {
		d.history = m.staleHistory(of.record, d.next, &d.Op)
	}
	x := of.record
	if x == nil {
		x = &m.values.Nothing
	}
	x.Stale.Read(d.Op.Sent, d.NextAt, d.Op.Region)
}

// staleHistory proves a stale read of what x stored (nil: of an absence), which the write of the
// given evidence certainly followed.
func (m valueModel) staleHistory(x *history.WriteRecord, next history.Evidence, op *targets.Operation) []Event {
	var events []Event
	if x != nil && x.Sent != before {
		events = recordEvents(m.key, x)
	}
	if follower, ok := m.values.Find(next.Via); ok {
		events = append(events, recordEvents(m.key, follower)...)
	}
	return append(events, accused(op, 0))
}

func (m valueModel) superseded(t, within time.Duration) bool { return m.values.Changed(t, within) }

// audit: writes that certainly follow the one that stored the answer, and were proven before it was
// asked for, are gone.
func (m valueModel) audit(of match, d *verdict) {
	r, op := m.values, &d.Op
	if r.Crowded {
		return
	}
	m.audited = max(m.audited, op.Sent)
	by := before
	switch x := of.record; {
	case x == nil:
		by = r.AbsentBy(op.Returned)
		if seed := r.Seed; seed != nil && by == before && seed.By < op.Sent {
			m.missed(seed, op)
		}
	case x != r.Seed:
		by = x.By
	}
	for _, x := range r.Following(by, op.Sent) {
		m.missed(x, op)
	}
}

// missed counts a write that the source no longer has, once: as a lost write if it was
// acknowledged, and else as a rollback.
func (m valueModel) missed(x *history.WriteRecord, op *targets.Operation) {
	if x.Gone {
		return
	}
	x.Gone, m.values.Lost = true, true
	events := append(recordEvents(m.key, x), accused(op, 0))
	if x.Acked != never {
		m.lost(write{seq: x.Seq, sent: x.Sent, returned: x.Acked, deleted: x.Deleted}, "; "+textAuditValue(op), events...)
		return
	}
	m.rolledBack(op.Sent, 0, x.Seq, textRollbackValue(m.key, x, op), events)
}

func (m valueModel) conclude() {
	if m.unjudged() != "" {
		return
	}
	for _, x := range m.values.BySent {
		switch {
		case x.Acked != never && (x.Acked < m.looked() || x.Gone):
			m.counts.lostChecked++
		case !x.Deleted && x.By != never && (x.By < m.looked() || x.Gone):
			m.counts.rollbacksChecked++
		}
	}
}

// explained looks for zones in conflict, and for absences that no deletion explains. The reads past
// the caches are of use as long as the source lost nothing.
func (m valueModel) explained() (decided bool) {
	if !m.family.classed {
		return true
	}
	of, whole := history.FromAll, m.steady()
	if !whole || m.values.Lost { // the source itself does not have what it should
		of = history.FromCaches
	}
	if m.violated {
		return true
	}
	all := m.values.Zones(of)
	pairs := history.Conflicts(all)
	for _, p := range pairs {
		m.disordered(max(p[1].Start, p[1].Last.Sent), textZones(m.key, p[0], p[1]), p[0], p[1])
	}
	if len(pairs) > 0 {
		return true
	}
	if m.absences == nil {
		return whole || !m.family.strong()
	}
	a := &m.absences.cached
	if of == history.FromAll {
		a = a.With(&m.absences.past)
	}
	a.Thin(m.values)
	explained, decided := a.Explained(m.values, all)
	if decided && !explained {
		m.disordered(a.All[0].From, textAbsences(m.key, a.All))
	}
	return decided && whole || !m.family.strong()
}

// steady reports whether some order of the writes explains the reads past the caches. If their
// values are in conflict, one was there, was superseded, and came back: what had superseded it is
// gone, and counted.
func (m valueModel) steady() bool {
	all := m.values.Zones(history.FromSource)
	pairs := history.Conflicts(all)
	for _, p := range pairs {
		x := p[0]
		if x.Record == m.values.Seed || p[1].Start < x.Start && p[1].Record != m.values.Seed {
			x = p[1]
		}
		m.reverted(x, p)
	}
	if len(pairs) > 0 || m.absences == nil {
		return m.values.Lost || len(pairs) == 0
	}
	a := &m.absences.past
	a.Thin(m.values)
	explained, decided := a.Explained(m.values, all)
	return m.values.Lost || explained && decided
}

// reverted counts a write that was there, and gone for a while at least, unless one of the two that
// show it was counted.
func (m valueModel) reverted(z history.Zone, pair [2]history.Zone) {
	x := z.Record
	if pair[0].Record.Gone || pair[1].Record.Gone {
		return
	}
	x.Gone, m.values.Lost = true, true
	kind, at := kindRollback, max(x.Sent, z.Last.Sent)
	if x.Acked != never {
		kind, at = kindLost, x.Acked
	}
	if m.drill.accused.count(kind, at) {
		m.drill.accused.keep(kind, m.accusation(at, targets.Operation{}, textReverted(m.key, x, pair),
			orderHistory(m.key, pair[:]), proofOrder(m.family, pair[:]...)))
	}
}
