// Package l1 is the memory of one worker.
package l1

import (
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Copy is an entry in a worker's memory. The entry is never changed once it is there.
type Copy struct {
	entry.Entry
	Name key.Name // of a copy; a floor has none
	Gaps uint64   // [Tier.Gaps] when the load or look began that made the copy; see [Tier.Suspect]

	// Asked is the worker's clock before the source confirmed the copy, for a strong family with a
	// read lease; 0: it must not be served unconfirmed.
	Asked sourceclock.Instant

	retryAt atomic.Int64 // source clock: no new background refresh before; see MayRefresh
}

// Tier is the memory of one worker. The zero Tier holds nothing: it is that of a policy without the
// l1 control.
type Tier struct {
	policy policy.Policy
	cache  *otter.Cache[string, *Copy]
	gaps   *atomic.Uint64
	clock  *lastReading
	purges *purges
}

// New makes a memory of size copies.
func New(p policy.Policy, size int) (Tier, error) {
	clock := &lastReading{}
	c, err := otter.New(&otter.Options[string, *Copy]{
		MaximumSize: size,
		Clock:       clock,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *Copy]) time.Duration {
			return time.Duration(e.Value.Meta.DropAt - e.Value.Meta.T0) // frees memory; correctness is DropAt's
		}),
	})
	if err != nil {
		return Tier{}, fmt.Errorf("making the in-process cache: %w", err)
	}
	return Tier{policy: p, cache: c, gaps: &atomic.Uint64{}, clock: clock, purges: &purges{}}, nil
}

// Get gives the copy of a key. The memory does not keep the key.
func (t *Tier) Get(k string) (*Copy, bool) {
	if t.cache == nil {
		return nil, false
	}
	return t.cache.GetIfPresent(k)
}

// Put stores a copy unless what is there is newer, in one step, or the copy was read before a purge
// of its key.
func (t *Tier) Put(k string, fresh *Copy) {
	if t.cache == nil {
		return
	}
	t.purges.mu.RLock()
	defer t.purges.mu.RUnlock()
	if fresh.Meta.Kind != policy.Floor && t.purges.bars(k, fresh.Meta.T0) {
		return
	}
	t.cache.Compute(k, func(old *Copy, found bool) (*Copy, otter.ComputeOp) {
		if found && !t.policy.Supersedes(fresh.Meta, old.Meta) {
			return old, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
}

// Replace stores a copy whatever is there.
func (t *Tier) Replace(k string, c *Copy) { t.cache.Set(k, c) }

// Delete drops what there is of a key.
func (t *Tier) Delete(k string) {
	if t.cache != nil {
		t.cache.Invalidate(k)
	}
}

// Hottest gives the copies that are read most, first the hottest, by their keys.
func (t *Tier) Hottest() iter.Seq2[string, *Copy] {
	return func(yield func(string, *Copy) bool) {
		for e := range t.cache.Hottest() {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Close ends the memory's own work.
func (t *Tier) Close() {
	if t.cache != nil {
		t.cache.StopAllGoroutines()
	}
}

// Gaps is how many gaps of the invalidation bus the worker has noticed.
func (t *Tier) Gaps() uint64 {
	if t.gaps == nil {
		return 0
	}
	return t.gaps.Load()
}

// AddGap makes everything suspect that is there, or whose load is under way: the message that would
// have dropped it may have been lost.
func (t *Tier) AddGap() {
	if t.gaps != nil {
		t.gaps.Add(1)
	}
}

// Suspect says whether a copy is from before the last gap.
func (t *Tier) Suspect(c *Copy) bool { return c.Gaps != t.gaps.Load() }

// refreshEvery is the least time between two attempts to refresh one copy in the background.
const refreshEvery = 100 * time.Millisecond

// MayRefresh gives one caller at a time the right to refresh the copy, at source time now.
func (c *Copy) MayRefresh(now int64) bool {
	at := c.retryAt.Load()
	return now >= at && c.retryAt.CompareAndSwap(at, now+int64(refreshEvery))
}

// Tick notes a reading of the worker's clock, by which memory is freed.
func (t *Tier) Tick(i sourceclock.Instant) {
	if t.clock != nil {
		t.clock.note(i)
	}
}

// lastReading is the clock by which memory is freed: the last reading that was taken for something
// else, since a reading costs as much as the rest of a hit. It may be late, which costs memory;
// what may be served is decided by exact readings.
type lastReading struct{ at atomic.Int64 }

// NowNano implements [otter.Clock].
func (c *lastReading) NowNano() int64 { return c.at.Load() }

// Tick implements [otter.Clock].
func (c *lastReading) Tick(d time.Duration) <-chan time.Time { return time.NewTicker(d).C }

// note keeps a reading. Cores would fight over the noting of every one.
func (c *lastReading) note(i sourceclock.Instant) {
	const often = int64(time.Millisecond)
	if int64(i) > c.at.Load()+often {
		c.at.Store(int64(i))
	}
}
