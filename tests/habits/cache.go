package habits

import (
	"sync"
	"time"
)

// copied is a row in the cache.
type copied struct {
	row
	until time.Time
}

// cache keeps copies of rows, by key. A correct one keeps no load that a change has overtaken.
type cache struct {
	mu      sync.Mutex
	copies  map[string]copied
	writing map[string]int // changes under way, by key
	changes map[string]int // since the start, by key
	guarded bool           // loads that were overtaken are not kept
	ttl     time.Duration  // counted from before the load
}

func newCache(ttl time.Duration, guarded bool) *cache {
	return &cache{copies: map[string]copied{}, writing: map[string]int{}, changes: map[string]int{}, guarded: guarded, ttl: ttl}
}

// find gives the copy, if there is one that may be answered.
func (c *cache) find(k string) (row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, ok := c.copies[k]
	return got.row, ok && time.Now().Before(got.until)
}

// mark is what has to be the same when a load that begins now is kept.
func (c *cache) mark(k string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes[k]
}

// keep keeps a load that began at a time, when the mark was as given.
func (c *cache) keep(k string, r row, mark int, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guarded && (c.writing[k] > 0 || c.changes[k] != mark) {
		return
	}
	c.copies[k] = copied{r, began.Add(c.ttl)}
}

// put replaces the copy by what was written.
func (c *cache) put(k string, r row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.copies[k] = copied{r, time.Now().Add(c.ttl)}
}

// begin drops the copy, and lets none be made until end.
func (c *cache) begin(k string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing[k]++
	c.changes[k]++
	delete(c.copies, k)
}

// end drops what was loaded meanwhile.
func (c *cache) end(k string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing[k]--
	c.changes[k]++
	delete(c.copies, k)
}
