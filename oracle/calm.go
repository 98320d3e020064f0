package oracle

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// unrest is when the world was not healthy: from the beginning of a fault until no fault was left.
type unrest struct{ from, to time.Duration }

// calm knows when the world was healthy, which is what eventual families ask.
type calm struct {
	mu     sync.Mutex
	depth  int
	latest time.Duration            // healing
	all    atomic.Pointer[[]unrest] // replaced, never changed
}

// FaultBegan says that a fault begins at this time: eventual families promise nothing from then on. It must be called before the
// fault can show in an answer. Faults may overlap; each gets its [Judge.FaultHealed].
func (j *Judge) FaultBegan(at time.Duration) {
	c := &j.calm
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.copied()
	if c.depth++; c.depth == 1 {
		all = append(all, unrest{at, never})
	}
	last := &all[len(all)-1]
	last.from = min(last.from, at)
	c.all.Store(&all)
}

// FaultHealed says that a fault that had begun was healed at this time. When none is left, eventual families have [Family.Within] to
// converge. A call without its [Judge.FaultBegan] does nothing.
func (j *Judge) FaultHealed(at time.Duration) {
	c := &j.calm
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

func (c *calm) copied() []unrest {
	if all := c.all.Load(); all != nil {
		return slices.Clone(*all)
	}
	return nil
}

// longer says whether the world had been healthy for longer than within at time t.
func (c *calm) longer(t, within time.Duration) bool {
	all := c.all.Load()
	if all == nil {
		return true
	}
	for _, u := range *all {
		if u.from <= t && u.to >= t-within {
			return false
		}
	}
	return true
}
