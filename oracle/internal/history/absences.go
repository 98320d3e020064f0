package history

import (
	"slices"
	"time"
)

const (
	maxAbsences = 12      // of a key, to be explained by a search
	keepAbsent  = 32      // of a key, while it is judged; what comes later may imply some
	maxCompared = 1 << 20 // pairs of zones that one search may compare
)

// Interval is that of a read.
type Interval struct{ From, End time.Duration }

// Absences is the reads of a key that answered "not found", without those whose interval contains
// another's: wherever that one can be placed, so can they. No interval is within another, so
// ordered by from they are ordered by end.
type Absences struct {
	All      []Interval
	Overflow bool
}

// Add adds a read. r, if it is not nil, is what is known of the key's values by now.
func (a *Absences) Add(from, end time.Duration, r *Values) {
	if a.Overflow {
		return
	}
	a.add(from, end)
	if len(a.All) <= keepAbsent {
		return
	}
	if r != nil {
		a.Thin(r)
	}
	if len(a.All) > keepAbsent {
		a.All, a.Overflow = nil, true
	}
}

func (a *Absences) add(from, end time.Duration) {
	at, _ := slices.BinarySearchFunc(a.All, from, func(i Interval, from time.Duration) int { return int(min(1, max(-1, i.From-from))) })
	if at < len(a.All) && a.All[at].End <= end {
		return // the first that begins no earlier ends first, too
	}
	lo := at
	for lo > 0 && a.All[lo-1].End >= end {
		lo--
	}
	hi := at
	if hi < len(a.All) && a.All[hi].From == from { // it ends later
		hi++
	}
	a.All = slices.Replace(a.All, lo, hi, Interval{from, end})
}

// Thin drops the reads that an earlier one implies: where nothing was there during that one, and no
// value can have been written from its beginning until the other's end, nothing was there during
// the other.
func (a *Absences) Thin(r *Values) {
	kept := a.All[:0]
	for _, read := range a.All {
		if len(kept) == 0 || r.MayChange(kept[len(kept)-1].From, read.End) {
			kept = append(kept, read)
		}
	}
	a.All = kept
}

// With gives the absences of both.
func (a *Absences) With(o *Absences) *Absences {
	all := &Absences{All: slices.Clone(a.All), Overflow: a.Overflow || o.Overflow}
	for _, read := range o.All {
		all.add(read.From, read.End)
	}
	return all
}

// Explained says whether the absences can be given to deletions, or to the absence before the first
// write, such that no zones conflict. zones are those of all writes that took effect, without any
// absence; no two of them conflict.
func (a *Absences) Explained(r *Values, zones []Zone) (yes, decided bool) {
	if a.Overflow || len(a.All) > maxAbsences {
		return false, false
	}
	s := search{reads: a.All, used: map[*WriteRecord]Zone{}}
	for _, z := range zones {
		if !z.Record.Deleted {
			s.values = append(s.values, z)
		}
	}
	s.deletions = append(s.deletions, r.zone(&r.Nothing, FromAll))
	for _, m := range r.Tombs {
		s.deletions = append(s.deletions, r.zone(m, FromAll))
	}
	yes = s.place(0, nil)
	return yes, yes || s.compared <= maxCompared
}

// search gives reads of an absence to deletions, in the order of time: as no read's interval is
// within another's, some linearization has them in that order if any has, and so the reads of one
// deletion follow each other.
type search struct {
	reads     []Interval
	values    []Zone
	deletions []Zone
	used      map[*WriteRecord]Zone
	compared  int
}

// place places the reads from index n on. last is the deletion that explains the one before.
func (s *search) place(n int, last *WriteRecord) bool {
	if n == len(s.reads) {
		return true
	}
	read := s.reads[n]
	for i := len(s.deletions); i >= 0; i-- { // the same as before, then from the latest
		d := Zone{Record: last}
		switch {
		case i < len(s.deletions):
			d = s.deletions[i]
			if _, taken := s.used[d.Record]; taken || d.Record.Sent > read.End {
				continue
			}
		case last == nil:
			continue
		default:
			d = s.used[last]
		}
		was, taken := s.used[d.Record]
		if with := d.with(read); s.fits(with) {
			s.used[d.Record] = with
			if s.place(n+1, d.Record) {
				return true
			}
		}
		delete(s.used, d.Record)
		if taken {
			s.used[d.Record] = was
		}
		if s.compared > maxCompared {
			return false
		}
	}
	return false
}

// fits says whether a deletion's zone conflicts with no other.
func (s *search) fits(z Zone) bool {
	s.compared += len(s.values) + len(s.deletions)
	for _, o := range s.values {
		if z.Conflict(o) {
			return false
		}
	}
	for _, o := range s.deletions {
		if with, ok := s.used[o.Record]; ok {
			o = with
		}
		if o.Record != z.Record && o.Finish != Never && z.Conflict(o) {
			return false
		}
	}
	return true
}
