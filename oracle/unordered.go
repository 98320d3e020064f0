package oracle

import (
	"slices"
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/targets"
)

// Keys whose versions nobody tells: neither the source's log, nor an acknowledgement, nor an answer. Then the order of two
// writes is known only where one was sent after there was evidence of the other. From the first operation that tells a version
// on, the key is judged by its versions.

// tells notes that an operation told a version of the key.
func (k *keyState) tells(op *targets.Operation) {
	if op.Sent >= k.told {
		return
	}
	k.told = op.Sent
	if k.overfull {
		k.crowded = true
	}
}

// unordered gives the key's register, unless it is known that the key is to be judged by its versions.
func (k *keyState) unordered(sent time.Duration) *register {
	if k.register == nil && k.told == never {
		k.register = newRegister()
	}
	if sent >= k.told {
		return nil
	}
	return k.register
}

// loose says whether a read is to be judged without versions, as far as is known by now.
func (k *keyState) loose(op *targets.Operation) bool {
	return op.Reply.Version == 0 && op.Returned < k.told && (k.register != nil || k.told == never) && (op.Reply.Absent || op.Reply.Token != "")
}

// forget lets go of the register once every read to come is judged by versions.
func (k *keyState) forget() {
	if k.register != nil && k.told != never && k.flight.oldest() >= k.told &&
		(k.waiting.first == nil || k.waiting.first.op.Returned >= k.told) {
		k.register = nil
	}
}

// placeLoose checks a read's answer, notes what it proves, and gives the write that stored it; nil for an absence.
func (j *Judge) placeLoose(s *shard, k *keyState, op *targets.Operation) (*mark, finding) {
	reply := &op.Reply
	j.claims(s, k, op)
	if (reply.Owner != targets.Key{}) && reply.Owner != k.key {
		return nil, owned
	}
	r := k.unordered(op.Sent)
	if reply.Absent && j.cfg.Shared {
		return nil, ordered
	}
	if reply.Absent {
		return nil, sound
	}
	t, f := j.classify(k.key, reply.Token)
	if f == alien {
		k.foreign = true
	}
	if f != sound {
		return nil, f
	}
	m, ok := r.find(t.Seq)
	switch {
	case ok && m.sent > op.Returned:
		return nil, unwritten // seen before it was sent
	case ok:
	case t.Seq == targets.SeedSeq:
		if r.seed == nil {
			seed := newMark(targets.SeedSeq, before)
			r.seed = &seed
		}
		m = r.seed
	default:
		rejected, failed := k.takeFailed(t.Seq)
		switch {
		case failed && rejected.sent > op.Returned: // seen before it was sent
			k.failed = slices.Insert(k.failed, k.rejection(t.Seq), rejected)
			return nil, unwritten
		case failed:
			j.falseRejection(k, rejected, 0, op.Sent, answered(op))
			k.open = append(k.open, write{seq: t.Seq, token: j.digest(reply.Token), sent: rejected.sent})
			k.keep(len(k.open)-1, unknown, rejected.returned)
			m = r.add(t.Seq, rejected.sent, false)
			m.rejected = true
		case r.crowded:
			return nil, ordered
		default:
			return nil, unwritten
		}
	}
	m.since = min(m.since, op.Sent)
	r.proven(m, op.Returned, seen)
	if op.Instance != targets.SourceInstance && (op.Sent > m.last.sent || op.Sent == m.last.sent && op.Seq < m.last.seq) {
		m.last = aloft{sent: op.Sent, seq: op.Seq}
	}
	return m, sound
}

// judgeLoose answers a read of the value that write m stored, or, with nil, of an absence.
func (j *Judge) judgeLoose(s *shard, k *keyState, op *targets.Operation, m *mark) verdict {
	r := k.register
	d := verdict{Judgement: Judgement{Op: *op, Class: k.family.class()}, family: k.family}
	if k.foreign || r.crowded {
		s.counts.unjudged++
		d.Why = k.why()
		return d
	}
	next := r.compare(m, op, &d.Judgement)
	k.sawSource(&d.Judgement)
	if op.Instance == targets.SourceInstance {
		j.auditLoose(k, m, op)
		return d
	}
	if d.Answer == Stale {
		k.stale = true
		if j.ledger.wants(kindStale, op.Sent, d.Low) || j.ledger.wants(kindViolation, op.Sent, d.Low) {
			d.history = k.staleLoose(m, next, op)
		}
		if m == nil {
			m = &r.nothing
		}
		m.stale.read(&d.Judgement)
		d.Violation = j.violates(k.family, &d.Judgement)
	}
	j.opportunity(s, k, op, &d.Judgement)
	return d
}

// compare decides between fresh, stale and indeterminate, and bounds the staleness. All that it uses was told by operations
// that were sent by the read's return: later ones give evidence that is later than the read. next is the earliest proof of a
// write that certainly followed.
func (r *register) compare(v *mark, op *targets.Operation, d *Judgement) (next evidence) {
	i, by := op.Sent, before
	switch {
	case v == nil:
		by = r.absentBy(op.Returned)
		v = r.certainAbsence(op.Returned)
	case v != r.seed: // which precedes every write of the drill
		by = v.by
	}
	next = r.superseded(by)
	if d.Op.Reply.Absent && by == before && r.seed != nil {
		if e := (evidence{r.seed.by, r.seed.seq, seen}); e.betters(next) {
			next = e // no write of the drill removed it
		}
	}
	first := r.first(v, op.Returned)
	if v == &r.nothing {
		first = before // nobody said that the key did not exist before
	}
	switch {
	case next.at < i:
		d.Answer, d.Low, d.NextAt, d.NextHow = Stale, i-next.at, next.at, next.how.String()
	case first > i:
		d.Answer = Fresh
		return next
	default:
		d.Answer = Indeterminate
	}
	d.High = -1
	if first != before {
		d.High = max(0, i-first)
	}
	return next
}

