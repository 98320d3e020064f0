package oracle

import (
	"cmp"
	"slices"
	"sort"
	"unique"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// staleVersion notes a proven-stale read of a version, with its evidence if that is wanted.
func (k *keyState) staleVersion(d *verdict, wanted bool) {
	at := sort.Search(len(k.staleSpans), func(i int) bool { return k.staleSpans[i].Version >= d.Version })
	if at == len(k.staleSpans) || k.staleSpans[at].Version != d.Version {
		k.staleSpans = slices.Insert(k.staleSpans, at, history.StaleSpan{Version: d.Version, Last: before})
	}
	k.staleSpans[at].Read(d.Op.Sent, d.NextAt, d.Op.Region)
	if wanted {
		d.history = k.staleHistory(&d.Judgement)
	}
}

// allSpans gives the key's proven-stale reads, with and without versions.
func (k *keyState) allSpans() []history.StaleSpan {
	r := k.values
	if r == nil {
		return k.staleSpans
	}
	all := slices.Clone(k.staleSpans)
	for _, m := range r.Everything() {
		if m.Stale.Last != before {
			all = append(all, m.Stale)
		}
	}
	return all
}

// incidents counts the maximal intervals in which the key was served proven-stale. One superseded
// version's interval lasts from the proof that it was superseded until its last stale read began;
// those that touch are one.
func (k *keyState) incidents() int {
	all := slices.SortedFunc(slices.Values(k.allSpans()), func(a, b history.StaleSpan) int { return cmp.Compare(a.From, b.From) })
	n, end := 0, before
	for _, s := range all {
		if n == 0 || s.From > end {
			n++
		}
		end = max(end, s.Last)
	}
	return n
}

// lags appends, for each superseded version of the key, how long it was still served. The absence
// before the first version counts only if it was read stale.
func (k *keyState) lags(to []Lag) []Lag {
	versions, spans := k.history.All, k.staleSpans
	to = k.valueLags(to)
	family, none := unique.Make(k.key.Family), unique.Make("")
	for i := -1; i < len(versions); i++ {
		n := uint64(0)
		if i >= 0 {
			n = versions[i].N
		}
		switch {
		case len(spans) > 0 && spans[0].Version == n:
			s := spans[0]
			spans = spans[1:]
			to = append(to, lagOf(family, s))
		case i >= 0 && i+1 < len(versions):
			to = append(to, Lag{Family: family, Region: none, Committed: versions[i+1].High})
		}
	}
	return to
}

// valueLags appends the same for each value without a version that was certainly superseded.
// Absences count only if they were read stale.
func (k *keyState) valueLags(to []Lag) []Lag {
	r := k.values
	if r == nil || k.versionedFrom != never {
		return to
	}
	family, none := unique.Make(k.key.Family), unique.Make("")
	for _, m := range r.Everything() {
		switch next := r.Next(m); {
		case m.Stale.Last != before:
			to = append(to, lagOf(family, m.Stale))
		case m.By != never && !m.Deleted && next.At != never:
			to = append(to, Lag{Family: family, Region: none, Committed: next.At})
		}
	}
	return to
}

func lagOf(family unique.Handle[string], s history.StaleSpan) Lag {
	return Lag{Family: family, Region: unique.Make(s.Region), Committed: s.From, Lag: s.Last - s.From}
}

// opportunity notes whether the read could have exposed staleness, or a violation.
//
// Let t be the commit of the latest version that is proven to have been committed more than D
// before the read began, D being 0 for staleness and for strong families. A copy of the version
// before t, had it been answered, would have been proven to break the bound. A cache could
// plausibly still hold it if it outlived the time at which it should have gone, t + D, by less than
// the horizon: if t >= i - D - Horizon. With D = 0 that is a copy filled just before the commit and
// kept for its TTL; with D > 0 it is one that a tier got from another just before it should have
// gone, and keeps for its own TTL.
func (k *keyState) opportunity(by model, op *targets.Operation, d *Judgement) {
	f := k.family
	if f.Horizon <= 0 {
		return
	}
	if d.CanBeStale = by.superseded(op.Sent, f.Horizon); d.CanBeStale {
		k.counts.canStale++
	}
	if !f.classed {
		return
	}
	d.CanViolate = d.CanBeStale
	if bound := f.bound(); bound > 0 {
		d.CanViolate = by.superseded(op.Sent-bound, f.Horizon) && (f.Class != Eventual || k.drill.health.healthy(op.Sent, op.Returned, bound))
	}
	if d.CanViolate {
		k.counts.canViolate++
	}
}
