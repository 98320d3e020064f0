// Package keylock has mutexes by name that can be waited for with a context.
package keylock

import (
	"context"
	"fmt"
	"sync"
)

// Locks are mutexes by name. The zero Locks are all free.
type Locks struct {
	mu sync.Mutex
	of map[string]chan struct{} // of a held name: closed when it is freed
}

// Lock waits until the name is free, or ctx ends, and holds it until free is called.
func (l *Locks) Lock(ctx context.Context, name string) (free func(), err error) {
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
