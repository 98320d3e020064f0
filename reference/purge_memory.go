package reference

import (
	"sync"

	"github.com/maypok86/otter/v2"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// purges is what a worker's memory remembers of the purges it has heard of: a load, or a read of Redis, that was under way
// then brings an entry that was read before, and must not put it back.
type purges struct {
	mu   sync.RWMutex // held for reading while an entry is put, so that a purge comes before it or after it
	list []purged
}

// purged bars entries of a selection that were read until then, by the source's clock.
type purged struct {
	what  selection
	all   bool // whatever the selection; what many purges are merged into
	until int64
}

// mostPurges bounds what is remembered. More are merged into one that bars everything: that costs copies, not correctness.
const mostPurges = 64

// bars says whether an entry that was read at source time t0 may not be put.
func (p *purges) bars(k string, t0 int64) bool {
	for _, b := range p.list {
		if t0 > b.until {
			continue
		}
		if b.all {
			return true
		}
		if _, selected := b.what.owner(k); selected {
			return true
		}
	}
	return false
}

// remember bars a selection's entries that were read until now, and forgets what bars nothing that is still alive.
func (p *purges) remember(s selection, now, life int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.list[:0]
	for _, b := range p.list {
		if b.until+life > now {
			kept = append(kept, b)
		}
	}
	p.list = append(kept, purged{what: s, until: now})
	if len(p.list) > mostPurges {
		merged := purged{all: true}
		for _, b := range p.list[:mostPurges/2] {
			merged.until = max(merged.until, b.until)
		}
		p.list = append([]purged{merged}, p.list[mostPurges/2:]...)
	}
}

// forget drops the copies that a purge selects. Now is the source's clock, at the earliest; life is how long an entry can
// live at most, in nanoseconds. What was known about versions stays.
func (s l1) forget(what selection, now, life int64) {
	if s.cache == nil {
		return
	}
	s.purges.remember(what, now, life)
	var keys []string
	if what.key != "" {
		keys = []string{what.key}
	} else {
		for k := range s.cache.Keys() {
			if _, selected := what.owner(k); selected {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		s.cache.Compute(k, func(old *copied, found bool) (*copied, otter.ComputeOp) {
			if !found || old.meta.Kind == policy.Floor {
				return old, otter.CancelOp
			}
			floor := &copied{entry: entry{meta: old.meta}}
			floor.meta.Kind = policy.Floor
			return floor, otter.WriteOp
		})
	}
}

// purge forgets what a message of the bus tells to forget. A message about families that this worker has not is none of its
// business.
func (c *Cache) purge(message string) {
	families := map[string]Family{}
	life := int64(0)
	for name, f := range c.families {
		families[name] = f.Family
		life = max(life, int64(c.policy.Keep(f.Contract)))
	}
	what, err := parseSelection(message, families)
	if err != nil {
		return
	}
	c.l1.forget(what, c.clock.now(), life)
	c.watch.Purge()
}
