package oracle

import (
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// Evidence is put together where an accusation is made, while its key is locked, and only if the
// accusation will be kept: a drill that goes wrong accuses millions of reads.

// answered is a read as evidence.
func answered(op *targets.Operation) Event {
	e := Event{What: Answered, Key: op.Key, Seq: op.Seq, Version: op.Reply.Version, Writer: NoWriter, Absent: op.Reply.Absent,
		Sent: op.Sent, Returned: op.Returned, Tier: op.Reply.Tier, Worker: op.Reply.Worker, Region: op.Region, Instance: op.Instance,
		Owner: op.Reply.Owner}
	if t, ok := targets.ParseToken(op.Reply.Token); ok {
		e.Writer = t.Seq
	}
	return e
}

// accused is the accused read as evidence. v is the version that it is judged as.
func accused(op *targets.Operation, v uint64) Event {
	e := answered(op)
	e.Accused, e.Token, e.Version = true, op.Reply.Token, v
	return e
}

// logEntry is a commit as evidence.
func (d *drillState) logEntry(c targets.Commit) Event {
	return Event{What: Committed, Key: c.Key, Version: c.Version, Writer: d.signature(c.Token).Seq, Absent: c.Deleted, At: c.At}
}

// acked is an acknowledged write as evidence; version 0 if the acknowledgement did not tell it.
func acked(key targets.Key, seq, version uint64, sent, returned time.Duration) Event {
	return Event{What: WriteAcked, Key: key, Seq: seq, Writer: seq, Version: version, Sent: sent, Returned: returned}
}

// written is what makes the value of version i known as one that a write of this run stored, or the
// log has.
func (k *keyState) written(i int) []Event {
	v := &k.history.All[i]
	switch {
	case v.OwnProof == history.Committed:
		return []Event{{What: Committed, Key: k.key, Version: v.N, Writer: v.Token.Seq, Absent: v.Deleted, At: v.Own}}
	case v.Deleted:
		return k.testimony(v.N)
	case v.Token.Hash == 0, v.Sent == before: // no tokens are known, or it was there before
		return nil
	}
	return []Event{{What: WriteSent, Key: k.key, Seq: v.Token.Seq, Writer: v.Token.Seq, Version: v.N, Sent: v.Sent}}
}

// testimony is the read that first saw a version.
func (k *keyState) testimony(n uint64) []Event {
	if e, ok := k.witnesses[n]; ok {
		return []Event{e}
	}
	return nil
}

// proven is the earliest evidence that version i was committed.
func (k *keyState) proven(i int) []Event {
	v := &k.history.All[i]
	switch {
	case v.OwnProof == history.Acknowledged:
		return []Event{acked(k.key, v.Token.Seq, v.N, v.Sent, v.Own)}
	case v.OwnProof == history.Seen && !v.Deleted:
		return append(k.written(i), k.testimony(v.N)...)
	}
	return k.written(i)
}

// staleHistory proves a stale read: that what it answered exists, that a later version was
// committed, and the read.
func (k *keyState) staleHistory(d *Judgement) []Event {
	h, op := &k.history, &d.Op
	var events []Event
	at, known := h.Find(d.Version)
	switch {
	case !known: // the absence before the first version
	case d.Next == 0:
		events = append(k.proven(at), k.silentAfter(at, op, d.NextAt)...)
	case op.Reply.Absent && op.Reply.Version == d.Version && h.All[at].OwnProof != history.Committed: // it tells the version itself
	default:
		events = k.written(at)
	}
	if next, ok := h.Find(d.Next); ok && d.Next != 0 {
		events = append(events, k.proven(next)...)
	}
	e := accused(op, d.Version)
	if op.Reply.Absent {
		e.Version = op.Reply.Version
	}
	return append(once(events), e)
}

// once drops the sending of a write of which more is among the events: its value may have been
// stored twice.
func once(events []Event) []Event {
	more := func(i int) bool {
		for at, e := range events {
			if at != i && e.What <= WriteAcked && e.Seq == events[i].Seq && (at > i || e.What == WriteAcked) {
				return true
			}
		}
		return false
	}
	kept := make([]Event, 0, len(events)+1)
	for i, e := range events {
		if e.What != WriteSent || !more(i) {
			kept = append(kept, e)
		}
	}
	return kept
}

// silentAfter finds the write whose acknowledgement carried no version, returned at acked, and
// which was sent after version at had been committed.
func (k *keyState) silentAfter(at int, read *targets.Operation, returned time.Duration) []Event {
	known := k.history.All[at].Own
	for i := range k.open.all {
		if w := &k.open.all[i]; w.state == history.Unversioned && w.returned == returned && w.sent > known && w.sent <= read.Sent {
			return []Event{acked(k.key, w.seq, 0, w.sent, w.returned)}
		}
	}
	for _, n := range k.history.Late {
		if i, ok := k.history.Find(n); ok {
			if v := &k.history.All[i]; v.AckedAt == returned && v.Sent > known && v.Sent <= read.Sent {
				return []Event{acked(k.key, v.Token.Seq, 0, v.Sent, v.AckedAt)}
			}
		}
	}
	return nil
}

// wrongHistory proves that a read's value is wrong, as far as the key's own history does.
func (k *keyState) wrongHistory(op *targets.Operation, f finding) []Event {
	read := accused(op, op.Reply.Version)
	switch f {
	case conflicting:
		if at, ok := k.history.Find(op.Reply.Version); ok {
			return append(k.proven(at), read)
		}
	case uncommitted:
		events := []Event{read, Event{What: Sealed, Key: k.key, At: k.drill.logEnd()}}
		if at, ok := k.history.ByToken(k.drill.digest(op.Reply.Token), never); ok {
			events = append(k.written(at), events...)
		}
		return events
	}
	return []Event{read}
}

// goneHistory proves that version i was there, and against what.
func (k *keyState) goneHistory(i int, against Event) []Event {
	v := &k.history.All[i]
	against.Accused = true
	began := against.Sent
	if against.What != Answered {
		began = against.At
	}
	var events []Event
	if at, ok := k.history.Find(against.Version); ok && at != i && against.What == Answered && !against.Absent {
		events = k.written(at) // that what was answered instead is a value of this run
	}
	instead := len(events)
	events = append(events, k.proven(i)...)
	if v.AckedAt == never || v.OwnProof == history.Acknowledged {
		return append(once(events), against)
	}
	shown := v.N
	for _, n := range k.history.Late {
		if n == v.N {
			shown = 0
		}
	}
	ack := acked(k.key, v.Token.Seq, shown, v.Sent, v.AckedAt)
	switch {
	case v.OwnProof == history.Committed:
		return append(once(events), ack, against)
	case shown != 0 && v.AckedAt < began: // the acknowledgement alone proves it
		return append(once(append(events[:instead], ack)), against)
	}
	return append(once(append(append(events[:instead], ack), k.testimony(v.N)...)), against)
}

// disorderHistory proves that version i follows one that had been seen before it was sent.
func (k *keyState) disorderHistory(i int) []Event {
	v := &k.history.All[i]
	events := k.proven(i)
	if via, ok := k.history.Find(v.Via); ok && via != i {
		events = append(k.proven(via), events...)
	}
	return events
}

// there is the evidence of the version of a write that was seen or logged before it ended.
func (k *keyState) there(n uint64) Event {
	at, _ := k.history.Find(n)
	events := k.proven(at)
	return events[len(events)-1]
}

// recordEvents are what is known of a write without a version: that it was sent, and the earliest
// proof of it.
func recordEvents(key targets.Key, m *history.WriteRecord) []Event {
	switch {
	case m.ByProof == history.Acknowledged && m.By != never:
		e := acked(key, m.Seq, 0, m.Sent, m.By)
		e.Absent = m.Deleted
		return []Event{e}
	case m.Seq == targets.SeedSeq:
		return nil
	}
	events := []Event{{What: WriteSent, Key: key, Seq: m.Seq, Writer: m.Seq, Absent: m.Deleted, Sent: m.Sent}}
	if m.By != never {
		events = append(events, Event{What: Answered, Key: key, Writer: m.Seq, Sent: m.Since, Returned: m.By})
	}
	return events
}

// orderHistory is the writes that no order explains.
func orderHistory(key targets.Key, zones []history.Zone) (events []Event) {
	for _, z := range zones {
		events = append(events, recordEvents(key, z.Record)...)
		if z.Last.Sent != before {
			read := Event{What: Answered, Key: key, Seq: z.Last.Seq, Writer: z.Record.Seq, Sent: z.Last.Sent, Accused: true}
			if z.Past {
				read.Instance = targets.SourceInstance
			}
			events = append(events, read)
		}
	}
	return events
}

// Who stored a stale copy? Most often a read that was under way while the write was made: it loaded
// the older value, and what stores it for the next readers comes after what the write dropped. Such
// reads prove nothing and are no part of an accusation's history; they are remembered to be shown
// beside it.

// mostUnderWay is how many of them are remembered for a value: the latest ones.
const mostUnderWay = 2

// underWay is the latest change of a key, and the latest reads of each value that were under way
// while some change was. Only keys that are changed have one.
type underWay struct {
	seq            uint64
	sent, returned time.Duration // of the change; returned is [never] while it is in flight
	reads          map[answer][]underWayRead
}

// answer is what a read answered: a value by its version, or else by the write that stored it.
type answer struct {
	version, writer uint64
	absent          bool
}

func answerOf(e Event) answer {
	if e.Version != 0 {
		return answer{version: e.Version, absent: e.Absent}
	}
	return answer{writer: e.Writer, absent: e.Absent}
}

// underWayRead is a read as far as it is needed to show it.
type underWayRead struct {
	seq, version, writer uint64
	sent, returned       time.Duration
	tier, worker, region string
}

// changing notes that a change is about to be sent.
func (k *keyState) changing(op *targets.Operation) {
	if k.underWay == nil {
		k.underWay = &underWay{}
	}
	k.underWay.seq, k.underWay.sent, k.underWay.returned = op.Seq, op.Sent, never
}

// changed notes that a change ended.
func (k *keyState) changed(op *targets.Operation) {
	if u := k.underWay; u != nil && u.seq == op.Seq {
		u.returned = op.Returned
	}
}

// overlapped remembers a read that was under way while the latest change was, unless a cache
// answered it: then it stored nothing.
func (k *keyState) overlapped(op *targets.Operation) {
	u := k.underWay
	if u == nil || op.Sent >= u.returned || op.Returned <= u.sent || op.Instance != "" ||
		op.Reply.Tier == targets.TierL1 || op.Reply.Tier == targets.TierL2 {
		return
	}
	if u.reads == nil {
		u.reads = map[answer][]underWayRead{}
	}
	e := answered(op)
	all := u.reads[answerOf(e)]
	if len(all) == mostUnderWay {
		all = append(all[:0], all[1:]...)
	}
	u.reads[answerOf(e)] = append(all, underWayRead{
		seq: e.Seq, version: e.Version, writer: e.Writer, sent: e.Sent, returned: e.Returned,
		tier: strings.Clone(e.Tier), worker: strings.Clone(e.Worker), region: e.Region, // not the whole answer
	})
}

// Beside gives each stale read among the accusations the reads that answered the same, had begun
// before there was proof that it was superseded, and were under way while the key was changed: one
// of them may have stored it. It is called after [Judge.Finish], with what that gave. Unlike the
// findings, what is remembered of such reads depends on the order in which operations were given.
func (j *Judge) Beside(f *Findings) {
	for i := range f.Accusations {
		a := &f.Accusations[i]
		if a.Kind != kindStale.String() && a.Kind != kindViolation.String() || a.Op.Returned == 0 {
			continue
		}
		s, hash := j.shardOf(a.Key)
		s.mu.Lock()
		if k := s.find(hash, a.Key); k != nil && k.underWay != nil {
			a.Beside = k.beside(a)
		}
		s.mu.Unlock()
	}
}

func (k *keyState) beside(a *Accusation) (events []Event) {
	stale := answered(&a.Op)
	for _, r := range k.underWay.reads[answerOf(stale)] {
		if r.seq != stale.Seq && r.sent < a.Op.Sent-a.Low {
			events = append(events, Event{What: Answered, Key: k.key, Seq: r.seq, Version: r.version, Writer: r.writer, Absent: stale.Absent,
				Sent: r.sent, Returned: r.returned, Tier: r.tier, Worker: r.worker, Region: r.region})
		}
	}
	return events
}
