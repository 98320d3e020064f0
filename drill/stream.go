package drill

import (
	"context"
	"sync"
)

// Stream carries the events of one drill to any number of subscribers. Publishing takes a mutex for
// some nanoseconds a subscriber and waits for none of them: a subscriber that is slow, or gone,
// does not slow the drill down.
type Stream struct {
	mu     sync.Mutex
	subs   []*Subscription
	closed bool
}

// NewStream makes a stream without subscribers.
func NewStream() *Stream { return &Stream{} }

// pendingWindows is how many windows wait for a subscriber before its oldest is dropped: 32 s of
// them. All other events are few, and bounded by the plan and by [maxAccused]: none of them is
// dropped.
const pendingWindows = 64

// Subscription is one subscriber's queue of events.
type Subscription struct {
	mu      sync.Mutex
	queue   []Event
	windows int // in queue
	missed  int // windows dropped since the last one that was taken
	closed  bool
	wake    chan struct{} // holds at most one signal
}

// Subscribe gives every event from now on, in order.
func (s *Stream) Subscribe() *Subscription {
	sub := &Subscription{wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.closed = s.closed
	s.subs = append(s.subs, sub)
	return sub
}

// publish hands an event to every subscriber.
func (s *Stream) publish(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, sub := range s.subs {
		sub.add(e)
	}
}

// Close ends the stream: subscribers get what is still queued, and then the end. [Run] closes the
// stream that it was given.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, sub := range s.subs {
		sub.mu.Lock()
		sub.closed = true
		sub.mu.Unlock()
		sub.signal()
	}
}

func (s *Subscription) add(e Event) {
	s.mu.Lock()
	if _, is := e.(Window); is {
		if s.windows++; s.windows > pendingWindows {
			s.dropWindow()
		}
	}
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	s.signal()
}

// dropWindow drops the oldest window of the queue.
func (s *Subscription) dropWindow() {
	for i, e := range s.queue {
		if _, is := e.(Window); is {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			s.windows--
			s.missed++
			return
		}
	}
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Next gives the next event, and waits for it. ok is false once the stream has ended and its last
// event was taken, or when ctx ends. Only one goroutine may call it.
func (s *Subscription) Next(ctx context.Context) (e Event, ok bool) {
	for {
		if e, ok, ended := s.take(); ok || ended {
			return e, ok
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

func (s *Subscription) take() (e Event, ok, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		return nil, false, s.closed
	}
	e = s.queue[0]
	s.queue = s.queue[1:]
	if w, is := e.(Window); is {
		s.windows--
		w.Missed, s.missed = s.missed, 0
		e = w
	}
	return e, true, false
}
