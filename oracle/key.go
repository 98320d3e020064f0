package oracle

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// drillState is what the keys of one drill share.
type drillState struct {
	cfg      Config
	seed     maphash.Seed // of the tokens' hashes
	accused  ledger
	health   healthLog
	sealed   atomic.Int64 // every commit before it is known; math.MinInt64 at first
	waiting  atomic.Int64 // reads that wait to be judged
	finished bool         // no more is to come: what waits is judged with what is known
}

// counts are the counters that ordinary operations move; accusations are counted in the ledger.
type counts struct {
	writes, acknowledged, unknown       int
	rejected                            int // writes that the target promised to be without effect
	unjudged, sessions                  int
	canStale, canViolate                int
	leaks, corruptions, sessionsChecked int
	lostChecked, rollbacksChecked       int
}

func (c *counts) add(o *counts) {
	c.writes += o.writes
	c.acknowledged += o.acknowledged
	c.unknown += o.unknown
	c.rejected += o.rejected
	c.unjudged += o.unjudged
	c.sessions += o.sessions
	c.canStale += o.canStale
	c.canViolate += o.canViolate
	c.leaks += o.leaks
	c.corruptions += o.corruptions
	c.sessionsChecked += o.sessionsChecked
	c.lostChecked += o.lostChecked
	c.rollbacksChecked += o.rollbacksChecked
}

// digest is the hash of a token in its [history.Signature]; 0 for none.
func (d *drillState) digest(token string) uint64 {
	if token == "" {
		return 0
	}
	return maphash.String(d.seed, token) | 1
}

// logEnd is the time up to which the source's log is complete.
func (d *drillState) logEnd() time.Duration { return time.Duration(d.sealed.Load()) }

// family is a kind of key and what was learned about it.
type family struct {
	Family
	name    string
	classed bool // the configuration gave it a class

	// tokens says that an answer of this family carried a token, so that one without is a damaged
	// one.
	tokens atomic.Bool
	blanks topAccusations // answers without a token; accused at the end if others carry one
}

func newFamily(name string, f Family, classed bool) *family {
	n := &family{Family: f, name: name, classed: classed}
	n.blanks.init()
	return n
}

// class is the family's class as labels show it; empty when it has none.
func (f *family) class() string {
	if !f.classed {
		return ""
	}
	return f.Class.String()
}

// strong reports whether the family promises that no read is stale.
func (f *family) strong() bool { return f.classed && f.Class == Strong }

// keyState is what is known of one key. The lock of its shard guards it. It is wide because each
// field exists once a key and million-key drills are usual: nested structs would pad it.
type keyState struct {
	key      targets.Key
	hash     uint64
	chain    *keyState
	family   *family
	drill    *drillState
	counts   *counts // of the shard
	siblings bool

	history  history.Versions // of the log model and the version model
	values   *history.Values  // of the value model, while the key may have to be judged by it
	open     openWrites       // writes whose version is not known
	inflight history.Inflight // operations in flight; without a log only
	waiting  queue            // reads that wait for others to end; without a log only

	staleSpans []history.StaleSpan // versions that were read proven-stale, by version
	// witnesses is the reads that are the earliest evidence of a version, by version; of the
	// version model only.
	witnesses map[uint64]Event
	absences  *notFound // of families with a class, without a log
	underWay  *underWay // nil until the key is changed

	versionedFrom time.Duration // the earliest Sent among the operations that carried a version; [never] if none did
	audited       time.Duration // when the last read past the caches began; [before] at first
	// sourced is when the last read began that was loaded from the source, though not past the
	// caches, and was fresh: what had been written by then was not lost. A stale one proves
	// nothing: it may have joined a load that was under way.
	sourced time.Duration

	// foreign: another run wrote here. rewritten: the source contradicted its own history. tainted:
	// what is known of a version came from a read that another answer contradicts. crowded: too
	// many unresolved writes. Each makes the key's reads unjudged from then on.
	foreign, rewritten, tainted, crowded bool
	violated                             bool // a read from a cache was proven to break the family's class
}

// notFound is a key's answers "not found", from caches and past them.
type notFound struct{ cached, past history.Absences }

func newKey(key targets.Key, hash uint64, f *family, d *drillState, c *counts) *keyState {
	k := &keyState{key: key, hash: hash, family: f, drill: d, counts: c, audited: before, sourced: before, versionedFrom: never}
	k.history.Shown = before
	k.siblings = d.cfg.Siblings != nil && d.cfg.Siblings(key)
	return k
}

// trusted reports whether what is known of the key's versions can be believed.
func (k *keyState) trusted() bool { return !k.foreign && !k.rewritten && !k.tainted }

