// Package sourceclock keeps, in a worker, an upper bound on the source's clock.
package sourceclock

import (
	"sync"
	"sync/atomic"
	"time"
)

// RateError is the assumed bound on how much faster or slower than the worker's clock the source's
// clock runs.
const RateError = 1e-3

// Instant is a reading of the worker's monotonic clock, in nanoseconds.
type Instant int64

// zero is 0 of the process's clock. A reading relative to it costs half of what [time.Now] does.
var zero = time.Now()

// Clock is a worker's clock, with an upper bound on the source's clock from the times in its
// answers. An answer that says S to a request sent at a local instant a means that now, on the
// source's clock, it is at most S + (now - a)(1 + r): S was read after a. Wall clocks are never
// compared. Before the first [Clock.Learn] there is no bound.
type Clock struct {
	local func() time.Duration // the worker's clock; nil: the process's
	mu    sync.Mutex           // held while last is replaced
	last  atomic.Pointer[knowledge]
}

// knowledge is one answer of the source: its clock showed source to a question sent at asked.
type knowledge struct {
	source int64
	asked  Instant
}

// New gives a clock that reads the worker's time from local, or from the process's monotonic clock
// where that is nil.
func New(local func() time.Duration) *Clock { return &Clock{local: local} }

// Instant reads the worker's clock.
func (c *Clock) Instant() Instant {
	if c.local == nil {
		return Instant(time.Since(zero))
	}
	return Instant(c.local())
}

// Learn takes in an answer, with the source's time in it, to a request that was sent at asked.
func (c *Clock) Learn(source int64, asked Instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Instant()
	if k := c.last.Load(); k == nil || bound(source, asked, now) < bound(k.source, k.asked, now) {
		c.last.Store(&knowledge{source, asked})
	}
}

// Now is the bound at this moment, in nanoseconds of the source's clock.
func (c *Clock) Now() int64 { return c.At(c.Instant()) }

// At is the bound at a local instant, by what is known now. Later knowledge may lower it: instants
// that are compared must be bounded by the same knowledge, or by ever newer one.
func (c *Clock) At(i Instant) int64 {
	k := c.last.Load()
	return bound(k.source, k.asked, i)
}

// About is the source's clock at a local instant as it probably is, by the latest knowledge: At is
// as late as it can be.
func (c *Clock) About(i Instant) int64 {
	k := c.last.Load()
	return k.source + int64(i-k.asked)
}

// bound adds a nanosecond: both clocks count whole ones.
func bound(source int64, asked, now Instant) int64 {
	return source + int64(float64(now-asked)*(1+RateError)) + 1
}
