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

	Class   string        // of the family; empty when it has none
	Version uint64        // the version that was answered; 0 is the absence before the first
	Next    uint64        // of a stale read: a later version
	NextAt  time.Duration // of a stale read: the earliest proof that Next had been committed
	NextHow string        // of a stale read: "committed", "acknowledged" or "seen" at NextAt
	Why     string        // of an unjudged read: why it is, in words
}

// verdict is a judgement that was reached and must still be told, without a lock.
type verdict struct {
	Judgement
	family  *family
	finding finding
	history []Event   // what proves the accusation, if one is made and will be kept
	known   signature // of a conflicting answer: the value that the version is known to have
}

// endRead takes what a read proves and judges it unless an operation that overlaps it is in flight.
func (j *Judge) endRead(s *shard, k *keyState, op *targets.Operation, done []verdict) []verdict {
	if op.Reply.Version != 0 {
		k.tells(op)
	}
	if op.Reply.Absent {
		j.notFound(k, op)
	}
	if k.loose(op) {
		return j.endReadLoose(s, k, op, done)
	}
	v, f, known := j.place(s, k, op)
	if f == conflicting && op.Instance == targets.SourceInstance {
		f = j.contradicted(k, v, op)
	}
	if f != sound && f != blank || f == blank && v == 0 {
		return append(done, j.setAside(s, k, op, f, known))
	}
	base := s.sessions.before(k, op)
	if !op.Reply.Absent {
		s.sessions.saw(k, op, v)
	}
	k.flight.remove(op.Sent, op.Seq)
	switch {
	case k.flight.oldest() > op.Returned:
		done = j.release(s, k, done)
		return append(done, j.judge(s, k, op, v, base, f))
	case !j.wait(s, &k.waiting, k, op, v, base, nil):
		done = append(done, j.setAside(s, k, op, ordered, signature{}))
	}
	return j.release(s, k, done)
}

// endReadLogged judges a read if the log is complete up to its return, and lets it wait for that otherwise.
func (j *Judge) endReadLogged(s *shard, k *keyState, op *targets.Operation, done []verdict) []verdict {
	switch {
	case j.settled(k, op):
		return append(done, j.judgeLogged(s, k, op))
	case !j.wait(s, &s.waiting, k, op, 0, 0, nil):
		return append(done, j.setAside(s, k, op, ordered, signature{}))
	}
	return done
}

// wait lets a read wait, unless too many do.
func (j *Judge) wait(s *shard, q *queue, k *keyState, op *targets.Operation, v, base uint64, m *mark) bool {
	if j.waiting.Add(1) > maxWaiting {
		j.waiting.Add(-1)
		return false
	}
	w := s.spare.take()
	w.k, w.op, w.v, w.base, w.m = k, *op, v, base, m
	q.push(w)
	return true
}

// release judges the key's reads that returned before the oldest operation in flight was sent.
func (j *Judge) release(s *shard, k *keyState, done []verdict) []verdict {
	for k.waiting.first != nil && k.waiting.first.op.Returned < k.flight.oldest() {
		done = j.judgeFirst(s, &k.waiting, done)
	}
	return done
}

func (j *Judge) judgeFirst(s *shard, q *queue, done []verdict) []verdict {
	w := q.pop()
	j.waiting.Add(-1)
	switch {
	case j.cfg.Historian:
		done = append(done, j.judgeLogged(s, w.k, &w.op))
	case w.m != nil || w.k.loose(&w.op):
		done = append(done, j.settleLoose(s, w.k, &w.op, w.m))
	default:
		f := sound
		if w.op.Reply.Token == "" && !w.op.Reply.Absent {
			f = blank
		}
		base := max(w.base, s.sessions.before(w.k, &w.op)) // what ended meanwhile
		done = append(done, j.judge(s, w.k, &w.op, w.v, base, f))
	}
	s.spare.give(w)
	return done
}

