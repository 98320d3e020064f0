package policy

import "time"

// Circuit is a circuit breaker before a tier that may be away: after a few failures in a row no
// caller asks it for a while, then one caller at a time tries again, and the first success closes
// it. The zero Circuit is closed. Its methods give the circuit as it is afterwards; its owner makes
// that one step.
type Circuit struct {
	Failures int   // in a row
	Until    int64 // open until then, on the caller's clock in nanoseconds; 0: closed
}

const (
	opensAfter = 5
	opensFor   = int64(250 * time.Millisecond)
)

// Enter says whether a caller may ask the tier now. Of an open circuit whose time is over it lets
// one caller through, and stays open for the rest until that one's [Circuit.Left].
func (c Circuit) Enter(now int64) (Circuit, bool) {
	switch {
	case c.Until == 0:
		return c, true
	case now < c.Until:
		return c, false
	}
	c.Until = now + opensFor
	return c, true
}

// Left takes in how asking went.
func (c Circuit) Left(now int64, ok bool) Circuit {
	if ok {
		return Circuit{}
	}
	if c.Failures++; c.Failures >= opensAfter {
		c.Until = max(1, now+opensFor) // 0 means closed
	}
	return c
}
