package oracle

import (
	"slices"
	"sort"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// maxUnplaced is how many ended writes of unknown version a key may have before its reads become
// unjudged: each of them makes every later read indeterminate anyway.
const maxUnplaced = 64

// write is a write whose fate is not settled.
type write struct {
	seq      uint64
	token    uint64 // see [Judge.digest]
	sent     time.Duration
	returned time.Duration // of its acknowledgement
	claimed  uint64        // as which version it was acknowledged, while the log has not shown it
	version  uint64        // under which a read or the log showed it while it was in flight; 0: none did
	state    fate
	deleted  bool // it is a deletion, and has no token
}

type fate uint8

const (
	inFlight fate = iota
	unknown       // it ended without a definite answer
	unplaced      // it was acknowledged, and nobody told its version
)

// rejection is a write that the target promised to be without effect.
type rejection struct {
	seq  uint64
	sent time.Duration
	// returned is when the promise was made.
	returned time.Duration
}

// openBySeq gives the index of an unsettled write.
func (k *keyState) openBySeq(seq uint64) (int, bool) {
	for i := len(k.open) - 1; i >= 0; i-- {
		if k.open[i].seq == seq {
			return i, true
		}
	}
	return 0, false
}

func (k *keyState) openByToken(token uint64) (int, bool) {
	for i := range k.open {
		if k.open[i].token == token && !k.open[i].deleted {
			return i, true
		}
	}
	return 0, false
}

// settle forgets an unsettled write.
func (k *keyState) settle(i int) {
	if k.open[i].state != inFlight {
		k.unplaced--
	}
	k.open = append(k.open[:i], k.open[i+1:]...)
}

// keep keeps a write that ended although its version is not known.
func (k *keyState) keep(i int, state fate, returned time.Duration) {
	k.open[i].state, k.open[i].returned = state, returned
	if k.unplaced++; k.unplaced > maxUnplaced {
		k.prune()
	}
	if k.unplaced > maxUnplaced {
		if k.told == never {
			k.overfull = true // the register knows them
		} else {
			k.crowded = true
		}
		k.settle(i)
	}
}

// prune forgets acknowledged writes that no read to come can have missed: those that precede a version which all
// reads that are not judged yet either answered, or are stale by, or follow.
func (k *keyState) prune() {
	versions := k.history.versions
	oldest := k.flight.oldest()
	for w := k.waiting.first; w != nil; w = w.next {
		oldest = min(oldest, w.op.Sent)
	}
	last := k.history.supersededBy(oldest)
	if last < 0 {
		return
	}
	for i := len(k.open) - 1; i >= 0; i-- {
		if w := &k.open[i]; w.state == unplaced && w.returned < versions[last].low {
			k.settle(i)
			k.pruned = true
		}
	}
}

func (k *keyState) reject(op *targets.Operation) {
	k.failed = slices.Insert(k.failed, k.rejection(op.Seq), rejection{seq: op.Seq, sent: op.Sent, returned: op.Returned})
}

// rejection gives the index of a rejected write, or where it belongs.
func (k *keyState) rejection(seq uint64) int {
	return sort.Search(len(k.failed), func(i int) bool { return k.failed[i].seq >= seq })
}

// takeFailed gives the rejected write seq and forgets it: it is accused once.
func (k *keyState) takeFailed(seq uint64) (rejection, bool) {
	at := k.rejection(seq)
	if at == len(k.failed) || k.failed[at].seq != seq {
		return rejection{}, false
	}
	r := k.failed[at]
	k.failed = append(k.failed[:at], k.failed[at+1:]...)
	return r, true
}

// endWrite settles a write as far as its end allows.
func (j *Judge) endWrite(s *shard, k *keyState, op *targets.Operation) {
	i, ok := k.openBySeq(op.Seq)
	if !ok { // the caller left Begin out: take the write as it is now
		k.open = append(k.open, write{seq: op.Seq, token: j.digest(op.Token), sent: op.Sent, deleted: op.Kind == targets.Delete})
		i = len(k.open) - 1
		s.counts.writes++
	}
	w := k.open[i]
	read := false
	if !j.cfg.Historian {
		if op.Outcome == targets.OK && op.Reply.Version != 0 {
			k.tells(op)
		}
		if r := k.unordered(op.Sent); r != nil {
			read = r.end(op)
		}
	}
	switch op.Outcome {
	case targets.OK:
		s.counts.acknowledged++
		s.sessions.saw(k, op, op.Reply.Version)
		j.acknowledge(k, i, op)
	case targets.Failed:
		s.counts.rejected++
		switch {
		case w.version != 0:
			k.settle(i)
			j.falseRejection(k, rejection{w.seq, w.sent, op.Returned}, w.version, op.Returned, j.there(k, w.version))
		case read:
			k.keep(i, unknown, op.Returned) // it has a place, and nobody told which
			j.falseRejection(k, rejection{w.seq, w.sent, op.Returned}, 0, op.Returned, k.seenLoose(w.seq))
		default:
			k.settle(i)
			k.reject(op)
		}
	default:
		s.counts.unknown++
		switch {
		case w.version != 0:
			k.settle(i)
			k.history.postpone(w.version)
		case j.cfg.Historian:
			k.settle(i) // the log will tell, if there is anything to tell
		default:
			k.keep(i, unknown, op.Returned)
		}
	}
}

// acknowledge notes that the unsettled write i was acknowledged.
func (j *Judge) acknowledge(k *keyState, i int, op *targets.Operation) {
	w := k.open[i]
	switch {
	case j.cfg.Historian && w.deleted:
		k.acknowledgeLogged(i, op)
	case j.cfg.Historian && w.version == 0:
		k.keepForLog(i, op)
	case j.cfg.Historian:
		k.settle(i)
		at, _ := k.history.find(w.version)
		k.history.versions[at].ackedAt = min(k.history.versions[at].ackedAt, op.Returned)
	case op.Reply.Version != 0:
		k.settle(i)
		j.placeAcknowledged(k, w, op)
	case w.version != 0:
		k.settle(i)
		at, _ := k.history.find(w.version)
		k.history.versions[at].ackedAt = op.Returned
		k.history.postpone(w.version)
	default:
		k.keep(i, unplaced, op.Returned)
	}
}

// keepForLog keeps an acknowledged write until the log shows it, or does not.
func (k *keyState) keepForLog(i int, op *targets.Operation) {
	k.open[i].state, k.open[i].returned, k.open[i].claimed = unplaced, op.Returned, op.Reply.Version
	k.unplaced++
}

// placeAcknowledged adds the version as which a write was acknowledged.
func (j *Judge) placeAcknowledged(k *keyState, w write, op *targets.Operation) {
	if w.deleted {
		j.placeDeleted(k, w, op)
		return
	}
	at, isNew := k.history.put(op.Reply.Version)
	v := &k.history.versions[at]
	if !isNew && (v.deleted || v.token.hash != 0 && v.token.hash != w.token) {
		j.contradict(k, at, w, op)
		return
	}
	v.token = signature{w.token, w.seq}
	j.placed(k, at, w, op)
}

// contradict notes that a write was acknowledged as a version that is known to be another value.
func (j *Judge) contradict(k *keyState, at int, w write, op *targets.Operation) {
	v := &k.history.versions[at]
	switch {
	case v.ackedAt == never: // a read had answered this version with another value
		if j.ledger.count(kindCorruption, op.Returned) {
			j.ledger.keep(kindCorruption, k.accusation(op.Returned, *op, textMisread(k.key, v, op),
				append(j.proven(k, at), acked(k.key, op.Seq, v.n, op.Sent, op.Returned)), proofMisread(v, op)))
		}
		k.tainted = true
	case !v.contested: // two writes were acknowledged as one version: the source has at most one of them
		v.contested = true
		j.lost(k, write{seq: op.Seq, token: w.token, sent: op.Sent, returned: op.Returned, claimed: v.n, deleted: w.deleted},
			"; another write was acknowledged as the same version",
			acked(k.key, v.token.seq, v.n, v.sent, v.ackedAt), acked(k.key, op.Seq, v.n, op.Sent, op.Returned))
	}
}

// placed notes that a write was acknowledged as version at.
func (j *Judge) placed(k *keyState, at int, w write, op *targets.Operation) {
	h := &k.history
	h.versions[at].ackedAt = min(h.versions[at].ackedAt, op.Returned)
	h.notBefore(at, w.sent)
	h.told(at, op.Sent)
	h.by(at, op.Returned, acknowledged)
	j.checkOrder(k, at)
}

// checkOrder accuses versions that a read or an acknowledgement proves to have been followed by
// another before they can have existed: version order is commit order. at is the version that something
// new was learned of: if that was evidence, it bears on the versions up to at, and low, which does not fall,
// ends the walk; if it was the write's Sent, it bears on at alone.
func (j *Judge) checkOrder(k *keyState, at int) {
	versions := k.history.versions
	if !k.trusted() {
		return
	}
	for i := at; i >= 0 && versions[i].low > versions[at].high; i-- {
		v := &versions[i]
		if v.disordered || v.sent <= v.high {
			continue
		}
		v.disordered = true
		if j.ledger.count(kindCorruption, v.sent) {
			j.ledger.keep(kindCorruption, k.accusation(v.sent, targets.Operation{}, textDisorder(k.key, v),
				j.disorderHistory(k, i), proofDisorder(v)))
		}
	}
}
