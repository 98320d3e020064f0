// Package history keeps what was observed of one key's writes: the interval in which each was
// committed, and what follows from all intervals together. It answers questions about order and
// judges nothing: package oracle does.
//
// [Versions] is for keys whose source, acknowledgements or answers carry versions; [Values] for
// keys of which only values are known. docs/oracle.md proves the definitions sound.
package history

import (
	"math"
	"time"
)

// Before and Never are the times of what has always been and of what has not happened.
const (
	Before = time.Duration(math.MinInt64)
	Never  = time.Duration(math.MaxInt64)
)

// Proof says how a commit is known to have happened.
type Proof uint8

const (
	Seen         Proof = iota // a read returned it
	Acknowledged              // its write was acknowledged
	Committed                 // the source's log says so
)

// String gives the proof as texts show it.
func (p Proof) String() string { return [...]string{"seen", "acknowledged", "committed"}[p] }

// Evidence is the earliest proof that some version or a later one had been committed.
type Evidence struct {
	At  time.Duration
	Via uint64
	How Proof
}

// Betters says whether e is the better proof: the earlier, of two at one time the stronger kind,
// then the smaller version.
func (e Evidence) Betters(o Evidence) bool {
	switch {
	case e.At != o.At:
		return e.At < o.At
	case e.How != o.How:
		return e.How > o.How
	}
	return e.Via < o.Via
}

// Signature is a token as far as it is kept: a million strings would be most of a judge's memory.
// Two tokens with one 64-bit hash would be taken for one.
type Signature struct {
	Hash uint64 // 0: no token
	Seq  uint64 // of the write that made it; a number of no write when the token has another form
}

// Fate is what became of a write as far as its end says.
type Fate uint8

// The fates of writes.
const (
	InFlight    Fate = iota
	Unknown          // it ended without a definite answer
	Unversioned      // it was acknowledged, without a version
)

// MaxUnresolved is how many ended writes without a place in the order a key may have before its
// reads become unjudged: each of them makes every later read indeterminate anyway.
const MaxUnresolved = 64