// why is the reason why reads of a key with such flags are unjudged; empty when there is none.
func (k *keyState) why() string {
	switch {
	case k.foreign:
		return "another run wrote to this key"
	case k.tainted:
		return "the target's answers contradict each other"
	case k.rewritten:
		return "the source contradicted its own history"
	case k.crowded:
		return tooManyUnknown
	}
	return ""
}

const tooManyUnknown = "too many writes of unknown outcome"

// looked is until when writes were looked for at the source.
func (k *keyState) looked() time.Duration { return max(k.audited, k.sourced) }

// sawSource notes a fresh answer that came from the source, to a client that asks instance by
// instance: which is after the last write.
func (k *keyState) sawSource(d *Judgement) {
	if d.Answer == Fresh && d.Op.Instance != "" && (d.Op.Reply.Tier == targets.TierSource || d.Op.Reply.Tier == targets.TierBypass) {
		k.sourced = max(k.sourced, d.Op.Sent)
	}
}

// witness remembers the read if it is the earliest evidence of a version, of two at one time the
// one with the smaller number: reads are not kept otherwise. Only a version that was seen before it
// was acknowledged, or never was, has one.
func (k *keyState) witness(v *history.Version, op *targets.Operation) {
	switch {
	case op.Returned > v.Own, op.Returned == v.Own && v.OwnProof != history.Seen:
		return
	case op.Returned == v.Own:
		if was, ok := k.witnesses[v.N]; ok && was.Seq <= op.Seq {
			return
		}
	}
	if k.witnesses == nil {
		k.witnesses = map[uint64]Event{}
	}
	e := answered(op)
	e.Version, e.Owner = v.N, targets.Key{}
	e.Tier, e.Worker = strings.Clone(e.Tier), strings.Clone(e.Worker) // not the whole answer
	k.witnesses[v.N] = e
}

// promised gives the time from which on the family's class allows the answer of a read from a cache
// to have been current; ok is false where the class promises nothing of it.
func (k *keyState) promised(op *targets.Operation) (from time.Duration, ok bool) {
	f := k.family
	if !f.classed || f.Class == Eventual && !k.drill.health.healthy(op.Sent, op.Returned, f.Within) {
		return 0, false
	}
	return op.Sent - f.bound(), true
}

// violates reports whether a read that is stale is proven to break the family's class.
func (k *keyState) violates(d *Judgement) bool {
	f := k.family
	return f.classed && d.Low > f.bound() && (f.Class != Eventual || k.drill.health.healthy(d.Op.Sent, d.Op.Returned, f.Within))
}

// accusation is one about the key, to be kept under some kind.
func (k *keyState) accusation(at time.Duration, op targets.Operation, text string, events []Event, proof string) Accusation {
	return Accusation{
		Key: k.key, At: at, Family: k.key.Family, Class: k.family.class(), Text: text, Op: op, History: events, Proof: proof,
	}
}

// lost counts a lost write. how continues the text that says when it was acknowledged; the events
// prove it.
func (k *keyState) lost(w write, how string, events ...Event) {
	if k.drill.accused.count(kindLost, w.returned) {
		k.drill.accused.keep(kindLost, k.accusation(w.returned, w.operation(k.key), textLost(k.key, &w, how),
			events, proofGone(w.claimed, w.seq, events)))
	}
}

// rolledBack counts a write that was not acknowledged, was there, and is gone.
func (k *keyState) rolledBack(at time.Duration, version, seq uint64, text string, events []Event) {
	if k.drill.accused.count(kindRollback, at) {
		k.drill.accused.keep(kindRollback, k.accusation(at, targets.Operation{}, text, events, proofGone(version, seq, events)))
	}
}

// falseRejection counts a write that the target promised to be without effect and that took effect.
func (k *keyState) falseRejection(r rejection, version uint64, at time.Duration, there Event) {
	if k.drill.accused.count(kindFalseRejection, at) {
		rejected := Event{What: WriteRejected, Key: k.key, Seq: r.seq, Writer: r.seq, Sent: r.sent, Returned: r.returned, Accused: true}
		k.drill.accused.keep(kindFalseRejection, k.accusation(at, targets.Operation{}, textFalseRejection(k.key, r.seq, version, at),
			[]Event{rejected, there}, proofFalseRejection(&r, &there)))
	}
}

// disordered counts a violation that no read by itself shows.
func (k *keyState) disordered(at time.Duration, text string, zones ...history.Zone) {
	k.drill.accused.violations[k.family.Class].Add(1)
	if k.drill.accused.count(kindViolation, at) {
		k.drill.accused.keep(kindViolation, k.accusation(at, targets.Operation{}, text, orderHistory(k.key, zones), proofOrder(k.family, zones...)))
	}
}

// keepsStale reports whether the evidence of a stale read would be kept.
func (k *keyState) keepsStale(d *Judgement) bool {
	return k.drill.accused.wants(kindStale, d.Op.Sent, d.Low) || k.drill.accused.wants(kindViolation, d.Op.Sent, d.Low)
}
