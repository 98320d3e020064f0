package oracle

import (
	"strings"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// finding is what the check of an answer's value came to.
type finding uint8

const (
	sound         finding = iota
	blank                 // no token where a value was answered
	owned                 // the answer says that it belongs to another key
	mixed                 // the token was written for another key
	malformed             // the token did not arrive whole
	conflicting           // another value is known to be this version
	uncommitted           // the source had not committed it
	unwritten             // no write of this run stored it
	alien                 // another run wrote it
	contradicting         // as conflicting, from the source itself: the write is accused, not the read
	unplaced              // its place in the key's history is not known: no accusation
	unsealed              // the source's log is not complete up to the read's return
)

// match is what was found out about the value of an answer.
type match struct {
	finding finding
	version uint64               // that was answered; 0 with values alone, and of an absence, whose version compare finds
	record  *history.WriteRecord // that stored the value, with values alone; nil of an absence
	known   history.Signature    // of a conflicting answer: the value that the version is known to have
}

// placed reports whether the value has a place among the key's writes, so that the read can be
// judged.
func (m match) placed() bool { return m.finding == sound || m.finding == blank && m.version != 0 }

// classify checks a token that is not the one known for the version answered. own is its parsed
// form when the finding is sound: a token of this run for this key.
func (k *keyState) classify(token string) (own targets.Token, f finding) {
	t, ok := targets.ParseToken(token)
	switch {
	case !ok && k.drill.cfg.ForeignWriters && !strings.HasPrefix(token, k.drill.cfg.Run+"."):
		return t, alien
	case !ok:
		return t, malformed
	case t.Run != k.drill.cfg.Run:
		return t, alien
	case !t.For(k.key):
		return t, mixed
	}
	return t, sound
}

// accuses gives the kind of accusation that a finding is.
func (f finding) accuses() (kind, bool) {
	switch f {
	case owned:
		return kindLeak, true
	case mixed, malformed, conflicting:
		return kindCorruption, true
	case uncommitted, unwritten:
		return kindDirty, true
	}
	return 0, false
}

// excuse gives the reason why a read with this finding is unjudged instead of accused; empty when
// it is accused.
func (f finding) excuse() string {
	switch f {
	case alien:
		return "another run wrote this value"
	case blank:
		return "the answer has neither version nor token"
	case contradicting:
		return "the source contradicted its own history"
	case unplaced:
		return "the value's place in the key's history is not known"
	}
	return ""
}

// countClaims counts what an answer's value could have exposed, and notes whether its family's
// answers carry tokens.
func (k *keyState) countClaims(op *targets.Operation) {
	r := &op.Reply
	if r.Absent {
		return
	}
	cached := op.Instance != targets.SourceInstance
	if r.Token != "" {
		if cached {
			k.counts.corruptions++
		}
		if !k.family.tokens.Load() {
			k.family.tokens.Store(true)
		}
	}
	if k.siblings && cached && (r.Token != "" || r.Owner != targets.Key{}) {
		k.counts.leaks++
	}
}

// oddSeq is in the place of a token's number when it has none.
const oddSeq = targets.SeedSeq - 1

// signature is a token as it is kept.
func (d *drillState) signature(token string) history.Signature {
	m := history.Signature{Hash: d.digest(token)}
	if m.Hash == 0 {
		return m
	}
	m.Seq = oddSeq
	if t, ok := targets.ParseToken(token); ok {
		m.Seq = t.Seq
	}
	return m
}
