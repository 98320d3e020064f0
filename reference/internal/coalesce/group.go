// Package coalesce lets callers with the same name share one answer: [Group] joins what is under
// way, [Rounds] only what begins after the caller came.
package coalesce

import (
	"context"
	"fmt"
	"sync"
)

// Group lets all callers with the same name share what one of them finds. The zero Group is ready
// for use.
type Group[T any] struct {
	// Landed is called with the readers who shared each flight, when it ends; may be nil. Set it
	// before the first use.
	Landed func(name string, readers int)

	mu sync.Mutex
	of map[string]*Flight[T]
}

// Flight is one search for an answer that several callers wait for.
type Flight[T any] struct {
	over   chan struct{} // closed after answer and err are set
	answer T
	err    error

	readers int // that share it
}

// Join gives the flight of a name; lead says that the caller has just begun it, and must end it
// with [Group.Land].
func (g *Group[T]) Join(name string) (f *Flight[T], lead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.of[name]; f != nil {
		f.readers++
		return f, false
	}
	if g.of == nil {
		g.of = map[string]*Flight[T]{}
	}
	f = &Flight[T]{over: make(chan struct{}), readers: 1}
	g.of[name] = f
	return f, true
}

// Land ends a flight with its answer.
func (g *Group[T]) Land(name string, f *Flight[T], answer T, err error) {
	g.mu.Lock()
	delete(g.of, name)
	readers := f.readers
	g.mu.Unlock()
	if g.Landed != nil {
		g.Landed(name, readers)
	}
	f.answer, f.err = answer, err
	close(f.over)
}

// Wait gives a flight's answer, or ctx's error, always when ctx had ended before. name is for the
// error.
func (f *Flight[T]) Wait(ctx context.Context, name string) (T, error) {
	if ctx.Err() == nil {
		select {
		case <-f.over:
			return f.answer, f.err
		case <-ctx.Done():
		}
	}
	var none T
	return none, fmt.Errorf("waiting for %s: %w", name, ctx.Err())
}
