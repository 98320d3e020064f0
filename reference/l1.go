package reference

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// copied is an entry in a worker's memory. The entry is never changed once it is there.
type copied struct {
	entry
	name    key.Name     // of a copy
	era     uint64       // of the memory when the load or look began that made it; see l1.doubt
	asked   instant      // worker's clock before the source confirmed it for a strong family that is held; 0: it may not be
	retryAt atomic.Int64 // source clock: no new background refresh before; see mayRefresh
}

// l1 is the memory of one worker.
type l1 struct {
	policy policy.Policy
	cache  *otter.Cache[string, *copied]
	era    *atomic.Uint64
	clock  *lastReading
	purges *purges
}

func newL1(p policy.Policy, size int) (l1, error) {
	clock := &lastReading{}
	c, err := otter.New(&otter.Options[string, *copied]{
		MaximumSize: size,
		Clock:       clock,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *copied]) time.Duration {
			return time.Duration(e.Value.meta.DropAt - e.Value.meta.T0) // frees memory; correctness is DropAt's
		}),
	})
	if err != nil {
		return l1{}, fmt.Errorf("making the in-process cache: %w", err)
	}
	return l1{policy: p, cache: c, era: &atomic.Uint64{}, clock: clock, purges: &purges{}}, nil
}

// lastReading is the clock by which memory is freed: the last reading that was taken for something else, since a reading
// costs as much as the rest of a hit. It may be late, which costs memory; what may be served is decided by exact readings.
type lastReading struct{ at atomic.Int64 }

// NowNano implements [otter.Clock].
func (c *lastReading) NowNano() int64 { return c.at.Load() }

// Tick implements [otter.Clock].
func (c *lastReading) Tick(d time.Duration) <-chan time.Time { return time.NewTicker(d).C }

// read notes a reading. Cores would fight over the noting of every one.
func (c *lastReading) read(i instant) {
	const often = int64(time.Millisecond)
	if int64(i) > c.at.Load()+often {
		c.at.Store(int64(i))
	}
}

// now is the era that what begins now belongs to.
func (s l1) now() uint64 {
	if s.era == nil {
		return 0
	}
	return s.era.Load()
}

// doubt puts everything in doubt that is there, or whose load is under way: the message that would have dropped it may
// have been lost.
func (s l1) doubt() {
	if s.era != nil {
		s.era.Add(1)
	}
}

func (s l1) doubted(c *copied) bool { return c.era != s.era.Load() }

// read notes a reading of the worker's clock.
func (s l1) read(i instant) {
	if s.clock != nil {
		s.clock.read(i)
	}
}

func (s l1) get(k string) (*copied, bool) {
	if s.cache == nil {
		return nil, false
	}
	return s.cache.GetIfPresent(k)
}

// put stores a copy unless what is there is newer, in one step, or it was read before a purge of it.
func (s l1) put(k string, fresh *copied) {
	if s.cache == nil {
		return
	}
	s.purges.mu.RLock()
	defer s.purges.mu.RUnlock()
	if fresh.meta.Kind != policy.Floor && s.purges.bars(k, fresh.meta.T0) {
		return
	}
	s.cache.Compute(k, func(old *copied, found bool) (*copied, otter.ComputeOp) {
		if found && !s.policy.Supersedes(fresh.meta, old.meta) {
			return old, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
}

// Between two attempts to refresh one copy in the background.
const refreshEvery = 100 * time.Millisecond

// mayRefresh gives one caller at a time the right to refresh the copy.
func (c *copied) mayRefresh(now int64) bool {
	at := c.retryAt.Load()
	return now >= at && c.retryAt.CompareAndSwap(at, now+int64(refreshEvery))
}

func (s l1) delete(k string) {
	if s.cache != nil {
		s.cache.Invalidate(k)
	}
}

func (s l1) close() {
	if s.cache != nil {
		s.cache.StopAllGoroutines()
	}
}
