package oracle

import (
	"fmt"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Evidence is put together where an accusation is made, while its key is locked, and only if the accusation will be kept: a
// drill that goes wrong accuses millions of reads.

// written is what makes the value of version i known as one that a write of this run stored, or the log has.
func (j *Judge) written(k *keyState, i int) []Event {
	v := &k.history.versions[i]
	switch {
	case j.cfg.Historian:
		return []Event{{What: Committed, Key: k.key, Version: v.n, Writer: v.token.seq, Absent: v.deleted, At: v.own}}
	case v.deleted:
		return k.testimony(v.n)
	case v.token.hash == 0, v.sent == before: // nobody tells tokens; it was there before
		return nil
	}
	return []Event{{What: WriteSent, Key: k.key, Seq: v.token.seq, Writer: v.token.seq, Version: v.n, Sent: v.sent}}
}

// testimony is the read that first saw a version.
func (k *keyState) testimony(n uint64) []Event {
	if e, ok := k.witnesses[n]; ok {
		return []Event{e}
	}
	return nil
}

// proven is the earliest evidence that version i was committed.
func (j *Judge) proven(k *keyState, i int) []Event {
	v := &k.history.versions[i]
	switch {
	case v.ownProof == acknowledged:
		return []Event{acked(k.key, v.token.seq, v.n, v.sent, v.own)}
	case v.ownProof == seen && !v.deleted:
		return append(j.written(k, i), k.testimony(v.n)...)
	}
	return j.written(k, i)
}

// staleHistory proves a stale read: that what it answered exists, that a later version was committed, and the read.
func (j *Judge) staleHistory(k *keyState, d *Judgement) []Event {
	h, op := &k.history, &d.Op
	var events []Event
	at, known := h.find(d.Version)
	switch {
	case !known: // the absence before the first version
	case d.Next == 0:
		events = append(j.proven(k, at), k.silentAfter(at, op, d.NextAt)...)
	case op.Reply.Absent && op.Reply.Version == d.Version && !j.cfg.Historian: // it tells the version itself
	default:
		events = j.written(k, at)
	}
	if next, ok := h.find(d.Next); ok && d.Next != 0 {
		events = append(events, j.proven(k, next)...)
	}
	e := accused(op, d.Version)
	if op.Reply.Absent {
		e.Version = op.Reply.Version
	}
	return append(once(events), e)
}

// once drops the sending of a write of which more is among the events: its value may have been stored twice.
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

// silentAfter finds the write whose acknowledgement told no version, returned at acked, and which was sent after
// version at had been committed.
func (k *keyState) silentAfter(at int, read *targets.Operation, returned time.Duration) []Event {
	known := k.history.versions[at].own
	for i := range k.open {
		if w := &k.open[i]; w.state == unplaced && w.returned == returned && w.sent > known && w.sent <= read.Sent {
			return []Event{acked(k.key, w.seq, 0, w.sent, w.returned)}
		}
	}
	for _, n := range k.history.late {
		if i, ok := k.history.find(n); ok {
			if v := &k.history.versions[i]; v.ackedAt == returned && v.sent > known && v.sent <= read.Sent {
				return []Event{acked(k.key, v.token.seq, 0, v.sent, v.ackedAt)}
			}
		}
	}
	return nil
}

// valueHistory proves that a read's value is wrong, as far as the key's own history does.
func (j *Judge) valueHistory(k *keyState, op *targets.Operation, f finding) []Event {
	read := accused(op, op.Reply.Version)
	switch f {
	case conflicting:
		if at, ok := k.history.find(op.Reply.Version); ok {
			return append(j.proven(k, at), read)
		}
	case uncommitted:
		events := []Event{read, j.end(k.key)}
		if at, ok := k.history.byToken(j.digest(op.Reply.Token), never); ok {
			events = append(j.written(k, at), events...)
		}
		return events
	}
	return []Event{read}
}

// mixedHistory proves that a value is another key's: what is known of it there, and the read. No shard may be locked.
func (j *Judge) mixedHistory(owner targets.Key, op *targets.Operation) []Event {
	s, hash := j.shardOf(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	k, token := j.state(s, hash, owner), j.digest(op.Reply.Token)
	var events []Event
	if at, ok := k.history.byToken(token, never); ok {
		events = j.proven(k, at)
	} else if at, ok := k.openByToken(token); ok {
		w := &k.open[at]
		events = []Event{{What: WriteSent, Key: owner, Seq: w.seq, Writer: w.seq, Version: w.version, Sent: w.sent}}
	}
	return append(events, accused(op, op.Reply.Version))
}

// goneHistory proves that version i was there, and against what.
func (j *Judge) goneHistory(k *keyState, i int, against Event) []Event {
	v := &k.history.versions[i]
	against.Accused = true
	began := against.Sent
	if against.What != Answered {
		began = against.At
	}
	var events []Event
	if at, ok := k.history.find(against.Version); ok && at != i && against.What == Answered && !against.Absent {
		events = j.written(k, at) // that what was answered instead is a value of this run
	}
	instead := len(events)
	events = append(events, j.proven(k, i)...)
	if v.ackedAt == never || v.ownProof == acknowledged {
		return append(once(events), against)
	}
	told := v.n
	for _, n := range k.history.late {
		if n == v.n {
			told = 0
		}
	}
	ack := acked(k.key, v.token.seq, told, v.sent, v.ackedAt)
	switch {
	case v.ownProof == committed:
		return append(once(events), ack, against)
	case told != 0 && v.ackedAt < began: // the acknowledgement alone proves it
		return append(once(append(events[:instead], ack)), against)
	}
	return append(once(append(append(events[:instead], ack), k.testimony(v.n)...)), against)
}

// disorderHistory proves that version i follows one that had been seen before it was sent.
func (j *Judge) disorderHistory(k *keyState, i int) []Event {
	v := &k.history.versions[i]
	events := j.proven(k, i)
	if via, ok := k.history.find(v.via); ok && via != i {
		events = append(j.proven(k, via), events...)
	}
	return events
}

// exactly shows a time of the drill with every digit, for arithmetic.
func exactly(t time.Duration) string { return strconv.FormatFloat(t.Seconds(), 'f', -1, 64) + "s" }

// proofStale is a stale read's arithmetic.
func proofStale(d *Judgement, f *family) string {
	next := "a later write"
	if d.Next != 0 {
		next = fmt.Sprintf("v%d", d.Next)
	}
	s := fmt.Sprintf("read began %s > %s %s %s: stale by at least %s", exactly(d.Op.Sent), next, d.NextHow, exactly(d.NextAt), d.Low)
	if !f.classed {
		return s
	}
	return fmt.Sprintf("%s; class %s allows %s", s, f.class(), f.bound())
}

// proofGone says why a version is gone.
func proofGone(n uint64, seq uint64, events []Event) string {
	first, last := events[0], events[len(events)-1]
	what := fmt.Sprintf("v%d", n)
	if n == 0 {
		what = writer(seq)
	}
	at := ""
	for _, e := range events[:len(events)-1] {
		switch e.What {
		case WriteAcked:
			at = "acknowledged " + exactly(e.Returned)
		case Answered:
			at = "seen " + exactly(e.Returned)
		case Committed:
			at = "committed " + exactly(e.At)
		}
	}
	switch last.What {
	case Sealed:
		return fmt.Sprintf("%s %s < log complete up to %s, and it has no commit of %s", what, at, exactly(last.At), writer(seq))
	case Committed:
		return fmt.Sprintf("%s %s with %s, and again %s with %s", what, at, signature{1, first.Writer}.author(), exactly(last.At), signature{1, last.Writer}.author())
	case WriteAcked:
		return fmt.Sprintf("a version has one value, and %s and %s were both acknowledged as v%d", writer(first.Seq), writer(last.Seq), n)
	}
	answer := fmt.Sprintf("v%d with %s", last.Version, signature{1, last.Writer}.author())
	switch {
	case last.Absent:
		answer = "not found"
	case last.Writer == NoWriter:
		answer = fmt.Sprintf("v%d", last.Version)
	}
	return fmt.Sprintf("%s %s < the source was asked %s, and it answered %s", what, at, exactly(last.Sent), answer)
}

// proofValue says what is wrong with a read's value.
func proofValue(f finding, op *targets.Operation, events []Event) string {
	switch f {
	case owned:
		return fmt.Sprintf("asked for %s, answered with a value that says it is of %s", op.Key, op.Reply.Owner)
	case mixed:
		return fmt.Sprintf("the value's key hash is %s, that of %s is %s", keyHash(op.Reply.Token), op.Key,
			keyHash(targets.NewToken("x", 0, op.Key)))
	case malformed:
		return fmt.Sprintf("the value %q is not run.number.keyhash.checksum with the right checksum", clip(op.Reply.Token))
	case conflicting:
		first := events[0]
		return fmt.Sprintf("a version has one value: v%d is %s and was answered as %s", op.Reply.Version,
			signature{1, first.Writer}.author(), author(op.Reply.Token))
	case uncommitted:
		if events[0].What == Committed {
			return fmt.Sprintf("read returned %s < committed %s", exactly(op.Returned), exactly(events[0].At))
		}
		return fmt.Sprintf("read returned %s, log complete up to %s: it has no such commit by then", exactly(op.Returned),
			exactly(events[len(events)-1].At))
	case unwritten:
		return fmt.Sprintf("%s had not been sent when the read returned %s", author(op.Reply.Token), exactly(op.Returned))
	case blank:
		return "a value was answered, and it was empty; other values of this family carry a token"
	}
	return ""
}

func proofMisread(v *version, op *targets.Operation) string {
	return fmt.Sprintf("a version has one value: v%d was answered as %s and acknowledged as %s", v.n, v.token.author(), author(op.Token))
}

func proofDisorder(v *version) string {
	return fmt.Sprintf("v%d was sent %s > v%d %s %s: version order is not commit order", v.n, exactly(v.sent), v.via, v.highProof, exactly(v.high))
}

func proofFalseRejection(r *rejection, there *Event) string {
	how := "answered"
	at := there.Returned
	if there.What == Committed {
		how, at = "committed", there.At
	}
	return fmt.Sprintf("rejected %s with the promise of no effect, and its value was %s %s", exactly(r.returned), how, exactly(at))
}

// there is the evidence of the version of a write that was seen or logged before it ended.
func (j *Judge) there(k *keyState, n uint64) Event {
	at, _ := k.history.find(n)
	events := j.proven(k, at)
	return events[len(events)-1]
}
