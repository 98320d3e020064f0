package reference

import (
	"sync"
	"time"
)

// rateError is the assumed bound on how much faster the source's clock may run than ours.
const rateError = 1e-3

// upperClock keeps an upper bound on the source's clock from the times in its answers. An answer that
// says S to a request sent at a local instant a means that now, on the source's clock, it is at most
// S + (now - a)(1 + r): S was read after a. Wall clocks are never compared.
type upperClock struct {
	local func() time.Time // the worker's clock, monotonic; nil: time.Now
	mu    sync.Mutex
	said  int64
	asked time.Time
}

// heard takes in an answer to a request that was sent at asked.
func (c *upperClock) heard(said int64, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.instant()
	if c.asked.IsZero() || bound(said, asked, now) < bound(c.said, c.asked, now) {
		c.said, c.asked = said, asked
	}
}

// now is the bound at this moment.
func (c *upperClock) now() int64 { return c.at(c.instant()) }

// instant reads the worker's clock.
func (c *upperClock) instant() time.Time {
	if c.local == nil {
		return time.Now()
	}
	return c.local()
}

// at is the bound at a local instant, by what is known now. Later knowledge may lower it: instants that
// are compared must be bounded by the same knowledge, or by ever newer one.
func (c *upperClock) at(instant time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bound(c.said, c.asked, instant)
}

// bound adds a nanosecond: both clocks count whole ones.
func bound(said int64, asked, now time.Time) int64 {
	return said + int64(float64(now.Sub(asked))*(1+rateError)) + 1
}
