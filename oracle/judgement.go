package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// Answer says how a read's value stood when the read began.
type Answer uint8

// The answers.
const (
	Unjudged      Answer = iota // the value has no known place in the key's history
	Fresh                       // proven: it had not been superseded when the read began
	Stale                       // proven: it had been superseded before the read began
	Indeterminate               // either is consistent with everything that was observed
)

// String gives the answer as reports show it.
func (a Answer) String() string {
	switch a {
	case Unjudged:
		return "unjudged"
	case Fresh:
		return "fresh"
	case Stale:
		return "stale"
	case Indeterminate:
		return "indeterminate"
	}
	return "invalid"
}

// Judgement is what the judge says of one read.
type Judgement struct {
	Op     targets.Operation
	Answer Answer

	// Accused names what was wrong with the value itself: one of "leak", "corruption", "dirty
	// read"; empty when nothing was. Such a read is Unjudged, unless the version it claims can be
	// judged by itself.
	Accused string

	// Low and High bound the staleness: how long before the read began its value had been
	// superseded, 0 when it had not been. High is -1 when nothing bounds it, and both are
	// meaningless for an unjudged read.
	Low, High time.Duration

	Violation bool // the family's class was proven broken by this read

	// CanBeStale and CanViolate say whether the read could have exposed staleness, or a violation:
	// whether a copy that a cache could plausibly still hold would have been proven stale, or in
	// violation, had it been answered.
	CanBeStale, CanViolate bool

	Class   string        // of the family; empty when it has none
	Version uint64        // the version that was answered; 0 is the absence before the first
	Next    uint64        // of a stale read: a later version
	NextAt  time.Duration // of a stale read: the earliest proof that Next had been committed
	NextHow string        // of a stale read: "committed", "acknowledged" or "seen" at NextAt
	Why     string        // of an unjudged read: the reason in words
}

// verdict is a judgement that was reached under the lock of its key, and still has to be emitted
// without.
type verdict struct {
	Judgement
	family  *family
	finding finding
	history []Event           // what proves the accusation, if one is made and will be kept
	known   history.Signature // of a conflicting answer: the value that the version is known to have

	base     uint64           // the latest version that the read's session is known to have seen before
	next     history.Evidence // of a stale read judged by values: the write that superseded what it answered
	logEnded bool             // the source's log ended before the read did: without a version, the answer proves nothing
}

// answer decides between fresh, stale and indeterminate, and bounds the staleness. next is the
// earliest proof of something that follows what was answered, first the earliest time at which
// something can have superseded it.
func (d *Judgement) answer(next history.Evidence, first time.Duration) {
	switch i := d.Op.Sent; {
	case next.At < i:
		d.Answer, d.Low, d.NextAt, d.NextHow = Stale, i-next.At, next.At, next.How.String()
	case first <= i:
		d.Answer = Indeterminate
	default:
		d.Answer, d.High = Fresh, 0
		return
	}
	d.High = d.bound(first)
}

// bound is the largest staleness of a read of something that can have been superseded at first; -1
// when nothing bounds it.
func (d *Judgement) bound(first time.Duration) time.Duration {
	if first == before || first == never {
		return -1
	}
	return max(0, d.Op.Sent-first)
}

// doubt takes a proof of staleness back: something else explains the answer.
func (d *Judgement) doubt() {
	d.Answer, d.Low, d.Next, d.NextAt, d.NextHow = Indeterminate, 0, 0, 0, ""
}
