package measure

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// invalidationLog collects what invalidation looks like from inside: commits of the source, and
// when each copyHolder dropped what they superseded. It may be used concurrently. Its memory grows
// with commits and holders, never with reads.
type invalidationLog struct {
	mu      sync.Mutex
	holders []copyHolder // in the order in which they were heard of
	index   map[copyHolder]int
	holds   map[tierFamily]bool
	keys    map[targets.Key]*keyInvalidations
}

// tierFamily says that a tier holds copies of a family at all: it has dropped one.
type tierFamily struct{ tier, family string }

// copyHolder is one memory that may hold copies: the shared cache of a region, or the memory of one
// worker.
type copyHolder struct{ tier, region, worker string }

func (p copyHolder) String() string {
	if p.worker != "" {
		return p.tier + " of " + p.worker
	}
	return p.tier + slo.InRegion(p.region)
}

// keyInvalidations is the history of one key.
type keyInvalidations struct {
	commits map[uint64]time.Duration
	drops   map[dropped]time.Duration // when first; messages may come twice
}

// dropped says that a holder holds nothing older than a version.
type dropped struct {
	holder  int
	version uint64
}

// insideLag is the time from a commit until the last holder of a tier had dropped what the commit
// superseded. When open, some holder was never heard of, and the lag is at least this long.
type insideLag struct {
	key       targets.Key
	tier      string
	committed time.Duration
	lag       time.Duration
	open      bool
	last      copyHolder // to drop it, or one that never did
}

func (d *invalidationLog) key(k targets.Key) *keyInvalidations {
	if d.keys == nil {
		d.keys, d.index, d.holds = map[targets.Key]*keyInvalidations{}, map[copyHolder]int{}, map[tierFamily]bool{}
	}
	h := d.keys[k]
	if h == nil {
		h = &keyInvalidations{commits: map[uint64]time.Duration{}, drops: map[dropped]time.Duration{}}
		d.keys[k] = h
	}
	return h
}

func (d *invalidationLog) commit(c targets.Commit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key(c.Key).commits[c.Version] = c.At
}

func (d *invalidationLog) drop(t targets.Invalidated) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.key(t.Key)
	p := copyHolder{t.Tier, t.Region, t.Worker}
	i, known := d.index[p]
	if !known {
		i = len(d.holders)
		d.index[p], d.holders = i, append(d.holders, p)
	}
	d.holds[tierFamily{t.Tier, t.Key.Family}] = true
	id := dropped{i, t.Version}
	if at, known := h.drops[id]; !known || t.At < at {
		h.drops[id] = t.At
	}
}

// lags gives the lag of every superseding commit in every tier that holds its family. A holder that
// was heard of once has to be heard of for each of these: only it knows what it holds.
func (d *invalidationLog) lags() []insideLag {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []insideLag
	for k, h := range d.keys {
		by := make([][]dropped, len(d.holders))
		for t := range h.drops {
			by[t.holder] = append(by[t.holder], t)
		}
		versions := make([]uint64, 0, len(h.commits))
		for v := range h.commits {
			if v > 1 { // the first supersedes nothing
				versions = append(versions, v)
			}
		}
		slices.SortFunc(versions, func(a, b uint64) int { return cmp.Compare(b, a) })
		lags := map[string][]insideLag{} // per tier, like versions
		for i, p := range d.holders {
			if !d.holds[tierFamily{p.tier, k.Family}] {
				continue
			}
			if lags[p.tier] == nil {
				lags[p.tier] = make([]insideLag, len(versions))
				for n, v := range versions {
					lags[p.tier][n] = insideLag{key: k, tier: p.tier, committed: h.commits[v], last: p}
				}
			}
			h.droppedBy(p, by[i], versions, lags[p.tier])
		}
		for _, l := range lags {
			out = append(out, l...)
		}
	}
	slices.SortFunc(out, func(a, b insideLag) int {
		return cmp.Or(cmp.Compare(a.committed, b.committed), cmp.Compare(a.key.String(), b.key.String()), cmp.Compare(a.tier, b.tier))
	})
	return out
}

// droppedBy takes one holder into the lags of a key's versions, newest first. A holder has dropped
// a version's predecessors as soon as it dropped those of that version or of any newer one.
func (h *keyInvalidations) droppedBy(p copyHolder, drops []dropped, versions []uint64, lags []insideLag) {
	slices.SortFunc(drops, func(a, b dropped) int { return cmp.Compare(b.version, a.version) })
	first, heard, next := time.Duration(0), false, 0
	for n, v := range versions {
		for next < len(drops) && drops[next].version >= v {
			if at := h.drops[drops[next]]; !heard || at < first {
				first, heard = at, true
			}
			next++
		}
		l := &lags[n]
		took := max(first-l.committed, 0)
		switch {
		case !heard && !l.open:
			l.open, l.last = true, p
		case heard && took >= l.lag:
			l.lag = took
			if !l.open {
				l.last = p
			}
		}
	}
}

// tierBounds bounds the inside lags of one tier, in seconds.
type tierBounds struct {
	low, high []float64
	open      int
	worst     insideLag
}

func (b *tierBounds) add(l insideLag) {
	high := l.lag.Seconds()
	if l.open {
		high = math.Inf(1)
		b.open++
	}
	b.low, b.high = append(b.low, l.lag.Seconds()), append(b.high, high)
	if len(b.low) == 1 || l.open && !b.worst.open || l.open == b.worst.open && l.lag > b.worst.lag {
		b.worst = l
	}
}

func (b *tierBounds) sort() {
	slices.Sort(b.low)
	slices.Sort(b.high)
}
