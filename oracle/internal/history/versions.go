package history

import (
	"slices"
	"sort"
	"time"
)

// Version is one version of a key. Its commit lies in [Low, High]. It is wide because there is one
// for each write of a drill: nested structs would pad it.
type Version struct {
	N     uint64
	Token Signature // none: deleted, or not known

	Sent time.Duration // the commit is not before: its write's Sent, or the log's stamp; [Before] for seeds
	Low  time.Duration // L: the largest sent among versions <= n
	Own  time.Duration // the earliest evidence of this very version
	High time.Duration // U: the earliest evidence among versions >= n
	Via  uint64        // the version whose evidence high is

	Since   time.Duration // the earliest Sent among the operations that carried this version
	AckedAt time.Duration // when its write's acknowledgement returned; [Never] if it was not acknowledged
	Last    time.Duration // the latest Sent among the reads from caches that answered it; without a historian only

	OwnProof, HighProof Proof
	Deleted             bool
	Initial             bool // the first version, and not written by an operation of this run
	Gone                bool // the source no longer has it, and that was counted
	Contested           bool // two writes were acknowledged as this version, and that was counted
	Disordered          bool // seen before its write was sent, and that was counted
}

// history holds the known versions of a key, ordered, with gaps where others are not known (yet).
//
// Invariants: low never falls and high never falls from one version to the next; low[i] =
// max(sent[..i]), high[i] = min(own[i..]). Both are kept up by walking from the change until it no
// longer matters, which is at once when things arrive in about the order in which they happened.
type Versions struct {
	All   []Version
	Shown time.Duration // no operation that was sent later than this and than a version's own write was the first to carry it
	Tombs []uint64      // the versions that are absences, ascending
	Late  []uint64      // versions of writes that ended before or without telling their version, ascending
}

// After gives the index of the first known version greater than n, or the number of versions.
func (h *Versions) After(n uint64) int {
	size := len(h.All)
	if size == 0 || h.All[size-1].N <= n {
		return size
	}
	if back := h.All[size-1].N - n; back <= uint64(size) { // dense from n on: the usual case
		i := size - int(back)
		if h.All[i].N == n+1 && (i == 0 || h.All[i-1].N <= n) {
			return i
		}
	}
	return sort.Search(size, func(i int) bool { return h.All[i].N > n })
}

// Find gives the index of version n.
func (h *Versions) Find(n uint64) (int, bool) {
	i := h.After(n) - 1
	return i, i >= 0 && h.All[i].N == n
}

// ByToken gives the index of the latest version with this token that is known to have been
// committed by t.
func (h *Versions) ByToken(token uint64, t time.Duration) (int, bool) {
	for i := len(h.All) - 1; i >= 0; i-- {
		if v := &h.All[i]; v.Token.Hash == token && !v.Deleted && v.Own <= t {
			return i, true
		}
	}
	return 0, false
}

// FirstLike gives the first known version with the same token as version n.
func (h *Versions) FirstLike(n uint64) uint64 {
	at, _ := h.Find(n)
	token := h.All[at].Token.Hash
	for i := range h.All {
		if v := &h.All[i]; v.Token.Hash == token && !v.Deleted {
			return v.N
		}
	}
	return n
}

// Put gives the index of version n and adds it, without any evidence, if it is new.
func (h *Versions) Put(n uint64) (i int, isNew bool) {
	i, ok := h.Find(n)
	if ok {
		return i, false
	}
	i++
	v := Version{N: n, Sent: Before, Low: Before, Own: Never, High: Never, Since: Never, AckedAt: Never, Last: Before}
	if i > 0 {
		v.Low = h.All[i-1].Low
	}
	if i < len(h.All) {
		next := &h.All[i]
		v.High, v.Via, v.HighProof = next.High, next.Via, next.HighProof
	}
	if len(h.All) == cap(h.All) { // most keys have few: doubling would waste a third
		more := make([]Version, len(h.All), len(h.All)+1+len(h.All)/8)
		copy(more, h.All)
		h.All = more
	}
	h.All = append(h.All, Version{})
	copy(h.All[i+1:], h.All[i:])
	h.All[i] = v
	return i, true
}

// NotBefore notes that version i was not committed before t.
func (h *Versions) NotBefore(i int, t time.Duration) {
	if h.All[i].Sent >= t {
		return
	}
	h.All[i].Sent = t
	for ; i < len(h.All) && h.All[i].Low < t; i++ {
		h.All[i].Low = t
	}
}

// By notes that version i was committed at t or before.
func (h *Versions) By(i int, t time.Duration, how Proof) {
	v := &h.All[i]
	if t < v.Own || t == v.Own && how > v.OwnProof {
		v.Own, v.OwnProof = t, how
	}
	e := Evidence{t, v.N, how}
	for ; i >= 0; i-- {
		u := &h.All[i]
		if !e.Betters(Evidence{u.High, u.Via, u.HighProof}) {
			return
		}
		u.High, u.Via, u.HighProof = e.At, e.Via, e.How
	}
}

