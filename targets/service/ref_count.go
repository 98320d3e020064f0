package service

import (
	"context"
	"sync"
)

// refCount counts the users of something, so that it can be closed after the last of them.
type refCount struct {
	mu    sync.Mutex
	users int
	idle  chan struct{} // closed when the last user leaves; nil: not waited for
}

func (c *refCount) enter() {
	c.mu.Lock()
	c.users++
	c.mu.Unlock()
}

func (c *refCount) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// drained gives a channel that is closed when there are no users.
func (c *refCount) drained() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.idle
	if idle == nil {
		idle = make(chan struct{})
	}
	if c.users == 0 {
		close(idle)
		return idle
	}
	c.idle = idle
	return idle
}

// writeBarrier lets writes through until it is raised; those that come then wait.
type writeBarrier struct {
	refCount
	raised chan struct{} // closed when the barrier is lowered; nil: it is down
}

// enter begins a write, which leave ends. It waits while the barrier is up, until ctx ends.
func (b *writeBarrier) enter(ctx context.Context) error {
	for {
		b.mu.Lock()
		raised := b.raised
		if raised == nil {
			b.users++
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		select {
		case <-raised:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// raise holds new writes back and waits for those under way. After an error the barrier is down.
func (b *writeBarrier) raise(ctx context.Context) error {
	b.mu.Lock()
	b.raised = make(chan struct{})
	b.mu.Unlock()
	select {
	case <-b.drained():
		return nil
	case <-ctx.Done():
		b.lower()
		return ctx.Err()
	}
}

func (b *writeBarrier) lower() {
	b.mu.Lock()
	close(b.raised)
	b.raised = nil
	b.mu.Unlock()
}
