package history

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Zone is what one value asks of a linearizable history (Gibbons and Korach, Testing shared
// memories, 1997). finish is the earliest end, start the latest beginning, among its write and the
// reads that answered it. If finish < start, the value was current from finish to start at least,
// and no other value was in between: a forward zone. Else the write and all reads can have happened
// at any one moment from start to finish: a backward zone.
type Zone struct {
	Finish, Start time.Duration
	Record        *WriteRecord
}

// Conflict says whether no order of the two values explains both: two forward zones overlap, or a
// backward zone lies inside a forward one. Equal stamps say nothing about order, so both
// comparisons are strict. Two backward zones never conflict: finish >= start in both contradicts
// it.
func (z Zone) Conflict(o Zone) bool { return z.Finish < o.Start && o.Finish < z.Start }

// with is the zone with a read more.
func (z Zone) with(r Interval) Zone {
	return Zone{min(z.Finish, r.End), max(z.Start, r.From), z.Record}
}

// Zone gives the write's zone, with the reads that named it.
func (m *WriteRecord) Zone() Zone { return Zone{m.By, max(m.Sent, m.Last.Sent), m} }

// Zones gives the zones of everything that certainly took effect: what was acknowledged or read.
func (r *Values) Zones() []Zone {
	var all []Zone
	if r.Seed != nil {
		all = append(all, Zone{Before, r.Seed.Last.Sent, r.Seed})
	}
	for _, m := range r.BySent {
		if m.By != Never {
			all = append(all, m.Zone())
		}
	}
	return all
}

// Conflicts gives, for each zone that conflicts with one of an earlier finish, that one and itself.
// There is one exactly if any two zones conflict. It takes O(n log n).
func Conflicts(all []Zone) (pairs [][2]Zone) {
	slices.SortFunc(all, func(a, b Zone) int {
		return cmp.Or(cmp.Compare(a.Finish, b.Finish), cmp.Compare(a.Start, b.Start), cmp.Compare(a.Record.Seq, b.Record.Seq))
	})
	last := make([]int, len(all)) // the zone of the latest start among those up to each
	for i, z := range all {
		last[i] = i
		if i > 0 && all[last[i-1]].Start >= z.Start {
			last[i] = last[i-1]
		}
	}
	for i, z := range all {
		n := i
		if z.Finish >= z.Start { // those that finish before it starts
			n = sort.Search(i, func(k int) bool { return all[k].Finish >= z.Start })
		}
		if n > 0 && all[last[n-1]].Conflict(z) {
			pairs = append(pairs, [2]Zone{all[last[n-1]], z})
		}
	}
	return pairs
}
