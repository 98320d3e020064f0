package coalesce

import (
	"context"
	"fmt"
	"sync"
)

// Rounds joins callers that need an answer to a question which was asked after they came. While one
// round is under way, all callers that come share the next one, which begins when that one has
// ended. So each name is asked for once at a time, and no caller gets what was true before it came.
// The zero Rounds are ready for use.
type Rounds[T any] struct {
	// Landed is called with the readers who shared each round, when it ends; may be nil. Set it
	// before the first use.
	Landed func(readers int)

	mu sync.Mutex
	of map[string]*round[T]
}

type round[T any] struct {
	done  chan struct{}
	value T
	err   error
	next  *round[T] // of callers that came too late for this one

	readers int // that share it
}

// Ask gives what question found in a round that began after the call. start runs a function in the
// background, or refuses with an error.
func (r *Rounds[T]) Ask(ctx context.Context, name string, start func(func()) error, question func() (T, error)) (T, error) {
	r.mu.Lock()
	if r.of == nil {
		r.of = map[string]*round[T]{}
	}
	running := r.of[name]
	var mine *round[T]
	switch {
	case running == nil:
		mine = &round[T]{done: make(chan struct{})}
		if err := start(func() { r.run(name, mine, question) }); err != nil {
			r.mu.Unlock()
			return mine.value, err
		}
		r.of[name] = mine
	case running.next == nil:
		running.next = &round[T]{done: make(chan struct{})}
		mine = running.next
	default:
		mine = running.next
	}
	mine.readers++
	r.mu.Unlock()
	if ctx.Err() == nil {
		select {
		case <-mine.done:
			return mine.value, mine.err
		case <-ctx.Done():
		}
	}
	var none T
	return none, fmt.Errorf("waiting for the source's answer about %s: %w", name, ctx.Err())
}

// run asks the question for one round, then for the callers that came meanwhile.
func (r *Rounds[T]) run(name string, now *round[T], question func() (T, error)) {
	for now != nil {
		now.value, now.err = question()
		r.mu.Lock()
		if now.next == nil {
			delete(r.of, name)
		} else {
			r.of[name] = now.next
		}
		close(now.done)
		readers := now.readers
		now = now.next
		r.mu.Unlock()
		if r.Landed != nil {
			r.Landed(readers)
		}
	}
}
