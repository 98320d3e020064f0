package oracle

import "github.com/cachedrill/cachedrill/targets"

// waiter is a read that ended OK and can't be judged yet.
type waiter struct {
	prev, next *waiter

	k    *keyState
	op   targets.Operation
	v    uint64 // the version that it answered, unless it is absent or the log will tell
	m    *mark  // the write whose value it answered, of a key without versions
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
