package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// commit adds an entry of the source's log.
func (j *Judge) commit(k *keyState, c targets.Commit) {
	h, token := &k.history, j.signature(c.Token)
	at, isNew := h.put(c.Version)
	v := &h.versions[at]
	if !isNew {
		if v.token.hash != token.hash || v.deleted != c.Deleted { // numbering restarted: what was there is gone
			j.lostOrRolledBack(k, at, c.At, "its version was committed again with another value", j.logEntry(c))
			k.rewritten = true
		}
		return
	}
	v.token = token
	if c.Deleted {
		h.bury(at)
		k.deletionLogged(at)
	}
	h.notBefore(at, c.At)
	v.since = before
	if c.Version == 1 {
		t, ok := targets.ParseToken(c.Token)
		v.initial = !ok || t.Run != j.cfg.Run || t.Seq == targets.SeedSeq
	}
	h.by(at, c.At, committed)
	if i, ok := k.openByToken(token.hash); ok && c.Token != "" {
		if w := &k.open[i]; w.state == inFlight {
			w.version = c.Version
		} else {
			v.ackedAt = w.returned
			k.settle(i)
		}
		return
	}
	if len(k.failed) == 0 || c.Deleted {
		return
	}
	if t, ok := targets.ParseToken(c.Token); ok && t.Run == j.cfg.Run && t.For(k.key) {
		if r, failed := k.takeFailed(t.Seq); failed {
			j.falseRejection(k, r, c.Version, c.At, j.logEntry(c))
		}
	}
}

// seal notes that the log is complete before t and judges the reads that waited for that.
func (j *Judge) seal(t time.Duration) {
	for {
		was := j.sealed.Load()
		if int64(t) <= was {
			return
		}
		if j.sealed.CompareAndSwap(was, int64(t)) {
			break
		}
	}
	buffer := verdicts.Get().(*[]verdict)
	for i := range j.shards {
		s, done := &j.shards[i], (*buffer)[:0]
		s.mu.Lock()
		for w := s.waiting.first; w != nil && j.settled(w.k, &w.op); w = s.waiting.first {
			done = j.judgeFirst(s, &s.waiting, done)
		}
		s.mu.Unlock()
		*buffer = j.pronounceAll(done)
	}
	verdicts.Put(buffer)
}

// settled says whether the log can't say more about a read. Commits at the very time of a seal may not have been sent
// yet: at that time only a read that began earlier and whose version is in the log is settled.
func (j *Judge) settled(k *keyState, op *targets.Operation) bool {
	sealed := time.Duration(j.sealed.Load())
	if sealed != op.Returned {
		return sealed > op.Returned
	}
	if op.Reply.Absent || op.Reply.Version == 0 || op.Sent == sealed { // its token may be stored again at this time
		return false
	}
	_, ok := j.logged(k, op)
	return ok
}

// logged gives the version that the log says the read answered, if it was committed by its return.
func (j *Judge) logged(k *keyState, op *targets.Operation) (uint64, bool) {
	if v := op.Reply.Version; v != 0 {
		at, ok := k.history.find(v)
		return v, ok && k.history.versions[at].own <= op.Returned
	}
	if op.Reply.Token == "" {
		return 0, false
	}
	at, ok := k.history.byToken(j.digest(op.Reply.Token), op.Returned)
	if !ok {
		return 0, false
	}
	return k.history.versions[at].n, true
}
