package oracle

import (
	"math"
	"slices"
	"sort"
	"time"
)

// before and never are the times of what has always been and of what has not happened.
const (
	before = time.Duration(math.MinInt64)
	never  = time.Duration(math.MaxInt64)
)

// proof says how a commit is known to have happened.
type proof uint8

const (
	seen         proof = iota // a read returned it
	acknowledged              // its write was acknowledged
	committed                 // the source's log says so
)

func (p proof) String() string { return [...]string{"seen", "acknowledged", "committed"}[p] }

// version is one version of a key. Its commit lies in [low, high].
type version struct {
	n     uint64
	token signature // none: deleted, or nobody told

	sent time.Duration // the commit is not before: its write's Sent, or the log's stamp; [before] for seeds
	low  time.Duration // L: the largest sent among versions <= n
	own  time.Duration // the earliest evidence of this very version
	high time.Duration // U: the earliest evidence among versions >= n
	via  uint64        // the version whose evidence high is

	since   time.Duration // the earliest Sent among the operations that told of this version
	ackedAt time.Duration // when its write's acknowledgement returned; [never] if it was not acknowledged
	last    time.Duration // the latest Sent among the reads from caches that answered it; without a historian only

	ownProof, highProof proof
	deleted             bool
	initial             bool // the first version, and not written by an operation of this run
	gone                bool // the source no longer has it, and that was counted
	contested           bool // two writes were acknowledged as this version, and that was counted
	disordered          bool // seen before its write was sent, and that was counted
}

// history holds the known versions of a key, ordered, with gaps where others are not known (yet).
//
// Invariants: low never falls and high never falls from one version to the next; low[i] = max(sent[..i]),
// high[i] = min(own[i..]). Both are kept up by walking from the change until it no longer matters,
// which is at once when things are told in about the order in which they happened.
type history struct {
	versions []version
	shown    time.Duration // no version was first told of by an operation that was sent later than this and than its own write
	tombs    []uint64      // the versions that are absences, ascending
	late     []uint64      // versions of writes that ended before or without telling their version, ascending
}

// after gives the index of the first known version greater than n, or the number of versions.
func (h *history) after(n uint64) int {
	size := len(h.versions)
	if size == 0 || h.versions[size-1].n <= n {
		return size
	}
	if back := h.versions[size-1].n - n; back <= uint64(size) { // dense from n on: the usual case
		i := size - int(back)
		if h.versions[i].n == n+1 && (i == 0 || h.versions[i-1].n <= n) {
			return i
		}
	}
	return sort.Search(size, func(i int) bool { return h.versions[i].n > n })
}

// find gives the index of version n.
func (h *history) find(n uint64) (int, bool) {
	i := h.after(n) - 1
	return i, i >= 0 && h.versions[i].n == n
}

// byToken gives the index of the latest version with this token that is known to have been committed by t.
func (h *history) byToken(token uint64, t time.Duration) (int, bool) {
	for i := len(h.versions) - 1; i >= 0; i-- {
		if v := &h.versions[i]; v.token.hash == token && !v.deleted && v.own <= t {
			return i, true
		}
	}
	return 0, false
}

// put gives the index of version n and adds it, without any evidence, if it is new.
func (h *history) put(n uint64) (i int, isNew bool) {
	i, ok := h.find(n)
	if ok {
		return i, false
	}
	i++
	v := version{n: n, sent: before, low: before, own: never, high: never, since: never, ackedAt: never, last: before}
	if i > 0 {
		v.low = h.versions[i-1].low
	}
	if i < len(h.versions) {
		next := &h.versions[i]
		v.high, v.via, v.highProof = next.high, next.via, next.highProof
	}
	if len(h.versions) == cap(h.versions) { // most keys have few: doubling would waste a third
		more := make([]version, len(h.versions), len(h.versions)+1+len(h.versions)/8)
		copy(more, h.versions)
		h.versions = more
	}
	h.versions = append(h.versions, version{})
	copy(h.versions[i+1:], h.versions[i:])
	h.versions[i] = v
	return i, true
}

// notBefore notes that version i was not committed before t.
func (h *history) notBefore(i int, t time.Duration) {
	if h.versions[i].sent >= t {
		return
	}
	h.versions[i].sent = t
	for ; i < len(h.versions) && h.versions[i].low < t; i++ {
		h.versions[i].low = t
	}
}

