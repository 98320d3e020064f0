// Package background runs the background work of one value, and ends it with the value.
package background

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is the answer to what needs background work after [Group.Close].
var ErrClosed = errors.New("the cache is closed")

// Group is the background work of one owner. Make it with [New].
type Group struct {
	life    context.Context
	end     context.CancelFunc
	closing sync.RWMutex // held for reading while something joins running
	running sync.WaitGroup
}

// New gives a group whose work may begin.
func New() *Group {
	g := &Group{}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// Context ends when the group is closed.
func (g *Group) Context() context.Context { return g.life }

// Begin counts one piece of work, unless the group is closed. [Group.Done] must be called when the
// work has ended.
func (g *Group) Begin() bool {
	g.closing.RLock()
	defer g.closing.RUnlock()
	if g.life.Err() != nil {
		return false
	}
	g.running.Add(1)
	return true
}

// Done ends a piece of work that has begun.
func (g *Group) Done() { g.running.Done() }

// Go runs work in a goroutine of the group. [ErrClosed] says that the group is closed, and nothing
// runs.
func (g *Group) Go(work func()) error {
	if !g.Begin() {
		return ErrClosed
	}
	go func() {
		defer g.Done()
		work()
	}()
	return nil
}

// Close ends the context and waits for all work that has begun.
func (g *Group) Close() {
	g.closing.Lock()
	g.end()
	g.closing.Unlock()
	g.running.Wait()
}

// Sleep waits for d, or until ctx ends: then it gives ctx's error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
