package oracle

import (
	"slices"
	"time"
)

const (
	maxAbsences = 12      // of a key, to be explained by a search
	keepAbsent  = 32      // of a key, while it is judged; what comes later may imply some
	maxCompared = 1 << 20 // pairs of zones that one search may compare
)

// interval is that of a read.
type interval struct{ from, end time.Duration }

// absences is the reads of a key that answered "not found", without those whose interval contains another's: wherever that
// one can be placed, so can they. No interval is within another, so ordered by from they are ordered by end.
type absences struct {
	all      []interval
	overflow bool
}

func (a *absences) add(from, end time.Duration) {
	at, _ := slices.BinarySearchFunc(a.all, from, func(i interval, from time.Duration) int { return int(min(1, max(-1, i.from-from))) })
	if at < len(a.all) && a.all[at].end <= end {
		return // the first that begins no earlier ends first, too
	}
	lo := at
	for lo > 0 && a.all[lo-1].end >= end {
		lo--
	}
	hi := at
	if hi < len(a.all) && a.all[hi].from == from { // it ends later
		hi++
	}
	a.all = slices.Replace(a.all, lo, hi, interval{from, end})
	if len(a.all) > keepAbsent {
		a.all, a.overflow = nil, true
	}
}

// explained says whether the absences can be given to deletions, or to the absence before the first write, such that no zones
// conflict. zones are those of all writes that took effect, without any absence; no two of them conflict.
func (a *absences) explained(r *register, zones []zone) (yes, decided bool) {
	if a.overflow || len(a.all) > maxAbsences {
		return false, false
	}
	s := search{reads: a.all, used: map[*mark]zone{}}
	for _, z := range zones {
		if !z.m.deleted {
			s.values = append(s.values, z)
		}
	}
	s.deletions = append(s.deletions, zone{before, before, &r.nothing})
	for _, m := range r.tombs {
		s.deletions = append(s.deletions, m.zone())
	}
	yes = s.place(0, nil)
	return yes, yes || s.compared <= maxCompared
}

// search gives reads of an absence to deletions, in the order of time: as no read's interval is within another's, some
// linearization has them in that order if any has, and so the reads of one deletion follow each other.
type search struct {
	reads     []interval
	values    []zone
	deletions []zone
	used      map[*mark]zone
	compared  int
}

// place places the reads from index n on. last is the deletion that explains the one before.
func (s *search) place(n int, last *mark) bool {
	if n == len(s.reads) {
		return true
	}
	read := s.reads[n]
	for i := len(s.deletions); i >= 0; i-- { // the same as before, then from the latest
		d := zone{m: last}
		switch {
		case i < len(s.deletions):
			d = s.deletions[i]
			if _, taken := s.used[d.m]; taken || d.m.sent > read.end {
				continue
			}
		case last == nil:
			continue
		default:
			d = s.used[last]
		}
		was, taken := s.used[d.m]
		if with := d.with(read); s.fits(with) {
			s.used[d.m] = with
			if s.place(n+1, d.m) {
				return true
			}
		}
		delete(s.used, d.m)
		if taken {
			s.used[d.m] = was
		}
		if s.compared > maxCompared {
			return false
		}
	}
	return false
}

// fits says whether a deletion's zone conflicts with no other.
func (s *search) fits(z zone) bool {
	s.compared += len(s.values) + len(s.deletions)
	for _, o := range s.values {
		if z.conflict(o) {
			return false
		}
	}
	for _, o := range s.deletions {
		if with, ok := s.used[o.m]; ok {
			o = with
		}
		if o.m != z.m && o.finish != never && z.conflict(o) {
			return false
		}
	}
	return true
}
