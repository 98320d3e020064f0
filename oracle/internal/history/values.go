package history

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// WriteRecord is one write of a key without versions. Its commit lies in [sent, by], if it was
// committed at all. It is wide because there is one for each write of a drill: nested structs would
// pad it.
type WriteRecord struct {
	Seq     uint64
	Sent    time.Duration // [Before] for an initial value
	Acked   time.Duration // when its acknowledgement returned; [Never] if it was not acknowledged
	By      time.Duration // U: the earliest return among its acknowledgement and the reads that answered it
	ByProof Proof
	State   Fate
	Deleted bool // it is a deletion
	Gone    bool // the source no longer has it, and that was counted

	Rejected bool          // it was promised to be without effect, and was read
	Since    time.Duration // the earliest Sent among the reads that answered it: for those that returned earlier, a rejected one does not exist

	reach time.Duration // at least the largest finite by among the writes sent no later
	next  Evidence      // the earliest by among the writes sent no earlier, in the order of [Values.BySent]
	peak  time.Duration // of a deletion: the largest acked among the deletions sent no later

	Last  Op        // of the reads from caches that answered it and are bound by a promise, the one that began last; its Sent is [Before] when none did
	Past  *Past     // of the reads past the caches that answered it; nil when none did
	Stale StaleSpan // its proven-stale reads; last is [Before] when there are none
}

// Past is the reads past the caches that answered a value.
type Past struct {
	By   time.Duration // the earliest return
	Last Op            // the one that began last
}

// Later gives the one of two reads that began last, of two at one time the one with the smaller
// number.
func Later(a, b Op) Op {
	if b.Sent > a.Sent || b.Sent == a.Sent && b.Seq < a.Seq {
		return b
	}
	return a
}

// SawPast notes a read past the caches that answered the value.
func (m *WriteRecord) SawPast(read Op, returned time.Duration) {
	if m.Past == nil {
		m.Past = &Past{By: Never, Last: Op{Sent: Before}}
	}
	m.Past.By, m.Past.Last = min(m.Past.By, returned), Later(m.Past.Last, read)
}

// Values is what is known of a key whose target tells values but no versions.
type Values struct {
	Within time.Duration // how old the class allows the answers of caches to be
	Began  time.Duration // when the first operation on the key was sent

	BySent  []*WriteRecord // without the initial value; of equal sent, by seq
	bySeq   []*WriteRecord // the same
	Tombs   []*WriteRecord // the deletions among them, by sent
	pending []*WriteRecord // those in flight, and those of unknown outcome without a read
	Seed    *WriteRecord   // the initial value, once it was read
	Nothing WriteRecord    // the absence before the first write

	unresolved int  // ended ones in pending
	Crowded    bool // too many of them
	Lost       bool // the source no longer has some write
}

// NewValues makes the history of a key whose class allows caches to answer what was current that
// long before.
func NewValues(within time.Duration) *Values {
	r := &Values{Within: within, Began: Never, Nothing: newRecord(targets.SeedSeq, Before)}
	r.Nothing.By, r.Nothing.Deleted = Before, true
	return r
}

func newRecord(seq uint64, sent time.Duration) WriteRecord {
	return WriteRecord{
		Seq: seq, Sent: sent, Acked: Never, By: Never, Since: Never, reach: Before, peak: Before,
		next: Evidence{At: Never}, Last: Op{Sent: Before}, Stale: StaleSpan{Last: Before},
	}
}

// Find gives the write with this number.
func (r *Values) Find(seq uint64) (*WriteRecord, bool) {
	i, ok := r.search(seq)
	if !ok {
		return nil, false
	}
	return r.bySeq[i], true
}

// Add adds a write in flight.
func (r *Values) Add(seq uint64, sent time.Duration, deleted bool) *WriteRecord {
	i, known := r.search(seq)
	if known { // the caller began it twice
		return r.bySeq[i]
	}
	n := newRecord(seq, sent)
	m := &n
	m.Deleted = deleted
	r.bySeq = slices.Insert(r.bySeq, i, m)
	i = r.after(sent)
	for i > 0 && r.BySent[i-1].Sent == sent && r.BySent[i-1].Seq > seq {
		i--
	}
	if i > 0 {
		m.reach = r.BySent[i-1].reach
	}
	if i < len(r.BySent) {
		m.next = r.BySent[i].next
	}
	r.BySent = slices.Insert(r.BySent, i, m)
	if deleted {
		i = r.tombsBy(sent)
		if i > 0 {
			m.peak = r.Tombs[i-1].peak
		}
		r.Tombs = slices.Insert(r.Tombs, i, m)
	}
	r.pending = append(r.pending, m)
	return m
}

