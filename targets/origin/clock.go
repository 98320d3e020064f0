package origin

import (
	"sync"
	"time"
)

// drift is by how much two monotonic clocks may run apart: NTP slews one by as much at most.
const drift = 500e-6

// loose is by how much they may do so in a while. Rounded up.
func loose(d time.Duration) time.Duration { return time.Duration(drift*float64(max(0, d))) + 1 }

// clock tells the origin's clock in terms of the harness's. Every exchange bounds how far the first
// is ahead of the second: by the time that the request took, and by the time that the answer took,
// whatever the origin did in between. Bounds of many exchanges hold together, and loosen with time
// as far as clocks may drift.
type clock struct {
	mu     sync.Mutex
	origin string        // whose clock it is
	lo, hi time.Duration // the origin's clock less the harness's lies between
	seen   time.Duration // when that held
}

// see takes in an exchange: when it was sent and when its answer was there, on the harness's clock,
// and when it came and the answer went, on the origin's.
func (c *clock) see(sent time.Duration, came, now int64, back time.Duration, origin string) {
	apart := loose(back - sent) // they were read at different moments, far apart where the origin waited for news
	lo, hi := time.Duration(now)-back-apart, time.Duration(came)-sent+apart
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.origin == origin {
		since := loose(back - c.seen)
		if l, h := max(lo, c.lo-since), min(hi, c.hi+since); l <= h {
			lo, hi = l, h
		} // else one of them stood still meanwhile: what was known before is void
	}
	c.origin, c.lo, c.hi, c.seen = origin, lo, hi, max(c.seen, back)
}

// mapping turns times of the origin's clock into the harness's. Those of now are off by no more
// than within; those of before, by what the clocks may have drifted since.
type mapping struct {
	ahead, within time.Duration
}

func (c *clock) mapping() mapping {
	c.mu.Lock()
	defer c.mu.Unlock()
	return mapping{ahead: c.lo + (c.hi-c.lo)/2, within: (c.hi - c.lo + 1) / 2}
}

func (m mapping) at(ns int64) time.Duration { return time.Duration(ns) - m.ahead }
