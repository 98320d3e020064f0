package oracle

import (
	"strings"

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
	ordered               // its place in the key's history is not known: no accusation
)

// classify checks a token that is not the one known for the version answered. own is its parsed form when
// the finding is sound: a token of this run for this key.
func (j *Judge) classify(key targets.Key, token string) (own targets.Token, f finding) {
	t, ok := targets.ParseToken(token)
	switch {
	case !ok && j.cfg.ForeignWriters && !strings.HasPrefix(token, j.cfg.Run+"."):
		return t, alien
	case !ok:
		return t, malformed
	case t.Run != j.cfg.Run:
		return t, alien
	case !t.For(key):
		return t, mixed
	}
	return t, sound
}

// claims counts what an answer's value could have exposed, and notes whether its family tells tokens.
func (j *Judge) claims(s *shard, k *keyState, op *targets.Operation) {
	r := &op.Reply
	if r.Absent {
		return
	}
	if r.Token != "" {
		if op.Instance != targets.SourceInstance {
			s.counts.corruptions++
		}
		if !k.family.told.Load() {
			k.family.told.Store(true)
		}
	}
	if k.siblings && op.Instance != targets.SourceInstance && (r.Token != "" || r.Owner != targets.Key{}) {
		s.counts.leaks++
	}
}

// place checks a read's answer without a historian, notes what it proves, and gives the version that it answered.
// An absent answer's version is found when it is judged.
func (j *Judge) place(s *shard, k *keyState, op *targets.Operation) (v uint64, f finding, known signature) {
	j.claims(s, k, op)
	return j.placeVersion(k, op)
}

// placeVersion is place without the counting.
func (j *Judge) placeVersion(k *keyState, op *targets.Operation) (v uint64, f finding, known signature) {
	r := &op.Reply
	if (r.Owner != targets.Key{}) && r.Owner != k.key {
		return 0, owned, signature{}
	}
	h := &k.history
	at, ok := -1, false
	if r.Version != 0 {
		at, ok = h.find(r.Version)
	}
	if ok && h.versions[at].token.hash == j.digest(r.Token) && h.versions[at].deleted == r.Absent {
		j.saw(k, at, op) // the common case: nothing new but the time
		if r.Token == "" && !r.Absent {
			return r.Version, blank, signature{}
		}
		return r.Version, sound, signature{}
	}
	switch {
	case r.Absent && j.cfg.Shared:
		return 0, ordered, signature{}
	case r.Absent:
		if r.Version != 0 && !ok { // the target tells the version of a deletion that is not ours
			at, _ = h.put(r.Version)
			h.bury(at)
			j.saw(k, at, op)
		}
		return 0, sound, signature{}
	case r.Token == "":
		if r.Version != 0 {
			if !ok {
				at, _ = h.put(r.Version)
			}
			j.saw(k, at, op)
		}
		return r.Version, blank, signature{}
	}
	t, f := j.classify(k.key, r.Token)
	switch {
	case f == alien:
		k.foreign = true
		return 0, f, signature{}
	case f != sound:
		return 0, f, signature{}
	case ok && h.versions[at].token.hash != 0:
		if h.versions[at].ackedAt == never && op.Instance != targets.SourceInstance { // of two reads, nobody knows which one is right
			k.tainted = true
		}
		return r.Version, conflicting, h.versions[at].token
	}
	return j.placeToken(k, t, op)
}

// placeToken finds which write stored the value that a read answered, and notes its version if that is news.
func (j *Judge) placeToken(k *keyState, t targets.Token, op *targets.Operation) (uint64, finding, signature) {
	h, r := &k.history, &op.Reply
	token := signature{j.digest(r.Token), t.Seq}
	sent, v := before, r.Version
	i, open := k.openByToken(token.hash)
	earlier, known := 0, false
	if !open || k.open[i].version != 0 { // else nobody has seen it
		earlier, known = h.byToken(token.hash, never)
	}
	switch {
	case v == 0 && known:
		v = h.versions[earlier].n
		j.saw(k, earlier, op)
		return v, sound, signature{}
	case known: // stored twice: a duplicated write, as networks make them
		sent = h.versions[earlier].sent
	case open:
		sent = k.open[i].sent
	case t.Seq == targets.SeedSeq: // there before everything
	default:
		rejected, failed := k.takeFailed(t.Seq)
		switch {
		case failed:
			sent = rejected.sent
			j.falseRejection(k, rejected, v, op.Sent, answered(op))
			if v == 0 { // it has a place, and nobody told which
				k.open = append(k.open, write{seq: t.Seq, token: token.hash, sent: sent})
				k.keep(len(k.open)-1, unknown, rejected.returned)
			}
		case k.crowded:
			return 0, ordered, signature{}
		default:
			return 0, unwritten, signature{}
		}
	}
	if v == 0 {
		return 0, ordered, signature{}
	}
	at, _ := h.put(v)
	h.versions[at].token = token
	h.notBefore(at, sent)
	if open && h.versions[at].ackedAt == never {
		w := &k.open[i]
		w.version = v
		switch w.state {
		case unplaced:
			h.versions[at].ackedAt = w.returned // no evidence of v: this may be a later duplicate of what was acknowledged
			fallthrough
		case unknown:
			k.settle(i)
			h.postpone(v)
		}
	}
	j.saw(k, at, op)
	j.checkOrder(k, at)
	return v, sound, signature{}
}

// saw notes that a read returned version at.
func (j *Judge) saw(k *keyState, at int, op *targets.Operation) {
	h := &k.history
	h.told(at, op.Sent)
	if op.Instance != targets.SourceInstance && !op.Reply.Absent {
		h.versions[at].last = max(h.versions[at].last, op.Sent)
	}
	k.witness(&h.versions[at], op)
	if op.Returned < h.versions[at].high || op.Returned < h.versions[at].own {
		h.by(at, op.Returned, seen)
		j.checkOrder(k, at)
	}
}

// placeLogged checks a read's answer against the log, which is complete up to its return unless the drill is over.
func (j *Judge) placeLogged(s *shard, k *keyState, op *targets.Operation) (v uint64, f finding, known signature) {
	r := &op.Reply
	j.claims(s, k, op)
	if (r.Owner != targets.Key{}) && r.Owner != k.key {
		return 0, owned, signature{}
	}
	if r.Absent {
		return 0, sound, signature{}
	}
	v, ok := j.logged(k, op)
	if r.Token == "" {
		if !ok && v == 0 || !ok && int64(op.Returned) >= j.sealed.Load() {
			return 0, blank, signature{}
		}
		if !ok {
			return 0, uncommitted, signature{}
		}
		return v, blank, signature{}
	}
	if ok {
		at, _ := k.history.find(v)
		if known = k.history.versions[at].token; known.hash == j.digest(r.Token) && !k.history.versions[at].deleted {
			return v, sound, signature{}
		}
	}
	_, f = j.classify(k.key, r.Token)
	switch {
	case f == alien:
		k.foreign = true
		return 0, f, signature{}
	case f != sound:
		return 0, f, signature{}
	case ok:
		return v, conflicting, known
	case int64(op.Returned) >= j.sealed.Load():
		return 0, ordered, signature{} // the log ended before the read did
	}
	return 0, uncommitted, signature{}
}
