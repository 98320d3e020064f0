package oracle

import (
	"cmp"
	"slices"
	"sort"
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/targets"
)

// span is a version that was read proven-stale, and its last such read.
type span struct {
	v      uint64
	from   time.Duration // the earliest proof that v was superseded
	last   time.Duration // Sent of the last proven-stale read of v
	region string        // of that read
}

// staleRead notes a proven-stale read.
func (k *keyState) staleRead(d *Judgement) {
	at := sort.Search(len(k.spans), func(i int) bool { return k.spans[i].v >= d.Version })
	if at == len(k.spans) || k.spans[at].v != d.Version {
		k.spans = slices.Insert(k.spans, at, span{v: d.Version, last: before})
	}
	k.spans[at].read(d)
}

// read notes a proven-stale read. The last of a span without any is [before].
func (s *span) read(d *Judgement) {
	if s.last == before {
		s.from = d.NextAt
	}
	s.from = min(s.from, d.NextAt)
	if d.Op.Sent > s.last || d.Op.Sent == s.last && d.Op.Region < s.region {
		s.last, s.region = d.Op.Sent, d.Op.Region
	}
}

// incidents counts the maximal intervals in which the key was served proven-stale. One superseded version's interval
// lasts from the proof that it was superseded until its last stale read began; those that touch are one.
func (k *keyState) incidents() int {
	all := slices.SortedFunc(slices.Values(k.allSpans()), func(a, b span) int { return cmp.Compare(a.from, b.from) })
	n, end := 0, before
	for _, s := range all {
		if n == 0 || s.from > end {
			n++
		}
		end = max(end, s.last)
	}
	return n
}

// lags appends, for each superseded version of the key, how long it was still served. The absence before the
// first version counts only if it was read stale.
func (k *keyState) lags(to []Lag) []Lag {
	versions, spans := k.history.versions, k.spans
	to = k.lagsLoose(to)
	family, nobody := unique.Make(k.key.Family), unique.Make("")
	for i := -1; i < len(versions); i++ {
		n := uint64(0)
		if i >= 0 {
			n = versions[i].n
		}
		switch {
		case len(spans) > 0 && spans[0].v == n:
			s := spans[0]
			spans = spans[1:]
			to = append(to, Lag{Family: family, Region: unique.Make(s.region), Committed: s.from, Lag: s.last - s.from})
		case i >= 0 && i+1 < len(versions):
			to = append(to, Lag{Family: family, Region: nobody, Committed: versions[i+1].high})
		}
	}
	return to
}

// opportunity says whether the read could have exposed staleness, or a violation.
//
// Let t be the commit of the latest version that is proven to have been committed more than D before the read began, D
// being 0 for staleness and for strong families. A copy of the version before t, had it been answered, would have been proven
// to break the bound. A cache could plausibly still hold it if it outlived the time at which it should have gone, t + D, by
// less than the horizon: if t >= i - D - Horizon. With D = 0 that is a copy filled just before the commit and kept for its TTL; with
// D > 0 it is one that a tier got from another just before it should have gone, and keeps for its own TTL.
func (j *Judge) opportunity(s *shard, k *keyState, op *targets.Operation, d *Judgement) {
	superseded := func(t, within time.Duration) bool {
		if k.told > op.Returned && k.register != nil {
			return k.register.changed(t, within)
		}
		return k.history.superseded(t, within)
	}
	f := k.family
	if f.Horizon <= 0 {
		return
	}
	if d.CanBeStale = superseded(op.Sent, f.Horizon); d.CanBeStale {
		s.counts.canStale++
	}
	if !f.classed {
		return
	}
	d.CanViolate = d.CanBeStale
	if bound := f.bound(); bound > 0 {
		d.CanViolate = superseded(op.Sent-bound, f.Horizon) && (f.Class != Eventual || j.calm.longer(op.Sent, bound))
	}
	if d.CanViolate {
		s.counts.canViolate++
	}
}

// superseded says whether the latest version proven to have been committed before t was committed in [t-within, t) and
// superseded what a cache could hold: not so an initial value.
func (h *history) superseded(t, within time.Duration) bool {
	i := h.supersededBy(t)
	return i >= 0 && h.versions[i].low >= t-within && h.versions[i].low != before && !h.versions[i].initial
}
