package measure

import (
	"hash/maphash"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// loadCount counts the loads that arrived at the source in one phase.
type loadCount struct {
	total     int64
	seconds   map[time.Duration]int64 // arrivals by the start of their second, counted from the phase's start
	widest    targets.Load            // with the greatest width; zero while there is none
	most      int                     // what the greatest width is at most
	redundant int64
	again     targets.Load // the first redundant one
}

func (c *loadCount) add(l *targets.Load, phaseStart time.Duration, redundant bool) {
	c.total++
	if c.seconds == nil {
		c.seconds = map[time.Duration]int64{}
	}
	c.seconds[phaseStart+(l.Arrived-phaseStart).Truncate(time.Second)]++
	if l.Width > c.widest.Width {
		c.widest = *l
	}
	c.most = max(c.most, l.Width, l.Widest)
	if redundant {
		if c.redundant == 0 || l.Arrived < c.again.Arrived {
			c.again = *l
		}
		c.redundant++
	}
}

func (c *loadCount) merge(o *loadCount) {
	c.total += o.total
	for at, n := range o.seconds {
		if c.seconds == nil {
			c.seconds = map[time.Duration]int64{}
		}
		c.seconds[at] += n
	}
	if o.widest.Width > c.widest.Width {
		c.widest = o.widest
	}
	c.most = max(c.most, o.most)
	if o.redundant > 0 && (c.redundant == 0 || o.again.Arrived < c.again.Arrived) {
		c.again = o.again
	}
	c.redundant += o.redundant
}

// peak gives the fullest second and when it began; of equals the earliest.
func (c *loadCount) peak() (at time.Duration, n int64) {
	for start, k := range c.seconds {
		if k > n || k == n && start < at {
			at, n = start, k
		}
	}
	return at, n
}

// versionLog tells whether a version of a key was loaded by a region before. It remembers the two
// newest versions of each: a load that ends late, after a newer version was loaded, is still known.
// Memory grows with keys and regions, 32 bytes each; a 64-bit hash identifies them.
type versionLog struct {
	seed maphash.Seed
	seen map[uint64][2]uint64 // newest, next newest; 0 is none
}

func newVersionLog() versionLog {
	return versionLog{seed: maphash.MakeSeed(), seen: map[uint64][2]uint64{}}
}

type keyInRegion struct {
	key    targets.Key
	region string
}

// redundant notes a load and says whether its version was known to be loaded there before. A failed
// load (version 0) gave nothing, and a version older than both remembered ones is in doubt:
// neither counts.
func (v *versionLog) redundant(l *targets.Load) bool {
	if l.Version == 0 || l.Check {
		return false
	}
	h := maphash.Comparable(v.seed, keyInRegion{l.Key, l.Region})
	last := v.seen[h]
	switch {
	case l.Version == last[0] || l.Version == last[1]:
		return true
	case l.Version > last[0]:
		v.seen[h] = [2]uint64{l.Version, last[0]}
	case l.Version > last[1]:
		v.seen[h] = [2]uint64{last[0], l.Version}
	}
	return false
}

// loaded describes a load: "product:17 (tenant t3) v4 in eu at 19.412s".
func loaded(l *targets.Load) string {
	s := l.Key.String()
	if l.Version > 0 {
		s += " v" + strconv.FormatUint(l.Version, 10)
	}
	if l.Region != "" {
		s += " in " + l.Region
	}
	return s + " at " + slo.FormatMoment(l.Arrived)
}
