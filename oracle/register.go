package oracle

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// mark is one write of a key whose versions nobody tells. Its commit lies in [sent, by], if it was committed at all.
type mark struct {
	seq     uint64
	sent    time.Duration // [before] for an initial value
	acked   time.Duration // when its acknowledgement returned; [never] if it was not acknowledged
	by      time.Duration // U: the earliest return among its acknowledgement and the reads that answered it
	byProof proof
	state   fate
	deleted bool // it is a deletion
	gone    bool // the source no longer has it, and that was counted

	rejected bool          // it was promised to be without effect, and was read
	since    time.Duration // the earliest Sent among the reads that answered it: for those that returned earlier, a rejected one does not exist

	reach time.Duration // at least the largest finite by among the writes sent no later
	next  evidence      // the earliest by among the writes sent no earlier, in the order of register.bySent
	peak  time.Duration // of a deletion: the largest acked among the deletions sent no later

	last  aloft // of the reads from caches that answered it, the one that began last; its sent is [before] when none did
	stale span  // its proven-stale reads; last is [before] when there are none
}

// register is what is known of a key whose target tells values but no versions.
type register struct {
	bySent  []*mark // without the initial value; of equal sent, by seq
	bySeq   []*mark // the same
	tombs   []*mark // the deletions among them, by sent
	pending []*mark // those in flight, and those of unknown outcome that nobody has read
	seed    *mark   // the initial value, once it was read
	nothing mark    // the absence before the first write

	unresolved int  // ended ones in pending
	crowded    bool // too many of them
}

func newRegister() *register {
	r := &register{nothing: newMark(targets.SeedSeq, before)}
	r.nothing.by, r.nothing.deleted = before, true
	return r
}

func newMark(seq uint64, sent time.Duration) mark {
	return mark{
		seq: seq, sent: sent, acked: never, by: never, since: never, reach: before, peak: before,
		next: evidence{at: never}, last: aloft{sent: before}, stale: span{last: before},
	}
}

// find gives the write with this number.
func (r *register) find(seq uint64) (*mark, bool) {
	i, ok := r.search(seq)
	if !ok {
		return nil, false
	}
	return r.bySeq[i], true
}

// add adds a write in flight.
func (r *register) add(seq uint64, sent time.Duration, deleted bool) *mark {
	i, known := r.search(seq)
	if known { // the caller began it twice
		return r.bySeq[i]
	}
	n := newMark(seq, sent)
	m := &n
	m.deleted = deleted
	r.bySeq = slices.Insert(r.bySeq, i, m)
	i = r.after(sent)
	for i > 0 && r.bySent[i-1].sent == sent && r.bySent[i-1].seq > seq {
		i--
	}
	if i > 0 {
		m.reach = r.bySent[i-1].reach
	}
	if i < len(r.bySent) {
		m.next = r.bySent[i].next
	}
	r.bySent = slices.Insert(r.bySent, i, m)
	if deleted {
		i = r.tombsBy(sent)
		if i > 0 {
			m.peak = r.tombs[i-1].peak
		}
		r.tombs = slices.Insert(r.tombs, i, m)
	}
	r.pending = append(r.pending, m)
	return m
}

// remove forgets a write of which there is no evidence.
func (r *register) remove(m *mark) {
	if i, ok := r.search(m.seq); ok {
		r.bySeq = slices.Delete(r.bySeq, i, i+1)
	}
	i := r.index(m)
	r.bySent = slices.Delete(r.bySent, i, i+1)
	if m.deleted {
		i := r.tomb(m)
		r.tombs = slices.Delete(r.tombs, i, i+1)
	}
	r.land(m)
}

// land notes that a write is no longer pending.
func (r *register) land(m *mark) {
	r.pending = slices.DeleteFunc(r.pending, func(o *mark) bool { return o == m })
}

// search gives the index of a write in bySeq, or where it belongs.
func (r *register) search(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(r.bySeq, seq, func(m *mark, seq uint64) int { return cmp.Compare(m.seq, seq) })
}

// index gives the index of a write in bySent.
func (r *register) index(m *mark) int {
	i := r.after(m.sent) - 1
	for r.bySent[i] != m {
		i--
	}
	return i
}

// tomb gives the index of a deletion in tombs.
func (r *register) tomb(m *mark) int {
	i := r.tombsBy(m.sent) - 1
	for r.tombs[i] != m {
		i--
	}
	return i
}

