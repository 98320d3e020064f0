package oracle

import (
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// What says what an [Event] was.
type What uint8

// What can be evidence.
const (
	WriteSent     What = iota // a write was sent; what came of it does not matter to the accusation
	WriteAcked                // a write was sent and acknowledged
	WriteRejected             // a write was sent and rejected, with the promise of no effect
	Committed                 // the source's log has this commit
	Answered                  // a read was sent and answered
	Sealed                    // the source's log was complete before At
)

// String gives the event's name in reports.
func (w What) String() string {
	if int(w) >= len(whats) {
		return "invalid"
	}
	return whats[w]
}

var whats = [...]string{"write sent", "acknowledged", "rejected", "committed", "read", "log complete"}

// ParseWhat reads what [What.String] gave.
func ParseWhat(s string) (What, bool) {
	for i, name := range whats {
		if name == s {
			return What(i), true
		}
	}
	return 0, false
}

// NoWriter is an [Event.Writer] that nobody told.
const NoWriter = oddSeq

// Event is one thing that was observed. The events of an accusation prove it, and none of them can be left out.
type Event struct {
	What    What
	Key     targets.Key
	Seq     uint64 // of a write or a read: the operation
	Version uint64 // the key's version that was written, committed or answered; 0: not told, or the absence before all
	Writer  uint64 // which write stored the value; [targets.SeedSeq] for an initial one, [NoWriter] if nobody told
	Absent  bool   // the version is an absence; the answer was "not found"
	Accused bool   // it is what is accused

	Sent     time.Duration // of operations
	Returned time.Duration // of operations, except [WriteSent]
	At       time.Duration // of [Committed] and [Sealed]

	Tier, Worker, Region, Instance string // of reads
	Token                          string // of an accused read: the value as it was answered
	Owner                          targets.Key
}

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
func (j *Judge) logEntry(c targets.Commit) Event {
	return Event{What: Committed, Key: c.Key, Version: c.Version, Writer: j.signature(c.Token).seq, Absent: c.Deleted, At: c.At}
}

// seal is the end of the log as evidence.
func (j *Judge) end(key targets.Key) Event {
	return Event{What: Sealed, Key: key, At: time.Duration(j.sealed.Load())}
}

// acked is an acknowledged write as evidence; version 0 if the acknowledgement did not tell it.
func acked(key targets.Key, seq, version uint64, sent, returned time.Duration) Event {
	return Event{What: WriteAcked, Key: key, Seq: seq, Writer: seq, Version: version, Sent: sent, Returned: returned}
}

// witness remembers the read if it is the earliest evidence of a version, of two at one time the one with the smaller
// number: reads are not kept otherwise. Only a version that was seen before it was acknowledged, or never was, has one.
func (k *keyState) witness(v *version, op *targets.Operation) {
	switch {
	case op.Returned > v.own, op.Returned == v.own && v.ownProof != seen:
		return
	case op.Returned == v.own:
		if was, ok := k.witnesses[v.n]; ok && was.Seq <= op.Seq {
			return
		}
	}
	if k.witnesses == nil {
		k.witnesses = map[uint64]Event{}
	}
	e := answered(op)
	e.Version, e.Owner = v.n, targets.Key{}
	e.Tier, e.Worker = strings.Clone(e.Tier), strings.Clone(e.Worker) // not the whole answer
	k.witnesses[v.n] = e
}
