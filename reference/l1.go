package reference

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// copied is an entry in a worker's memory. The entry is never changed once it is there.
type copied struct {
	entry
	retryAt atomic.Int64 // source clock: no new background refresh before; see l1.mayRefresh
}

// l1 is the memory of one worker.
type l1 struct {
	policy policy.Policy
	cache  *otter.Cache[string, *copied]
	purges *purges
}

func newL1(p policy.Policy, size int) (l1, error) {
	c, err := otter.New(&otter.Options[string, *copied]{
		MaximumSize: size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *copied]) time.Duration {
			return time.Duration(e.Value.meta.DropAt - e.Value.meta.T0) // frees memory; correctness is DropAt's
		}),
	})
	if err != nil {
		return l1{}, fmt.Errorf("making the in-process cache: %w", err)
	}
	return l1{policy: p, cache: c, purges: &purges{}}, nil
}

func (s l1) get(k string) (*copied, bool) {
	if s.cache == nil {
		return nil, false
	}
	return s.cache.GetIfPresent(k)
}

// put stores e unless what is there is newer, in one step, or e was read before a purge of it.
func (s l1) put(k string, e entry) {
	if s.cache == nil {
		return
	}
	s.purges.mu.RLock()
	defer s.purges.mu.RUnlock()
	if !e.meta.Floor && s.purges.bars(k, e.meta.T0) {
		return
	}
	fresh := &copied{entry: e}
	s.cache.Compute(k, func(old *copied, found bool) (*copied, otter.ComputeOp) {
		if found && !s.policy.Supersedes(e.meta, old.meta) {
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