// end notes how a write ended. It says whether a write that was promised to be without effect had been read.
func (r *register) end(op *targets.Operation) (falselyRejected bool) {
	m, ok := r.find(op.Seq)
	if !ok {
		m = r.add(op.Seq, op.Sent, op.Kind == targets.Delete)
	}
	switch op.Outcome {
	case targets.OK:
		m.state, m.acked = unplaced, op.Returned
		r.proven(m, op.Returned, acknowledged)
		r.endDeletion(m, op.Returned)
	case targets.Failed:
		if m.by == never {
			r.remove(m)
			return false
		}
		m.state, m.rejected = unknown, true
		return true
	default:
		m.state = unknown
		r.endDeletion(m, never)
		if m.by != never {
			break
		}
		if r.unresolved++; r.unresolved > maxUnplaced {
			r.crowded = true
			r.unresolved--
			r.remove(m)
		}
	}
	return false
}

// endDeletion notes that a deletion was acknowledged at t, or, with [never], that nobody knows whether it was done.
func (r *register) endDeletion(m *mark, t time.Duration) {
	if !m.deleted {
		return
	}
	for i := r.tomb(m); i < len(r.tombs) && r.tombs[i].peak < t; i++ {
		r.tombs[i].peak = t
	}
}

// close takes what is still in flight as of unknown outcome.
func (r *register) close() {
	for _, m := range r.pending {
		r.endDeletion(m, never)
	}
}

// proven notes that a write had been committed by t.
func (r *register) proven(m *mark, t time.Duration, how proof) {
	e := evidence{at: t, via: m.seq, how: how}
	if !e.betters(evidence{m.by, m.seq, m.byProof}) {
		return
	}
	if m.by == never {
		if m.state == unknown {
			r.unresolved--
		}
		r.land(m)
	}
	m.by, m.byProof = t, how
	if m == r.seed {
		return
	}
	at := r.index(m)
	for i := at; i < len(r.bySent) && r.bySent[i].reach < t; i++ {
		r.bySent[i].reach = t
	}
	for i := at; i >= 0 && e.betters(r.bySent[i].next); i-- {
		r.bySent[i].next = e
	}
}

// after gives the index of the first write that was sent after t.
func (r *register) after(t time.Duration) int {
	n := len(r.bySent)
	for back := 0; back < 4; back++ { // mostly it is about the latest
		if n-back == 0 || r.bySent[n-back-1].sent <= t {
			return n - back
		}
	}
	return sort.Search(n, func(i int) bool { return r.bySent[i].sent > t })
}

// tombsBy gives the number of deletions that were sent by t.
func (r *register) tombsBy(t time.Duration) int {
	return sort.Search(len(r.tombs), func(i int) bool { return r.tombs[i].sent > t })
}

// superseded gives the earliest evidence of a write that certainly follows whatever was committed by t.
func (r *register) superseded(t time.Duration) evidence {
	if i := r.after(t); i < len(r.bySent) {
		return r.bySent[i].next
	}
	return evidence{at: never}
}

// first gives the earliest time at which a write can have superseded v, as operations sent by t know it; a deletion does
// not supersede a deletion.
func (r *register) first(v *mark, t time.Duration) time.Duration {
	counts := func(x *mark) bool { return x != v && !(x.rejected && x.since > t) && !(x.deleted && v.deleted) }
	for _, x := range r.pending {
		if x.sent <= v.sent && counts(x) {
			return v.sent
		}
	}
	at := r.after(v.sent)
	for i := at - 1; i >= 0 && r.bySent[i].reach >= v.sent; i-- {
		if x := r.bySent[i]; x.by >= v.sent && counts(x) {
			return v.sent
		}
	}
	for _, x := range r.bySent[at:] {
		if counts(x) {
			return x.sent
		}
	}
	return never
}

// absentBy gives the time by which the absence that is most favourable to an answer "not found" at t was committed: of the
// deletions that can explain it the last, or, with [before], the absence before the first write.
func (r *register) absentBy(t time.Duration) time.Duration {
	n := r.tombsBy(t)
	if n == 0 {
		return before
	}
	return min(r.tombs[n-1].peak, t)
}

// certainAbsence gives the last absence that was certainly committed by t.
func (r *register) certainAbsence(t time.Duration) *mark {
	for i := r.tombsBy(t) - 1; i >= 0; i-- {
		if m := r.tombs[i]; m.acked <= t {
			return m
		}
	}
	return &r.nothing
}