// remove forgets a write of which there is no evidence.
func (r *Values) remove(m *WriteRecord) {
	if i, ok := r.search(m.Seq); ok {
		r.bySeq = slices.Delete(r.bySeq, i, i+1)
	}
	i := r.index(m)
	r.BySent = slices.Delete(r.BySent, i, i+1)
	if m.Deleted {
		i := r.tomb(m)
		r.Tombs = slices.Delete(r.Tombs, i, i+1)
	}
	r.land(m)
}

// land notes that a write is no longer pending.
func (r *Values) land(m *WriteRecord) {
	r.pending = slices.DeleteFunc(r.pending, func(o *WriteRecord) bool { return o == m })
}

// search gives the index of a write in bySeq, or where it belongs.
func (r *Values) search(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(r.bySeq, seq, func(m *WriteRecord, seq uint64) int { return cmp.Compare(m.Seq, seq) })
}

// index gives the index of a write in bySent.
func (r *Values) index(m *WriteRecord) int {
	i := r.after(m.Sent) - 1
	for r.BySent[i] != m {
		i--
	}
	return i
}

// tomb gives the index of a deletion in tombs.
func (r *Values) tomb(m *WriteRecord) int {
	i := r.tombsBy(m.Sent) - 1
	for r.Tombs[i] != m {
		i--
	}
	return i
}

// End notes how a write ended.
func (r *Values) End(op *targets.Operation) {
	m, ok := r.Find(op.Seq)
	if !ok {
		m = r.Add(op.Seq, op.Sent, op.Kind == targets.Delete)
	}
	switch op.Outcome {
	case targets.OK:
		m.State, m.Acked = Unversioned, op.Returned
		r.Proven(m, op.Returned, Acknowledged)
		r.endDeletion(m, op.Returned)
	case targets.Failed:
		if m.By == Never {
			r.remove(m)
			return
		}
		m.State, m.Rejected = Unknown, true
	default:
		m.State = Unknown
		r.endDeletion(m, Never)
		if m.By != Never {
			break
		}
		if r.unresolved++; r.unresolved > MaxUnresolved {
			r.Crowded = true
			r.unresolved--
			r.remove(m)
		}
	}
}

// endDeletion notes that a deletion was acknowledged at t, or, with [Never], that it may not have
// been done.
func (r *Values) endDeletion(m *WriteRecord, t time.Duration) {
	if !m.Deleted {
		return
	}
	for i := r.tomb(m); i < len(r.Tombs) && r.Tombs[i].peak < t; i++ {
		r.Tombs[i].peak = t
	}
}

// Close takes what is still in flight as of unknown outcome.
func (r *Values) Close() {
	for _, m := range r.pending {
		r.endDeletion(m, Never)
	}
}

// Proven notes that a write had been committed by t.
func (r *Values) Proven(m *WriteRecord, t time.Duration, how Proof) {
	e := Evidence{At: t, Via: m.Seq, How: how}
	if !e.Betters(Evidence{m.By, m.Seq, m.ByProof}) {
		return
	}
	if m.By == Never {
		if m.State == Unknown {
			r.unresolved--
		}
		r.land(m)
	}
	m.By, m.ByProof = t, how
	if m == r.Seed {
		return
	}
	at := r.index(m)
	for i := at; i < len(r.BySent) && r.BySent[i].reach < t; i++ {
		r.BySent[i].reach = t
	}
	for i := at; i >= 0 && e.Betters(r.BySent[i].next); i-- {
		r.BySent[i].next = e
	}
}

// after gives the index of the first write that was sent after t.
func (r *Values) after(t time.Duration) int {
	n := len(r.BySent)
	for back := 0; back < 4; back++ { // mostly it is about the latest
		if n-back == 0 || r.BySent[n-back-1].Sent <= t {
			return n - back
		}
	}
	return sort.Search(n, func(i int) bool { return r.BySent[i].Sent > t })
}

// tombsBy gives the number of deletions that were sent by t.
func (r *Values) tombsBy(t time.Duration) int {
	return sort.Search(len(r.Tombs), func(i int) bool { return r.Tombs[i].Sent > t })
}

// superseded gives the earliest evidence of a write that certainly follows whatever was committed
// by t.
func (r *Values) superseded(t time.Duration) Evidence {
	if i := r.after(t); i < len(r.BySent) {
		return r.BySent[i].next
	}
	return Evidence{At: Never}
}

