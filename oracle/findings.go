package oracle

import (
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/targets"
)

// Accusation is one proven fault, with what a person needs to believe it.
type Accusation struct {
	Kind   string // see [Kinds]
	Key    targets.Key
	At     time.Duration // when the accused read began; of writes, see the texts
	Family string
	Class  string            // of the family; empty when it has none
	Text   string            // one line a person understands
	Op     targets.Operation // the accused operation as far as it is remembered; of a key's history, zero
	Low    time.Duration     // of a stale read: the proven staleness
	High   time.Duration     // of a stale read: the largest possible staleness; -1 when nothing bounds it

	// History is the shortest part of what was observed that proves the accusation, and Proof says
	// how in one line.
	History []Event
	Proof   string

	// Beside is filled in by [Judge.Beside].
	Beside []Event
}

// Lag is one superseded version, as the harness saw it die.
type Lag struct {
	Family    unique.Handle[string] // there are as many lags as writes: two words of text would outweigh the rest
	Region    unique.Handle[string] // of the client that last read it stale; empty when no client did
	Committed time.Duration         // the earliest proof that it was superseded; with a historian, when
	Lag       time.Duration         // from then until its last proven-stale read began; 0 when it was not read stale
}

// Findings is what a drill proved. A number counts everything; of accusations some are kept. It is
// wide because it is the flat list of all that a judge counts.
type Findings struct {
	Writes        int // that began
	Acknowledged  int
	UnknownWrites int // that ended without a definite answer, or never

	LostWrites        int // acknowledged, and gone from the source
	Rollbacks         int // not acknowledged but seen, or in the source's history, and gone from the source
	Leaks             int // reads answered with another key's value
	Corruptions       int // damaged values, values under the wrong version, versions out of order
	DirtyReads        int // reads of values that were not committed
	FalseRejections   int // writes that failed with a promise of no effect, and took effect
	SessionViolations int // reads older than what their session had seen or written; an accusation in no class
	Unjudged          int // reads without an answer, other than those that were accused instead

	UnjudgedKeys  int // keys whose reads became unjudged: another run wrote there, answers contradict each other, too many unresolved writes
	UndecidedKeys int // keys of strong families of which it was not decided whether some order of the writes explains all reads

	// Violations is the number of reads proven to break their class, by class. Of a strong key
	// whose reads no order of the writes explains, though none by itself is proven stale, it is the
	// number of values in conflict.
	Violations map[string]int

	// Opportunities is how many chances there were to prove each kind of fault. Reads that could
	// have exposed it: "stale", "violations", "leaks", "corruptions", "dirty_reads", "sessions";
	// writes that were looked for at the end: "lost_writes" (acknowledged ones), "rollbacks"
	// (others that were seen). "false_rejections": writes that failed with a promise of no effect.
	Opportunities map[string]int

	// StaleIncidents is the number of maximal intervals in which one key was served proven-stale.
	StaleIncidents int

	Lags []Lag // one for each version that was superseded

	// Accusations has the earliest accusations of each kind and the worst one (of stale reads, the
	// stalest), ordered by At.
	Accusations []Accusation
}

// Kinds gives the kinds of accusation, in the order of their gravity.
func Kinds() []string {
	names := make([]string, 0, kinds)
	for k := kind(0); k < kinds; k++ {
		names = append(names, k.String())
	}
	return names
}

type kind uint8

const (
	kindLost kind = iota
	kindRollback
	kindLeak
	kindCorruption
	kindDirty
	kindFalseRejection
	kindViolation
	kindStale
	kinds
)

// String gives the kind as [Accusation.Kind] shows it.
func (k kind) String() string {
	return [...]string{
		"lost write", "rollback", "leak", "corruption", "dirty read", "false rejection", "violation", "stale",
	}[k]
}

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

// NoWriter is an [Event.Writer] that is not known.
const NoWriter = oddSeq

// Event is one thing that was observed. The events of an accusation prove it, and none of them can
// be left out. It is wide because one type stands for all that can be evidence, as a line of a
// timeline does.
type Event struct {
	What    What
	Key     targets.Key
	Seq     uint64 // of a write or a read: the operation
	Version uint64 // the key's version that was written, committed or answered; 0: not known, or the absence before all
	Writer  uint64 // which write stored the value; [targets.SeedSeq] for an initial one, [NoWriter] if not known
	Absent  bool   // the version is an absence; the answer was "not found"
	Accused bool   // it is what is accused

	Sent     time.Duration // of operations
	Returned time.Duration // of operations, except [WriteSent]
	At       time.Duration // of [Committed] and [Sealed]

	Tier, Worker, Region, Instance string // of reads
	Token                          string // of an accused read: the value as it was answered
	Owner                          targets.Key
}
