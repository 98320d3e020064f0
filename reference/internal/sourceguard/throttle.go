package sourceguard

import (
	"context"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/source"
)

// throttle bounds how many loads a worker has under way, by how fast they come back: additive
// increase while they are as fast as they can be, multiplicative decrease when they are several
// times slower, as TCP does (Chiu and Jain 1989). A caller that finds it full waits in line, or is
// refused at once when the line alone takes longer than the caller has.
type throttle struct {
	mu      sync.Mutex
	limit   float64
	inside  int
	line    []chan struct{}
	fastest map[string]time.Duration // by family: how long a load takes that does not wait
	usual   time.Duration            // moving average of all loads
	lowered time.Time
}

const (
	limitFirst = 64.0
	limitMost  = 1024.0
	slowFactor = 3    // times the fastest: then loads wait for each other at the source
	lowerBy    = 0.7  // of the limit
	forget     = 1.02 // the fastest time grows by this much a load, so that it can be learnt anew
)

func newThrottle() throttle { return throttle{limit: limitFirst, fastest: map[string]time.Duration{}} }

func (t *throttle) enter(ctx context.Context) error {
	t.mu.Lock()
	if t.inside < int(t.limit) && len(t.line) == 0 {
		t.inside++
		t.mu.Unlock()
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		// The line moves by limit loads in the time that a load takes; its own load comes on top.
		wait := time.Duration(float64(t.usual) * (float64(len(t.line)+1)/t.limit + 1))
		if wait > time.Until(deadline) {
			t.mu.Unlock()
			return source.ErrShed
		}
	}
	turn := make(chan struct{})
	t.line = append(t.line, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.line {
		if other == turn {
			t.line = append(t.line[:i], t.line[i+1:]...)
			return ctx.Err()
		}
	}
	t.inside-- // its turn came at the same moment
	t.next()
	return ctx.Err()
}

// leave takes in how long a load took, and lets the next ones in.
func (t *throttle) leave(family string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	best, known := t.fastest[family]
	if err == nil {
		t.usual += (took - t.usual) / 8
		if !known || took < best {
			best = took
		} else {
			best = time.Duration(float64(best) * forget)
		}
		t.fastest[family] = best
	}
	switch slow := err != nil || took > slowFactor*best; {
	case !slow && t.inside+1 >= int(t.limit/2): // a limit that is not used proves nothing
		t.limit = min(limitMost, t.limit+1/t.limit)
	case slow && time.Since(t.lowered) > took: // once for what was sent under the same limit
		t.limit = max(1, t.limit*lowerBy)
		t.lowered = time.Now()
	}
	t.next()
}

func (t *throttle) next() {
	for len(t.line) > 0 && t.inside < int(t.limit) {
		close(t.line[0])
		t.line = t.line[1:]
		t.inside++
	}
}