// First gives the earliest time at which a write can have superseded v, as operations sent by t
// know it; a deletion does not supersede a deletion.
func (r *Values) first(v *WriteRecord, t time.Duration) time.Duration {
	counts := func(x *WriteRecord) bool { return x != v && !(x.Rejected && x.Since > t) && !(x.Deleted && v.Deleted) }
	for _, x := range r.pending {
		if x.Sent <= v.Sent && counts(x) {
			return v.Sent
		}
	}
	at := r.after(v.Sent)
	for i := at - 1; i >= 0 && r.BySent[i].reach >= v.Sent; i-- {
		if x := r.BySent[i]; x.By >= v.Sent && counts(x) {
			return v.Sent
		}
	}
	for _, x := range r.BySent[at:] {
		if counts(x) {
			return x.Sent
		}
	}
	return Never
}

// AbsentBy gives the time by which the absence that is most favourable to an answer "not found" at
// t was committed: of the deletions that can explain it the last, or, with [Before], the absence
// before the first write.
func (r *Values) AbsentBy(t time.Duration) time.Duration {
	n := r.tombsBy(t)
	if n == 0 {
		return Before
	}
	return min(r.Tombs[n-1].peak, t)
}

// certainAbsence gives the last absence that was certainly committed by t.
func (r *Values) certainAbsence(t time.Duration) *WriteRecord {
	for i := r.tombsBy(t) - 1; i >= 0; i-- {
		if m := r.Tombs[i]; m.Acked <= t {
			return m
		}
	}
	return &r.Nothing
}

// Initial gives the initial value, which was there before every write of the drill.
func (r *Values) Initial() *WriteRecord {
	if r.Seed == nil {
		seed := newRecord(targets.SeedSeq, Before)
		r.Seed = &seed
	}
	return r.Seed
}

// Following gives the writes that certainly follow whatever was committed by the first time, and
// were proven before the second.
func (r *Values) Following(by, proven time.Duration) (all []*WriteRecord) {
	for i := r.after(by); i < len(r.BySent) && r.BySent[i].next.At < proven; i++ {
		if m := r.BySent[i]; m.By < proven {
			all = append(all, m)
		}
	}
	return all
}

// MayChange says whether a write of a value may have been committed between two times.
func (r *Values) MayChange(from, to time.Duration) bool {
	for _, x := range r.pending {
		if x.Sent <= to && !x.Deleted {
			return true
		}
	}
	for i := r.after(to) - 1; i >= 0 && r.BySent[i].reach >= from; i-- {
		if x := r.BySent[i]; x.By >= from && x.By != Never && !x.Deleted {
			return true
		}
	}
	return false
}

// Next gives the earliest evidence of a write that certainly follows a record.
func (r *Values) Next(m *WriteRecord) Evidence {
	if m == r.Seed {
		return r.superseded(Before)
	}
	return r.superseded(m.By)
}

// Changed says whether a write is proven to have been committed in [t-within, t). Whatever it
// superseded, had it been answered at t, would have been proven stale.
func (r *Values) Changed(t, within time.Duration) bool {
	return r.superseded(t-within-1).At < t
}

// Everything is all writes, the initial value and the absence before.
func (r *Values) Everything() []*WriteRecord {
	all := append([]*WriteRecord{&r.Nothing}, r.BySent...)
	if r.Seed != nil {
		all = append(all, r.Seed)
	}
	return all
}

// Bounds gives, for a read of v that returned at t, or of an absence with v nil, the earliest proof
// of a write that certainly followed what it answered, and the earliest time at which a write can
// have superseded that; [Before] when nothing bounds it. All that it uses comes from operations
// sent by the read's return: later ones give evidence that is later than the read.
func (r *Values) Bounds(v *WriteRecord, t time.Duration) (next Evidence, first time.Duration) {
	by, absent := Before, v == nil
	switch {
	case absent:
		by = r.AbsentBy(t)
		v = r.certainAbsence(t)
	case v != r.Seed: // which precedes every write of the drill
		by = v.By
	}
	next = r.superseded(by)
	if absent && by == Before && r.Seed != nil {
		if e := (Evidence{r.Seed.By, r.Seed.Seq, Seen}); e.Betters(next) {
			next = e // no write of the drill removed it
		}
	}
	if v == &r.Nothing {
		return next, Before // the key may have existed before
	}
	return next, r.first(v, t)
}
