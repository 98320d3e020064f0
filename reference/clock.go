package reference

import (
	"sync"
	"sync/atomic"
	"time"
)

// rateError is the assumed bound on how much faster the source's clock may run than ours.
const rateError = 1e-3

// instant is a reading of the worker's monotonic clock, in nanoseconds.
type instant int64

// epoch is 0 of the process's clock. A reading of that alone costs half of what [time.Now] does.
var epoch = time.Now()

// upperClock keeps an upper bound on the source's clock from the times in its answers. An answer that
// says S to a request sent at a local instant a means that now, on the source's clock, it is at most
// S + (now - a)(1 + r): S was read after a. Wall clocks are never compared.
type upperClock struct {
	local func() time.Duration // the worker's clock; nil: the process's
	mu    sync.Mutex           // held while last is replaced
	last  atomic.Pointer[knowledge]
}

type knowledge struct {
	said  int64
	asked instant
}

// instant reads the worker's clock.
func (c *upperClock) instant() instant {
	if c.local == nil {
		return instant(time.Since(epoch))
	}
	return instant(c.local())
}

// heard takes in an answer to a request that was sent at asked.
func (c *upperClock) heard(said int64, asked instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.instant()
	if k := c.last.Load(); k == nil || bound(said, asked, now) < bound(k.said, k.asked, now) {
		c.last.Store(&knowledge{said, asked})
	}
}

// now is the bound at this moment.
func (c *upperClock) now() int64 { return c.at(c.instant()) }

// at is the bound at a local instant, by what is known now. Later knowledge may lower it: instants that
// are compared must be bounded by the same knowledge, or by ever newer one.
func (c *upperClock) at(i instant) int64 {
	k := c.last.Load()
	return bound(k.said, k.asked, i)
}

// bound adds a nanosecond: both clocks count whole ones.
func bound(said int64, asked, now instant) int64 {
	return said + int64(float64(now-asked)*(1+rateError)) + 1
}
