package reference

import (
	"context"
	"fmt"
	"sync"
)

// flights lets all callers with the same name share what one of them finds.
type flights struct {
	mu sync.Mutex
	of map[string]*flight

	landed func(name string, readers int) // told of each flight; may be nil
}

type flight struct {
	over   chan struct{} // closed after answer and err are set
	answer Answer
	err    error

	readers int // who share it
}

// join gives the flight of a name; lead says that the caller has just begun it, and must see that it lands.
func (g *flights) join(name string) (f *flight, lead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.of[name]; f != nil {
		f.readers++
		return f, false
	}
	if g.of == nil {
		g.of = map[string]*flight{}
	}
	f = &flight{over: make(chan struct{}), readers: 1}
	g.of[name] = f
	return f, true
}

func (g *flights) land(name string, f *flight, a Answer, err error) {
	g.mu.Lock()
	delete(g.of, name)
	readers := f.readers
	g.mu.Unlock()
	if g.landed != nil {
		g.landed(name, readers)
	}
	f.answer, f.err = a, err
	close(f.over)
}

func (f *flight) wait(ctx context.Context, name string) (Answer, error) {
	select {
	case <-f.over:
		return f.answer, f.err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("waiting for %s: %w", name, ctx.Err())
	}
}