// by notes that version i was committed at t or before.
func (h *history) by(i int, t time.Duration, how proof) {
	v := &h.versions[i]
	if t < v.own || t == v.own && how > v.ownProof {
		v.own, v.ownProof = t, how
	}
	e := evidence{t, v.n, how}
	for ; i >= 0; i-- {
		u := &h.versions[i]
		if !e.betters(evidence{u.high, u.via, u.highProof}) {
			return
		}
		u.high, u.via, u.highProof = e.at, e.via, e.how
	}
}

// told notes that an operation sent at t told of version i.
func (h *history) told(i int, t time.Duration) {
	v := &h.versions[i]
	v.since = min(v.since, t)
	if v.since > v.sent {
		h.shown = max(h.shown, v.since)
	}
}

// bury notes that version n is an absence.
func (h *history) bury(i int) {
	v := &h.versions[i]
	if v.deleted {
		return
	}
	v.deleted = true
	h.tombs = insert(h.tombs, v.n)
}

// postpone notes that version n is of a write that ended before or without telling it.
func (h *history) postpone(n uint64) { h.late = insert(h.late, n) }

// insert keeps a list of versions ascending and free of repetitions.
func insert(list []uint64, n uint64) []uint64 {
	if i, found := slices.BinarySearch(list, n); !found {
		return slices.Insert(list, i, n)
	}
	return list
}

// absentAt gives the latest absence that can have been committed by t: the one most favourable to a
// cache that answered "not found" at t. 0 is the absence before the first version.
func (h *history) absentAt(t time.Duration) uint64 {
	for i := len(h.tombs) - 1; i >= 0; i-- {
		if at, _ := h.find(h.tombs[i]); h.versions[at].low <= t && h.versions[at].since <= t {
			return h.tombs[i]
		}
	}
	return 0
}

// visible says whether an operation sent by t told of version n.
func (h *history) visible(n uint64, t time.Duration) bool {
	i, ok := h.find(n)
	return ok && h.versions[i].since <= t
}

// createdAt says whether version i is known to be the first, and to have been written in this run.
func (h *history) createdAt(i int) bool {
	return i < len(h.versions) && h.versions[i].n == 1 && h.versions[i].sent != before
}

// evidence is the earliest proof that some version or a later one had been committed.
type evidence struct {
	at  time.Duration
	via uint64
	how proof
}

// betters says whether e is the better proof: the earlier, of two at one time the stronger kind, then the smaller version.
func (e evidence) betters(o evidence) bool {
	switch {
	case e.at != o.at:
		return e.at < o.at
	case e.how != o.how:
		return e.how > o.how
	}
	return e.via < o.via
}

// around gives what operations sent by t told about the versions before index pos and from it on: the largest
// Sent among those before, the earliest evidence of those from it on, and the index of the first of those.
func (h *history) around(pos int, t time.Duration) (low time.Duration, high evidence, next int) {
	low, high, next = before, evidence{at: never}, pos
	for next < len(h.versions) && h.versions[next].since > t {
		next++
	}
	if t >= h.shown {
		// Whatever is hidden was written by operations sent after t. None of it is before pos, for what a
		// read answered was committed by its return; and evidence of it is later than t.
		if pos > 0 {
			low = h.versions[pos-1].low
		}
		if pos < len(h.versions) {
			v := &h.versions[pos]
			high = evidence{v.high, v.via, v.highProof}
		}
		return low, high, next
	}
	for i := pos - 1; i >= 0 && h.versions[i].low > low; i-- {
		if v := &h.versions[i]; v.since <= t {
			low = max(low, v.sent)
		}
	}
	for i := next; i < len(h.versions); i++ {
		v := &h.versions[i]
		if e := (evidence{v.own, v.n, v.ownProof}); v.since <= t && e.betters(high) {
			high = e
		}
	}
	return low, high, next
}

// supersededBy gives the index of the latest version that is proven to have been committed before t, or -1.
func (h *history) supersededBy(t time.Duration) int {
	last := len(h.versions) - 1
	for i := last; i >= 0 && i > last-4; i-- {
		if h.versions[i].high < t {
			return i
		}
	}
	return sort.Search(max(0, last-3), func(i int) bool { return h.versions[i].high >= t }) - 1
}
