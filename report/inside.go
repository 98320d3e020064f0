package report

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// invalidationLog collects what invalidation looks like from inside: commits of the source, and the tiers' word
// that they hold nothing older any more. It may be used concurrently. Its memory grows with commits and
// places, never with reads.
type invalidationLog struct {
	mu     sync.Mutex
	places []tierPlace // in the order in which they were heard of
	index  map[tierPlace]int
	holds  map[tierFamily]bool
	keys   map[targets.Key]*keyInvalidations
}

// tierFamily says that a tier holds copies of a family at all: a place of it told of one.
type tierFamily struct{ tier, family string }

// tierPlace is one memory that may hold copies: the shared cache of a region, or the memory of one worker.
type tierPlace struct{ tier, region, worker string }

func (p tierPlace) String() string {
	if p.worker != "" {
		return p.tier + " of " + p.worker
	}
	return p.tier + inRegion(p.region)
}

// keyInvalidations is the history of one key.
type keyInvalidations struct {
	commits map[uint64]time.Duration
	told    map[telling]time.Duration // when first; messages may come twice
}

// telling is the word of a place that it holds nothing older than a version.
type telling struct {
	place   int
	version uint64
}

// insideLag is the time from a commit until the last place of a tier told that it had dropped what the
// commit superseded. When open, some place never told, and the lag is at least this long.
type insideLag struct {
	key       targets.Key
	tier      string
	committed time.Duration
	lag       time.Duration
	open      bool
	last      tierPlace // to tell, or one that never did
}

func (d *invalidationLog) key(k targets.Key) *keyInvalidations {
	if d.keys == nil {
		d.keys, d.index, d.holds = map[targets.Key]*keyInvalidations{}, map[tierPlace]int{}, map[tierFamily]bool{}
	}
	h := d.keys[k]
	if h == nil {
		h = &keyInvalidations{commits: map[uint64]time.Duration{}, told: map[telling]time.Duration{}}
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
	p := tierPlace{t.Tier, t.Region, t.Worker}
	i, known := d.index[p]
	if !known {
		i = len(d.places)
		d.index[p], d.places = i, append(d.places, p)
	}
	d.holds[tierFamily{t.Tier, t.Key.Family}] = true
	id := telling{i, t.Version}
	if at, told := h.told[id]; !told || t.At < at {
		h.told[id] = t.At
	}
}

// lags gives the lag of every superseding commit in every tier that holds its family. Once a place of the
// tier has told of anything, it has to tell of each of these: nobody else knows what it holds.
func (d *invalidationLog) lags() []insideLag {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []insideLag
	for k, h := range d.keys {
		by := make([][]telling, len(d.places))
		for t := range h.told {
			by[t.place] = append(by[t.place], t)
		}
		versions := make([]uint64, 0, len(h.commits))
		for v := range h.commits {
			if v > 1 { // the first supersedes nothing
				versions = append(versions, v)
			}
		}
		slices.SortFunc(versions, func(a, b uint64) int { return cmp.Compare(b, a) })
		lags := map[string][]insideLag{} // per tier, like versions
		for i, p := range d.places {
			if !d.holds[tierFamily{p.tier, k.Family}] {
				continue
			}
			if lags[p.tier] == nil {
				lags[p.tier] = make([]insideLag, len(versions))
				for n, v := range versions {
					lags[p.tier][n] = insideLag{key: k, tier: p.tier, committed: h.commits[v], last: p}
				}
			}
			h.toldBy(p, by[i], versions, lags[p.tier])
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

// toldBy takes one place into the lags of a key's versions, newest first. A place has dropped a version's
// predecessors as soon as it told of that version or of any newer one.
func (h *keyInvalidations) toldBy(p tierPlace, told []telling, versions []uint64, lags []insideLag) {
	slices.SortFunc(told, func(a, b telling) int { return cmp.Compare(b.version, a.version) })
	first, heard, next := time.Duration(0), false, 0
	for n, v := range versions {
		for next < len(told) && told[next].version >= v {
			if at := h.told[told[next]]; !heard || at < first {
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