// changed says whether a write is proven to have been committed in [t-within, t). Whatever it superseded, had it been
// answered at t, would have been proven stale.
func (r *register) changed(t, within time.Duration) bool {
	return r.superseded(t-within-1).at < t
}

// auditLoose compares an answer from past the caches with what was proven before it was asked for: writes that certainly
// follow the one that stored the answer, and were proven before, are gone.
func (j *Judge) auditLoose(k *keyState, v *mark, op *targets.Operation) {
	r := k.register
	k.audited = max(k.audited, op.Sent)
	by := before
	switch {
	case v == nil:
		by = r.absentBy(op.Returned)
		if m := r.seed; m != nil && by == before && m.by < op.Sent {
			j.goneLoose(k, m, op)
		}
	case v != r.seed:
		by = v.by
	}
	for i := r.after(by); i < len(r.bySent) && r.bySent[i].next.at < op.Sent; i++ {
		if m := r.bySent[i]; m.by < op.Sent {
			j.goneLoose(k, m, op)
		}
	}
}

// goneLoose counts a write that the source no longer has, once: as a lost write if it was acknowledged, and else as a rollback.
func (j *Judge) goneLoose(k *keyState, m *mark, op *targets.Operation) {
	if m.gone {
		return
	}
	m.gone = true
	if m.acked != never {
		j.lost(k, write{seq: m.seq, sent: m.sent, returned: m.acked, deleted: m.deleted}, "; "+textAuditLoose(op), k.goneLooseHistory(m, op)...)
		return
	}
	if j.ledger.count(kindRollback, op.Sent) {
		j.ledger.keep(kindRollback, k.accusation(op.Sent, targets.Operation{}, textRollbackLoose(k.key, m, op),
			k.goneLooseHistory(m, op), proofGone(0, m.seq, k.goneLooseHistory(m, op))))
	}
}

// conclude looks at a key's whole history at the end.
func (j *Judge) conclude(s *shard, k *keyState, f *Findings) {
	if !k.trusted() || k.crowded || k.told == never && k.register != nil && k.register.crowded {
		f.UnjudgedKeys++
		return
	}
	r, strong := k.register, k.family.classed && k.family.Class == Strong
	if r == nil || k.told != never {
		if strong && !j.explain(k) {
			f.UndecidedKeys++
		}
		return
	}
	for _, m := range r.bySent {
		switch {
		case m.acked != never && (m.acked < k.looked() || m.gone):
			s.counts.lostChecked++
		case !m.deleted && m.by != never && (m.by < k.looked() || m.gone):
			s.counts.rollbacksChecked++
		}
	}
	if strong && !j.linearize(k) {
		f.UndecidedKeys++
	}
}

// allSpans gives the key's proven-stale reads, with and without versions.
func (k *keyState) allSpans() []span {
	r := k.register
	if r == nil {
		return k.spans
	}
	all := slices.Clone(k.spans)
	for _, m := range r.everything() {
		if m.stale.last != before {
			all = append(all, m.stale)
		}
	}
	return all
}

// everything is all writes, the initial value and the absence before.
func (r *register) everything() []*mark {
	all := append([]*mark{&r.nothing}, r.bySent...)
	if r.seed != nil {
		all = append(all, r.seed)
	}
	return all
}

// lagsLoose appends, for each value without a version that was certainly superseded, how long it was still served. Absences count only if they
// were read stale.
func (k *keyState) lagsLoose(to []Lag) []Lag {
	r := k.register
	if r == nil || k.told != never {
		return to
	}
	family, nobody := unique.Make(k.key.Family), unique.Make("")
	for _, m := range r.everything() {
		by := m.by
		if m == r.seed {
			by = before
		}
		next := r.superseded(by)
		switch {
		case m.stale.last != before:
			to = append(to, Lag{Family: family, Region: unique.Make(m.stale.region), Committed: m.stale.from, Lag: m.stale.last - m.stale.from})
		case m.by != never && !m.deleted && next.at != never:
			to = append(to, Lag{Family: family, Region: nobody, Committed: next.at})
		}
	}
	return to
}

// endReadLoose takes what a read without a version proves and judges it unless an operation that overlaps it is in flight.
func (j *Judge) endReadLoose(s *shard, k *keyState, op *targets.Operation, done []verdict) []verdict {
	m, f := j.placeLoose(s, k, op)
	if f != sound {
		return append(done, j.setAside(s, k, op, f, signature{}))
	}
	k.flight.remove(op.Sent, op.Seq)
	switch {
	case k.flight.oldest() > op.Returned:
		done = j.release(s, k, done)
		done = append(done, j.settleLoose(s, k, op, m))
	case !j.wait(s, &k.waiting, k, op, 0, 0, m):
		done = append(done, j.setAside(s, k, op, ordered, signature{}))
	}
	return j.release(s, k, done)
}

// settleLoose judges a read that came without a version: if by its return somebody had told a version of the key, by versions.
func (j *Judge) settleLoose(s *shard, k *keyState, op *targets.Operation, m *mark) verdict {
	if k.loose(op) {
		return j.judgeLoose(s, k, op, m)
	}
	v, f, known := j.placeVersion(k, op)
	if f != sound {
		return j.setAside(s, k, op, f, known)
	}
	return j.judge(s, k, op, v, s.sessions.before(k, op), f)
}