func (j *Judge) judgeLogged(s *shard, k *keyState, op *targets.Operation) verdict {
	v, f, known := j.placeLogged(s, k, op)
	switch {
	case f == sound, f == blank && v != 0:
		base := s.sessions.before(k, op)
		if !op.Reply.Absent {
			s.sessions.saw(k, op, v)
		}
		return j.judge(s, k, op, v, base, f)
	case f == conflicting && op.Instance == targets.SourceInstance:
		f = j.contradicted(k, v, op)
	}
	return j.setAside(s, k, op, f, known)
}

// setAside answers a read that has no known place in the key's history.
func (j *Judge) setAside(s *shard, k *keyState, op *targets.Operation, f finding, known signature) verdict {
	d := verdict{Judgement: Judgement{Op: *op, Class: k.family.class(), Version: op.Reply.Version}, family: k.family, finding: f, known: known}
	switch f {
	case alien:
		d.Why = "another run wrote this value"
	case blank:
		d.Why = "the target told neither version nor token"
	case contradicting:
		d.Why = "the source contradicted its own history"
	case ordered:
		d.Why = "the value's place in the key's history is not known"
	}
	if d.Why != "" {
		s.counts.unjudged++
	} else if kind, ok := f.accuses(); ok && j.ledger.wants(kind, op.Sent, 0) {
		d.history = j.valueHistory(k, op, f)
	}
	return d
}

// judge answers a read of version v, unless it is absent: then of the absence most favourable to the cache. base is what
// its session is known to have seen before.
func (j *Judge) judge(s *shard, k *keyState, op *targets.Operation, v, base uint64, f finding) verdict {
	if op.Reply.Absent {
		v = k.history.absentAt(op.Returned)
	}
	d := verdict{Judgement: Judgement{Op: *op, Class: k.family.class()}, family: k.family, finding: f}
	if !k.trusted() || k.crowded {
		if op.Instance == targets.SourceInstance && k.crowded && k.trusted() {
			j.audit(k, v, op) // survival needs no answer to every read
		}
		s.counts.unjudged++
		d.Version, d.Why = op.Reply.Version, k.why()
		return d
	}
	d.Version = v
	j.compare(k, v, op, &d.Judgement)
	k.sawSource(&d.Judgement)
	if op.Reply.Absent && !j.cfg.Historian {
		if by, ok := k.excuse(op); ok {
			k.history.excused(&d.Judgement, v, by)
			base = 0 // it may be later than anything that the session saw
		}
	}
	if op.Reply.Absent && j.cfg.Historian && time.Duration(j.sealed.Load()) <= op.Returned {
		// The drill is over and the log ended before the read did: a deletion that explains it may be missing.
		if d.Answer == Stale {
			d.Answer, d.Low, d.Next, d.NextAt, d.NextHow = Indeterminate, 0, 0, 0, ""
		}
		return d
	}
	if op.Instance == targets.SourceInstance { // evidence about the source; the class binds what caches answer
		j.audit(k, v, op)
		return d
	}
	if d.Answer == Stale {
		k.stale = true
		k.staleRead(&d.Judgement)
		d.Violation = j.violates(k.family, &d.Judgement)
		if j.ledger.wants(kindStale, op.Sent, d.Low) || j.ledger.wants(kindViolation, op.Sent, d.Low) {
			d.history = j.staleHistory(k, &d.Judgement)
		}
	}
	j.opportunity(s, k, op, &d.Judgement)
	if base != 0 {
		s.counts.sessionsChecked++
		if v < base {
			s.counts.sessions++
		}
	}
	return d
}

// violates says whether a read that is stale is proven to break its family's class.
func (j *Judge) violates(f *family, d *Judgement) bool {
	return f.classed && d.Low > f.bound() && (f.Class != Eventual || j.calm.longer(d.Op.Sent, f.Within))
}

func (k *keyState) why() string {
	switch {
	case k.foreign:
		return "another run wrote to this key"
	case k.tainted:
		return "the target's answers contradict each other"
	case k.rewritten:
		return "the source contradicted its own history"
	}
	return "too many writes of unknown outcome"
}