// Learned notes that an operation sent at t carried version i.
func (h *Versions) Learned(i int, t time.Duration) {
	v := &h.All[i]
	v.Since = min(v.Since, t)
	if v.Since > v.Sent {
		h.Shown = max(h.Shown, v.Since)
	}
}

// Bury notes that version n is an absence.
func (h *Versions) Bury(i int) {
	v := &h.All[i]
	if v.Deleted {
		return
	}
	v.Deleted = true
	h.Tombs = insert(h.Tombs, v.N)
}

// Postpone notes that version n is of a write that ended before or without telling it.
func (h *Versions) Postpone(n uint64) { h.Late = insert(h.Late, n) }

// insert keeps a list of versions ascending and free of repetitions.
func insert(list []uint64, n uint64) []uint64 {
	if i, found := slices.BinarySearch(list, n); !found {
		return slices.Insert(list, i, n)
	}
	return list
}

// AbsentAt gives the latest absence that can have been committed by t: the one most favourable to a
// cache that answered "not found" at t. 0 is the absence before the first version.
func (h *Versions) AbsentAt(t time.Duration) uint64 {
	for i := len(h.Tombs) - 1; i >= 0; i-- {
		if at, _ := h.Find(h.Tombs[i]); h.All[at].Low <= t && h.All[at].Since <= t {
			return h.Tombs[i]
		}
	}
	return 0
}

// Visible reports whether an operation sent by t carried version n.
func (h *Versions) Visible(n uint64, t time.Duration) bool {
	i, ok := h.Find(n)
	return ok && h.All[i].Since <= t
}

// CreatedAt says whether version i is known to be the first, and to have been written in this run.
func (h *Versions) CreatedAt(i int) bool {
	return i < len(h.All) && h.All[i].N == 1 && h.All[i].Sent != Before
}

// Around gives what operations sent by t showed of the versions before index pos and from it on:
// the largest Sent among those before, the earliest evidence of those from it on, and the index of
// the first of those.
func (h *Versions) Around(pos int, t time.Duration) (low time.Duration, high Evidence, next int) {
	low, high, next = Before, Evidence{At: Never}, pos
	for next < len(h.All) && h.All[next].Since > t {
		next++
	}
	if t >= h.Shown {
		// Whatever is hidden was written by operations sent after t. None of it is before pos, for
		// what a read answered was committed by its return; and evidence of it is later than t.
		if pos > 0 {
			low = h.All[pos-1].Low
		}
		if pos < len(h.All) {
			v := &h.All[pos]
			high = Evidence{v.High, v.Via, v.HighProof}
		}
		return low, high, next
	}
	for i := pos - 1; i >= 0 && h.All[i].Low > low; i-- {
		if v := &h.All[i]; v.Since <= t {
			low = max(low, v.Sent)
		}
	}
	for i := next; i < len(h.All); i++ {
		v := &h.All[i]
		if e := (Evidence{v.Own, v.N, v.OwnProof}); v.Since <= t && e.Betters(high) {
			high = e
		}
	}
	return low, high, next
}

// SupersededBy gives the index of the latest version that is proven to have been committed before
// t, or -1.
func (h *Versions) SupersededBy(t time.Duration) int {
	last := len(h.All) - 1
	for i := last; i >= 0 && i > last-4; i-- {
		if h.All[i].High < t {
			return i
		}
	}
	return sort.Search(max(0, last-3), func(i int) bool { return h.All[i].High >= t }) - 1
}

// Superseded says whether the latest version proven to have been committed before t was committed
// in [t-within, t) and superseded what a cache could hold: not so an initial value.
func (h *Versions) Superseded(t, within time.Duration) bool {
	i := h.SupersededBy(t)
	return i >= 0 && h.All[i].Low >= t-within && h.All[i].Low != Before && !h.All[i].Initial
}

// Following gives the earliest evidence of a version that follows v and whatever was committed by
// the given time, and the index of the first such version, as operations sent by t showed it.
func (h *Versions) Following(v uint64, by, t time.Duration) (e Evidence, first int) {
	pos := h.After(v)
	low, _, _ := h.Around(pos, t)
	e, first = Evidence{At: Never}, len(h.All)
	for i := pos; i < len(h.All); i++ {
		w := &h.All[i]
		if w.Since > t {
			continue
		}
		if low = max(low, w.Sent); low <= by {
			continue
		}
		first = min(first, i)
		if own := (Evidence{w.Own, w.N, w.OwnProof}); own.Betters(e) {
			e = own
		}
	}
	return e, first
}

// Relax notes that version i may have been committed as early as t.
func (h *Versions) Relax(i int, t time.Duration) {
	if h.All[i].Sent <= t {
		return
	}
	h.All[i].Sent = t
	low := Before
	if i > 0 {
		low = h.All[i-1].Low
	}
	for ; i < len(h.All); i++ {
		low = max(low, h.All[i].Sent)
		h.All[i].Low = low
	}
}
