package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// What the log model and the version model have in common: both know a key's history by versions.

// answered gives the version that a read answered: of an absence, the one most favourable to the
// cache.
func (k *keyState) answered(of match, op *targets.Operation) uint64 {
	if op.Reply.Absent {
		return k.history.AbsentAt(op.Returned)
	}
	return of.version
}

func (k *keyState) superseded(t, within time.Duration) bool { return k.history.Superseded(t, within) }

// missing counts the versions from index first on that were proven to be there before a read past
// the caches began, which answered version v: the source no longer has them.
func (k *keyState) missing(first int, v uint64, op *targets.Operation) {
	for at := first; at < len(k.history.All); at++ {
		if k.history.All[at].Own < op.Sent {
			k.gone(at, op.Sent, textAudit(v, op), answered(op))
		}
	}
}

// contradicted turns a conflicting answer of the source itself into an accusation of the write that
// the source no longer has.
func (k *keyState) contradicted(m match, op *targets.Operation) match {
	if op.Instance != targets.SourceInstance {
		return m
	}
	k.audited = max(k.audited, op.Sent)
	at, _ := k.history.Find(m.version)
	if !k.trusted() || k.history.All[at].Own >= op.Sent {
		m.finding = unplaced
		return m
	}
	k.gone(at, op.Sent, "the source answered its version with another value", answered(op))
	m.finding = contradicting
	return m
}

// gone counts a version that the source no longer has, once: as a lost write if its write was
// acknowledged, and else as a rollback.
func (k *keyState) gone(at int, when time.Duration, how string, against Event) {
	v := &k.history.All[at]
	if v.Gone || v.Contested {
		return
	}
	v.Gone = true
	if v.AckedAt == never {
		k.rolledBack(when, v.N, v.Token.Seq, textRollback(k.key, v, how), k.goneHistory(at, against))
		return
	}
	seq := v.Token.Seq
	if v.Deleted {
		seq = targets.SeedSeq // which deletion made it is not remembered
	}
	k.lost(write{seq: seq, token: v.Token.Hash, sent: v.Sent, returned: v.AckedAt, claimed: v.N, deleted: v.Deleted}, "; "+how,
		k.goneHistory(at, against)...)
}
