package oracle

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// zone is what one value asks of a linearizable history (Gibbons and Korach, Testing shared memories, 1997). finish is the
// earliest end, start the latest beginning, among its write and the reads that answered it. If finish < start, the value was
// current from finish to start at least, and no other value was in between: a forward zone. Else the write and all
// reads can have happened at any one moment from start to finish: a backward zone.
type zone struct {
	finish, start time.Duration
	m             *mark
}

// conflict says whether no order of the two values explains both: two forward zones overlap, or a backward zone lies
// inside a forward one. Equal stamps say nothing about order, so both comparisons are strict. Two backward zones
// never conflict: finish >= start in both contradicts it.
func (z zone) conflict(o zone) bool { return z.finish < o.start && o.finish < z.start }

// with is the zone with a read more.
func (z zone) with(r interval) zone {
	return zone{min(z.finish, r.end), max(z.start, r.from), z.m}
}

// zone gives the write's zone, with the reads that named it.
func (m *mark) zone() zone { return zone{m.by, max(m.sent, m.last.sent), m} }

// zones gives the zones of everything that certainly took effect: what was acknowledged or read.
func (r *register) zones() []zone {
	var all []zone
	if r.seed != nil {
		all = append(all, zone{before, r.seed.last.sent, r.seed})
	}
	for _, m := range r.bySent {
		if m.by != never {
			all = append(all, m.zone())
		}
	}
	return all
}

// conflicts gives, for each zone that conflicts with one of an earlier finish, that one and itself. There is one exactly if
// any two zones conflict. It takes O(n log n).
func conflicts(all []zone) (pairs [][2]zone) {
	slices.SortFunc(all, func(a, b zone) int {
		return cmp.Or(cmp.Compare(a.finish, b.finish), cmp.Compare(a.start, b.start), cmp.Compare(a.m.seq, b.m.seq))
	})
	last := make([]int, len(all)) // the zone of the latest start among those up to each
	for i, z := range all {
		last[i] = i
		if i > 0 && all[last[i-1]].start >= z.start {
			last[i] = last[i-1]
		}
	}
	for i, z := range all {
		n := i
		if z.finish >= z.start { // those that finish before it starts
			n = sort.Search(i, func(k int) bool { return all[k].finish >= z.start })
		}
		if n > 0 && all[last[n-1]].conflict(z) {
			pairs = append(pairs, [2]zone{all[last[n-1]], z})
		}
	}
	return pairs
}

// linearize accuses a key of a strong family whose history no order of its writes explains, although no read by itself is
// proven stale. It says whether that could be decided.
func (j *Judge) linearize(k *keyState) (decided bool) {
	r := k.register
	if k.stale {
		return true
	}
	all := r.zones()
	pairs := conflicts(all)
	for _, p := range pairs {
		j.accuseOrder(k, p[1].start, textZones(k.key, p[0].m, p[1].m), p[0], p[1])
	}
	if len(pairs) > 0 {
		return true
	}
	if k.absent == nil {
		return true
	}
	explained, decided := k.absent.explained(r, all)
	if decided && !explained {
		j.accuseOrder(k, k.absent.all[0].from, textAbsences(k.key, k.absent.all))
	}
	return decided
}

// accuseOrder counts a violation that no read by itself shows.
func (j *Judge) accuseOrder(k *keyState, at time.Duration, text string, of ...zone) {
	j.ledger.violations[Strong].Add(1)
	if j.ledger.count(kindViolation, at) {
		j.ledger.keep(kindViolation, k.accusation(at, targets.Operation{}, text, k.orderHistory(of...), proofOrder(of...)))
	}
}
