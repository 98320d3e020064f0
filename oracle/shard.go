package oracle

import (
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

const shardCount = 64 // a power of two

// shard holds the keys whose hash falls to it, and what is counted of them.
type shard struct {
	mu       sync.Mutex
	keys     map[uint64]*keyState // by hash; keys with the same hash are chained
	drill    *drillState
	waiting  queue // reads that wait for the source's log
	spare    spare
	sessions sessions
	counts   counts
	_        [64]byte // keep neighbours' locks on other cache lines
}

// find gives the key's state; nil if the key is new.
func (s *shard) find(hash uint64, key targets.Key) *keyState {
	for k := s.keys[hash]; k != nil; k = k.chain {
		if k.key == key {
			return k
		}
	}
	return nil
}

// add makes the state of a new key.
func (s *shard) add(hash uint64, key targets.Key, f *family) *keyState {
	k := newKey(key, hash, f, s.drill, &s.counts)
	k.chain, s.keys[hash] = s.keys[hash], k
	return k
}

// endRead takes what a read proves, and judges it unless something that bears on it is still to
// come: an operation in flight that overlaps it, or the source's log.
func (s *shard) endRead(k *keyState, op *targets.Operation, done []verdict) []verdict {
	if !s.drill.cfg.Historian && op.Reply.Version != 0 {
		k.versioned(op)
	}
	by := k.model(op)
	m := by.match(op)
	if m.finding == unsealed {
		if !s.wait(&s.waiting, k, op, m, 0) {
			return append(done, k.setAside(op, match{finding: unplaced}))
		}
		return done
	}
	k.countClaims(op)
	if !m.placed() {
		return append(done, k.setAside(op, m))
	}
	if op.Reply.Absent {
		k.notFound(op)
	}
	base := s.sessions.note(k, op, m)
	k.inflight.Remove(op.Sent, op.Seq)
	switch {
	case k.inflight.Oldest() > op.Returned:
		done = s.release(k, done)
		done = s.judge(by, k, op, m, base, done)
	case !s.wait(&k.waiting, k, op, m, base):
		done = append(done, k.setAside(op, match{finding: unplaced}))
	}
	return s.release(k, done)
}

// wait lets a read wait, unless too many do.
func (s *shard) wait(q *queue, k *keyState, op *targets.Operation, m match, base uint64) bool {
	if s.drill.waiting.Add(1) > maxWaiting {
		s.drill.waiting.Add(-1)
		return false
	}
	w := s.spare.take()
	w.k, w.op, w.match, w.base = k, *op, m, base
	q.push(w)
	return true
}

// release judges the key's reads that returned before the oldest operation in flight was sent.
func (s *shard) release(k *keyState, done []verdict) []verdict {
	for k.waiting.first != nil && k.waiting.first.op.Returned < k.inflight.Oldest() {
		done = s.judgeFirst(&k.waiting, done)
	}
	return done
}

// releaseSealed judges the reads about which the log can add nothing.
func (s *shard) releaseSealed(done []verdict) []verdict {
	for w := s.waiting.first; w != nil && (logModel{w.k}).settled(&w.op); w = s.waiting.first {
		done = s.judgeFirst(&s.waiting, done)
	}
	return done
}

// judgeFirst judges the read that returned first, by the model that suits what is known by now.
func (s *shard) judgeFirst(q *queue, done []verdict) []verdict {
	w := q.pop()
	s.drill.waiting.Add(-1)
	k, op, m := w.k, &w.op, w.match
	by, base := k.model(op), w.base
	switch {
	case m.finding == unsealed:
		m = by.match(op)
		k.countClaims(op)
		if m.placed() {
			base = s.sessions.note(k, op, m)
		}
	default:
		base = max(base, s.sessions.before(k, op))                    // what ended meanwhile
		if _, values := by.(valueModel); m.record != nil && !values { // by now the key's versions are known
			m = by.match(op)
		}
	}
	if m.placed() {
		done = s.judge(by, k, op, m, base, done)
	} else {
		done = append(done, k.setAside(op, m))
	}
	s.spare.give(w)
	return done
}

// setAside answers a read that has no known place in the key's history.
func (k *keyState) setAside(op *targets.Operation, m match) verdict {
	d := verdict{
		Judgement: Judgement{Op: *op, Class: k.family.class(), Version: op.Reply.Version},
		family:    k.family, finding: m.finding, known: m.known,
	}
	if d.Why = m.finding.excuse(); d.Why != "" {
		k.counts.unjudged++
	} else if kind, ok := m.finding.accuses(); ok && k.drill.accused.wants(kind, op.Sent, 0) {
		d.history = k.wrongHistory(op, m.finding)
	}
	return d
}

// judge answers a read. base is the latest version that its session is known to have seen before.
func (s *shard) judge(by model, k *keyState, op *targets.Operation, m match, base uint64, done []verdict) []verdict {
	done = append(done, verdict{})
	d := &done[len(done)-1]
	d.Op, d.Class, d.family, d.finding, d.base = *op, k.family.class(), k.family, m.finding, base
	if d.Why = by.unjudged(); d.Why != "" {
		k.counts.unjudged++
		if op.Instance == targets.SourceInstance && k.crowded && k.trusted() {
			by.audit(m, d) // survival needs no answer to every read
		}
		d.Version = op.Reply.Version
		return done
	}
	by.compare(m, d)
	switch {
	case d.logEnded:
		return done
	case op.Instance == targets.SourceInstance: // evidence about the source; the class binds what caches answer
		by.audit(m, d)
		return done
	}
	if d.Answer == Stale {
		d.Violation = k.violates(&d.Judgement)
		k.violated = k.violated || d.Violation
		by.stale(m, d, k.keepsStale(&d.Judgement))
	}
	k.opportunity(by, op, &d.Judgement)
	if d.base != 0 {
		k.counts.sessionsChecked++
		if d.Version < d.base {
			k.counts.sessions++
		}
	}
	return done
}

// notFound notes an answer "not found" of a family with a class: together they must be explained,
// and one of them may leave only one absence for another.
func (k *keyState) notFound(op *targets.Operation) {
	if !k.family.classed || k.drill.cfg.Historian || k.values == nil && !k.family.strong() {
		return
	}
	from, ok := k.promised(op)
	past := op.Instance == targets.SourceInstance
	switch {
	case !past && !ok, past && k.values == nil:
		return
	case k.absences == nil:
		k.absences = &notFound{}
	}
	if past {
		k.absences.past.Add(op.Sent, op.Returned, k.values)
	} else {
		k.absences.cached.Add(from, op.Returned, k.values)
	}
}

// waiter is a read that ended OK and can't be judged yet.
type waiter struct {
	prev, next *waiter

	k  *keyState
	op targets.Operation
	match
	base uint64 // the latest version that its session is known to have seen before
}

// queue is reads that wait, by Returned. They come in about that order.
type queue struct{ first, last *waiter }

// push puts a read behind those that returned no later.
func (q *queue) push(w *waiter) {
	after := q.last
	for after != nil && after.op.Returned > w.op.Returned {
		after = after.prev
	}
	w.prev = after
	if after == nil {
		w.next, q.first = q.first, w
	} else {
		w.next, after.next = after.next, w
	}
	if w.next == nil {
		q.last = w
	} else {
		w.next.prev = w
	}
}

// pop takes the read that returned first.
func (q *queue) pop() *waiter {
	w := q.first
	q.first = w.next
	if q.first == nil {
		q.last = nil
	} else {
		q.first.prev = nil
	}
	w.next = nil
	return w
}

// maxSpare is how many waiters a shard keeps for reuse.
const maxSpare = 4096

// spare is waiters for reuse. What they refer to is let go when they are used again.
type spare struct {
	top *waiter
	n   int
}

func (s *spare) take() *waiter {
	w := s.top
	if w == nil {
		return &waiter{}
	}
	s.top, w.next = w.next, nil
	s.n--
	return w
}

func (s *spare) give(w *waiter) {
	if s.n < maxSpare {
		w.prev, w.next, s.top = nil, s.top, w
		s.n++
	}
}
