package oracle

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outage is when the world was not healthy: from the beginning of a fault until no fault was left.
type outage struct{ from, to time.Duration }

// healthLog knows when the world was healthy, which is what eventual families ask.
type healthLog struct {
	mu     sync.Mutex
	depth  int
	latest time.Duration            // healing
	all    atomic.Pointer[[]outage] // replaced, never changed
}

// began notes that a fault began.
func (c *healthLog) began(at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.copied()
	if c.depth++; c.depth == 1 {
		all = append(all, outage{at, never})
	}
	last := &all[len(all)-1]
	last.from = min(last.from, at)
	c.all.Store(&all)
}

// healed notes that a fault was healed.
func (c *healthLog) healed(at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.depth == 0 {
		return
	}
	c.latest = max(c.latest, at)
	if c.depth--; c.depth > 0 {
		return
	}
	all := c.copied()
	all[len(all)-1].to = c.latest
	c.all.Store(&all)
}

func (c *healthLog) copied() []outage {
	if all := c.all.Load(); all != nil {
		return slices.Clone(*all)
	}
	return nil
}

// healthy reports whether no fault was on from longer than within before from until to: from the
// beginning of a read until its return, for a fault that begins meanwhile can show in its answer.
func (c *healthLog) healthy(from, to, within time.Duration) bool {
	all := c.all.Load()
	if all == nil {
		return true
	}
	for _, u := range *all {
		if u.from <= to && u.to >= from-within {
			return false
		}
	}
	return true
}
