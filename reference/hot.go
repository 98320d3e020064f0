package reference

import "time"

// The copies that are kept hot: so many of a worker's most read ones, looked at so often.
const (
	hotNames = 64
	hotEvery = 100 * time.Millisecond
)

// keepHot renews, until the cache is closed, the copies that the worker serves most, before a reader would find that they
// have outlived their freshness.
func (c *Cache) keepHot() {
	tick := time.NewTicker(hotEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.life.Done():
			return
		}
		c.renewHottest()
	}
}

func (c *Cache) renewHottest() {
	now, n := c.clock.now(), 0
	for e := range c.l1.cache.Hottest() {
		if n++; n > hotNames {
			return
		}
		f, ok := c.families[e.Value.name.Family]
		if ok && !c.policy.Confirms(f.Contract) && c.policy.Soon(e.Value.meta, now, hotEvery) && e.Value.mayRefresh(now) {
			c.background(e.Key, e.Value.name, f.Family, e.Value.meta.T0)
		}
	}
}
