package reference

import (
	"context"
	"fmt"
	"sync"
)

// rounds joins callers who need an answer to a question that was asked after they came. While one round is under way, all
// who come share the next, which begins when that one has ended: so each name is asked for once at a time, and nobody is
// told what was true before.
type rounds[T any] struct {
	mu sync.Mutex
	of map[string]*round[T]

	landed func(readers int) // told of each round; may be nil
}

type round[T any] struct {
	done  chan struct{}
	value T
	err   error
	next  *round[T] // of those who came too late for this one

	readers int // who share it
}

// ask gives what ask found, called after ask of rounds was. start runs a function in the background, or refuses to.
func (r *rounds[T]) ask(ctx context.Context, name string, start func(func()) bool, question func() (T, error)) (T, error) {
	r.mu.Lock()
	if r.of == nil {
		r.of = map[string]*round[T]{}
	}
	running := r.of[name]
	var mine *round[T]
	switch {
	case running == nil:
		mine = &round[T]{done: make(chan struct{})}
		if !start(func() { r.run(name, mine, question) }) {
			r.mu.Unlock()
			return mine.value, errClosed
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
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("waiting for the source to tell of %s: %w", name, ctx.Err())
	}
}

// run asks the question of one round, then of those who came meanwhile.
func (r *rounds[T]) run(name string, now *round[T], question func() (T, error)) {
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
		if r.landed != nil {
			r.landed(readers)
		}
	}
}

// locks are mutexes by name that can be waited for with a context.
type locks struct {
	mu sync.Mutex
	of map[string]chan struct{}
}

// take waits until nobody holds the name, and holds it until free is called.
func (l *locks) take(ctx context.Context, name string) (free func(), err error) {
	for {
		l.mu.Lock()
		if l.of == nil {
			l.of = map[string]chan struct{}{}
		}
		held, taken := l.of[name]
		if !taken {
			mine := make(chan struct{})
			l.of[name] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.of, name)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another writer of %s: %w", name, ctx.Err())
		}
	}
}
