package http

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cachedrill/cachedrill/targets"
)

// doubts are the keys whose value at the beginning of the drill is unknown. Safe for concurrent
// use.
type doubts struct {
	mu   sync.RWMutex
	keys map[targets.Key]bool
}

func (d *doubts) add(k targets.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[targets.Key]bool{}
	}
	d.keys[k] = true
}

func (d *doubts) has(k targets.Key) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[k]
}

func (d *doubts) drop(k targets.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, k)
}

// all lists the keys, in no order.
func (d *doubts) all() []targets.Key {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Keys(d.keys))
}

func (d *doubts) len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.keys)
}

// garbled counts answers that are not as they should be, and keeps the first error.
type garbled struct {
	n     atomic.Int64
	first atomic.Pointer[string]
}

func (g *garbled) add(what string) {
	g.n.Add(1)
	g.first.CompareAndSwap(nil, &what)
}
