package zoo

import (
	"context"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
)

// flights are the source reads of one key of a strong family: the one under way, and the one that
// begins when it has ended. A reader may join only a read that begins after it came: the one under
// way may have read before a write that the reader knows of.
type flights struct {
	now, next *flight
}

type flight struct {
	done   chan struct{}
	answer reference.Answer
	err    error
}

// strong reads from the source, with as few reads as correctness allows.
func (c *textbook) strong(ctx context.Context, k string, n key.Name) (reference.Answer, error) {
	c.mu.Lock()
	fs := c.flights[k]
	if fs == nil {
		fs = &flights{}
		c.flights[k] = fs
	}
	var f *flight
	switch {
	case fs.now == nil:
		f = &flight{done: make(chan struct{})}
		fs.now = f
		c.running.Go(func() { c.fly(k, n, fs) })
	case c.bugs.earlyJoin:
		f = fs.now
	case fs.next == nil:
		f = &flight{done: make(chan struct{})}
		fs.next = f
	default:
		f = fs.next
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return reference.Answer{}, ctx.Err()
	}
}

// fly reads until no reader waits any more.
func (c *textbook) fly(k string, n key.Name, fs *flights) {
	for {
		f := fs.now // set before, and changed below only
		ctx, cancel := context.WithTimeout(c.life, patience)
		f.answer, f.err = c.GetBypass(ctx, n, false)
		cancel()
		close(f.done)
		c.mu.Lock()
		fs.now, fs.next = fs.next, nil
		over := fs.now == nil
		if over {
			delete(c.flights, k)
		}
		c.mu.Unlock()
		if over {
			return
		}
	}
}
