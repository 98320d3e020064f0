package l1

import (
	"sync"

	"github.com/maypok86/otter/v2"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Selection is what a purge selects.
type Selection interface {
	Key() string           // the one key that it selects; "": Selects decides
	Selects(k string) bool // whether a key is selected
}

// purges is what a worker's memory remembers of the purges it has heard of: a load, or a read of
// Redis, that was under way then brings an entry that was read before, and must not put it back.
type purges struct {
	mu   sync.RWMutex // held for reading while an entry is put, so that a purge comes before it or after it
	list []bar
}

// bar refuses entries of a selection that were read until then, by the source's clock.
type bar struct {
	what  Selection // nil: everything; what many purges are merged into
	until int64
}

// mostPurges bounds what is remembered. More are merged into one that bars everything: that costs
// copies, not correctness.
const mostPurges = 64

// bars says whether an entry that was read at source time t0 may not be put.
func (p *purges) bars(k string, t0 int64) bool {
	for _, b := range p.list {
		if t0 <= b.until && (b.what == nil || b.what.Selects(k)) {
			return true
		}
	}
	return false
}

// remember bars a selection's entries that were read until now, and forgets what bars nothing that
// is still alive.
func (p *purges) remember(s Selection, now, life int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.list[:0]
	for _, b := range p.list {
		if b.until+life > now {
			kept = append(kept, b)
		}
	}
	p.list = append(kept, bar{what: s, until: now})
	if len(p.list) > mostPurges {
		var merged bar
		for _, b := range p.list[:mostPurges/2] {
			merged.until = max(merged.until, b.until)
		}
		p.list = append([]bar{merged}, p.list[mostPurges/2:]...)
	}
}

// Purge drops the copies that a purge selects, and refuses those of them that were read until
// source time now. life is how long an entry can live at most, in nanoseconds. What is known about
// versions stays.
func (t *Tier) Purge(what Selection, now, life int64) {
	if t.cache == nil {
		return
	}
	t.purges.remember(what, now, life)
	var keys []string
	if one := what.Key(); one != "" {
		keys = []string{one}
	} else {
		for k := range t.cache.Keys() {
			if what.Selects(k) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		t.cache.Compute(k, func(old *Copy, found bool) (*Copy, otter.ComputeOp) {
			if !found || old.Meta.Kind == policy.Floor {
				return old, otter.CancelOp
			}
			floor := &Copy{Entry: entry.Entry{Meta: old.Meta}}
			floor.Meta.Kind = policy.Floor
			return floor, otter.WriteOp
		})
	}
}

// Purges is how many purges are remembered.
func (t *Tier) Purges() int {
	t.purges.mu.RLock()
	defer t.purges.mu.RUnlock()
	return len(t.purges.list)
}

// ForgetPurges lets entries in again that were read before a purge.
func (t *Tier) ForgetPurges() {
	t.purges.mu.Lock()
	defer t.purges.mu.Unlock()
	t.purges.list = nil
}
