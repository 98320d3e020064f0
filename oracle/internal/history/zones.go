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
	Last          Op   // the read that makes it last so long; its Sent is [Before] when none does
	Past          bool // that read was past the caches
}

// Answers says of which reads zones are made.
type Answers uint8

// The choices of reads.
const (
	FromAll Answers = iota
	FromCaches
	FromSource // and of what only they and acknowledgements prove
)

// Conflict says whether no order of the two values explains both: two forward zones overlap, or a
// backward zone lies inside a forward one. Equal stamps say nothing about order, so both
// comparisons are strict. Two backward zones never conflict: finish >= start in both contradicts
// it.
func (z Zone) Conflict(o Zone) bool { return z.Finish < o.Start && o.Finish < z.Start }

// with is the zone with a read more.
func (z Zone) with(r Interval) Zone {
	z.Finish, z.Start = min(z.Finish, r.End), max(z.Start, r.From)
	return z
}

// take makes the zone last until the given time, for a read's sake.
func (z *Zone) take(read Op, from time.Duration, past bool) {
	if read.Sent == Before {
		return
	}
	if z.Last.Sent == Before || from > z.Start {
		z.Last, z.Past = read, past
	}
	z.Start = max(z.Start, from)
}

// zone gives a write's zone. A read of a cache whose class allows it to be old by [Values.Within]
// asks only that its answer was current at some moment from that long before it began.
func (r *Values) zone(m *WriteRecord, of Answers) Zone {
	z := Zone{Finish: m.By, Start: m.Sent, Record: m, Last: Op{Sent: Before}}
	if of == FromSource {
		z.Finish = m.Acked
		if m.Past != nil {
			z.Finish = min(z.Finish, m.Past.By)
		}
	}
	switch {
	case m.Sent != Before || z.Finish == Never:
	case r.Within == 0 || m.Deleted:
		z.Finish = Before
	default: // what was there before the initial value may be older than the drill, and no older than the class allows
		z.Finish = min(z.Finish, r.Began)
	}
	if of != FromSource {
		z.take(m.Last, m.Last.Sent-r.Within, false)
	}
	if of != FromCaches && m.Past != nil {
		z.take(m.Past.Last, m.Past.Last.Sent, true)
	}
	return z
}

// Zones gives the zones of everything that certainly took effect: what was acknowledged or read.
func (r *Values) Zones(of Answers) []Zone {
	var all []Zone
	add := func(m *WriteRecord) {
		if z := r.zone(m, of); z.Finish != Never {
			all = append(all, z)
		}
	}
	if r.Seed != nil {
		add(r.Seed)
	}
	for _, m := range r.BySent {
		add(m)
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
