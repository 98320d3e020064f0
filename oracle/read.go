package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Answer says how a read's value stood when the read began.
type Answer uint8

// The answers.
const (
	Unjudged      Answer = iota // the value has no known place in the key's history
	Fresh                       // proven: it had not been superseded when the read began
	Stale                       // proven: it had been superseded before the read began
	Indeterminate               // either is consistent with everything that was observed
)

// String gives the answer as reports show it.
func (a Answer) String() string {
	switch a {
	case Unjudged:
		return "unjudged"
	case Fresh:
		return "fresh"
	case Stale:
		return "stale"
	case Indeterminate:
		return "indeterminate"
	}
	return "invalid"
}

// Judgement is what the judge says of one read.
type Judgement struct {
	Op     targets.Operation
	Answer Answer

	// Accused names what was wrong with the value itself: one of "leak", "corruption", "dirty read"; empty when
	// nothing was. Such a read is Unjudged, unless the version it claims can be judged by itself.
	Accused string

	// Low and High bound the staleness: how long before the read began its value had been superseded, 0 when it
	// had not been. High is -1 when nothing bounds it, and both are meaningless for an unjudged read.
	Low, High time.Duration

	Violation bool // the family's class was proven broken by this read

	// CanBeStale and CanViolate say whether the read could have exposed staleness, or a violation: whether a copy that
	// a cache could plausibly still hold would have been proven stale, or in violation, had it been answered.
	CanBeStale, CanViolate bool

	Class    string        // of the family; empty when it has none
	Version  uint64        // the version that was answered; 0 is the absence before the first
	Next     uint64        // of a stale read: a later version
	NextAt   time.Duration // of a stale read: the earliest proof that Next had been committed
	NextHow  string        // of a stale read: "committed", "acknowledged" or "seen" at NextAt
	Excusing string        // of an unjudged read: why, in words
}

// verdict is a judgement that was reached and must still be told, without a lock.
type verdict struct {
	Judgement
	finding finding
	known   string // of a conflicting answer: the value that the version is known to have
}

// endRead takes what a read proves and judges it unless an operation that overlaps it is in flight.
func (j *Judge) endRead(s *shard, k *keyState, op *targets.Operation, done []verdict) []verdict {
	v, f, known := j.place(s, k, op)
	if f == conflicting && op.Door == targets.SourceDoor {
		f = j.contradicted(k, v, op)
	}
	if f != sound && f != blank || f == blank && v == 0 {
		return append(done, k.setAside(s, op, f, known))
	}
	w := waiter{k: k, op: *op, v: v, base: k.sessions.before(op)}
	if !op.Reply.Absent {
		k.sessions.saw(op, v)
	}
	k.flight.remove(op.Sent, op.Seq)
	if k.flight.oldest() > op.Returned {
		return append(j.release(s, k, done), j.judge(s, &w, f))
	}
	if j.waiting.Add(1) > maxWaiting {
		j.waiting.Add(-1)
		return append(j.release(s, k, done), k.setAside(s, op, ordered, ""))
	}
	k.waiting.push(w)
	return j.release(s, k, done)
}

// endReadLogged judges a read if the log is complete up to its return, and lets it wait for that otherwise.
func (j *Judge) endReadLogged(s *shard, k *keyState, op *targets.Operation, done []verdict) []verdict {
	w := waiter{k: k, op: *op}
	if j.settled(&w) {
		return append(done, j.judgeLogged(s, &w))
	}
	if j.waiting.Add(1) > maxWaiting {
		j.waiting.Add(-1)
		return append(done, k.setAside(s, op, ordered, ""))
	}
	s.waiting.push(w)
	return done
}

// release judges the key's reads that returned before the oldest operation in flight was sent.
func (j *Judge) release(s *shard, k *keyState, done []verdict) []verdict {
	for !k.waiting.empty() && k.waiting.first().op.Returned < k.flight.oldest() {
		done = j.judgeFirst(s, &k.waiting, done)
	}
	return done
}

func (j *Judge) judgeFirst(s *shard, q *queue, done []verdict) []verdict {
	w := q.first()
	if j.cfg.Historian {
		done = append(done, j.judgeLogged(s, w))
	} else {
		f := sound
		if w.op.Reply.Token == "" && !w.op.Reply.Absent {
			f = blank
		}
		done = append(done, j.judge(s, w, f))
	}
	q.pop()
	j.waiting.Add(-1)
	return done
}

func (j *Judge) judgeLogged(s *shard, w *waiter) verdict {
	k := w.k
	v, f, known := j.placeLogged(s, k, &w.op)
	switch {
	case f == sound, f == blank && v != 0:
		w.v = v
		w.base = k.sessions.before(&w.op)
		if !w.op.Reply.Absent {
			k.sessions.saw(&w.op, v)
		}
		return j.judge(s, w, f)
	case f == conflicting && w.op.Door == targets.SourceDoor:
		f = j.contradicted(k, v, &w.op)
	}
	return k.setAside(s, &w.op, f, known)
}

// setAside answers a read that has no known place in the key's history.
func (k *keyState) setAside(s *shard, op *targets.Operation, f finding, known string) verdict {
	d := verdict{Judgement: Judgement{Op: *op, Class: k.family.class(), Version: op.Reply.Version}, finding: f, known: known}
	switch f {
	case alien:
		d.Excusing = "another run wrote this value"
	case blank:
		d.Excusing = "the target told neither version nor token"
	case contradicting:
		d.Excusing = "the source contradicted its own history"
	case ordered:
		d.Excusing = "the value's place in the key's history is not known"
	}
	if d.Excusing != "" {
		s.counts.unjudged++
	}
	return d
}

// judge answers a read whose version is known.
func (j *Judge) judge(s *shard, w *waiter, f finding) verdict {
	op, k := &w.op, w.k
	d := verdict{Judgement: Judgement{Op: *op, Class: k.family.class()}, finding: f}
	if k.unjudged() {
		if op.Door == targets.SourceDoor && k.crowded && !k.foreign && !k.rewritten {
			j.audit(k, w.answered(), op) // survival needs no answer to every read
		}
		s.counts.unjudged++
		d.Version, d.Excusing = op.Reply.Version, k.excuse()
		return d
	}
	v := w.answered()
	d.Version = v
	j.compare(k, v, op, &d.Judgement)
	if op.Reply.Absent && j.cfg.Historian && time.Duration(j.sealed.Load()) <= op.Returned {
		// The drill is over and the log ended before the read did: a deletion that explains it may be missing.
		if d.Answer == Stale {
			d.Answer, d.Low, d.Next, d.NextAt, d.NextHow = Indeterminate, 0, 0, 0, ""
		}
		return d
	}
	if op.Door == targets.SourceDoor { // evidence about the source; the class binds what caches answer
		j.audit(k, v, op)
		return d
	}
	if d.Answer == Stale {
		k.staleRead(&d.Judgement)
		d.Violation = k.family.classed && d.Low > k.family.bound()
	}
	j.opportunity(s, k, op, &d.Judgement)
	if base := max(w.base, k.sessions.before(op)); base != 0 {
		s.counts.sessionsChecked++
		if v < base {
			s.counts.sessions++
		}
	}
	return d
}

func (k *keyState) excuse() string {
	switch {
	case k.foreign:
		return "another run wrote to this key"
	case k.rewritten:
		return "the source contradicted its own history"
	}
	return "too many writes of unknown outcome"
}

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
