package oracle

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cachedrill/cachedrill/targets"
)

// buffer is where one call keeps its operation, and the verdicts that are to be emitted once no
// lock is held.
type buffer struct {
	op   targets.Operation
	done []verdict
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxBuffered is how many verdicts a buffer may hold to be used again.
const maxBuffered = 4096

// emitAll emits verdicts and gives their buffer back, empty. No shard is locked.
func (j *Judge) emitAll(done []verdict) []verdict {
	for i := range done {
		j.emit(&done[i])
	}
	if cap(done) > maxBuffered {
		return nil
	}
	return done[:0]
}

// emit counts what a verdict accuses, and hands the judgement to [Config.Judged]. No shard is
// locked.
func (j *Judge) emit(d *verdict) {
	switch d.finding {
	case sound, alien, unplaced, unsealed, contradicting:
	case blank:
		f := d.family
		if f.blanks.count(d.Op.Sent) {
			f.blanks.keep(d.wrong(textValue(&d.Op, "carried no value")))
		}
	case owned:
		j.accuseRead(kindLeak, d, textLeak(&d.Op, d.Op.Reply.Owner))
	case mixed:
		switch owner, ok := j.leaks.owner(j, d.Op.Key, d.Op.Reply.Token); {
		case ok && owner.Family == d.Op.Key.Family:
			d.history = j.mixedHistory(owner, &d.Op)
			j.accuseRead(kindLeak, d, textLeak(&d.Op, owner))
		case ok:
			d.history = j.mixedHistory(owner, &d.Op)
			j.accuseRead(kindCorruption, d, textLeak(&d.Op, owner))
		default:
			j.accuseRead(kindCorruption, d, textValue(&d.Op, "was the value of a key unknown to this drill"))
		}
	case malformed:
		j.accuseRead(kindCorruption, d, textDamaged(&d.Op))
	case conflicting:
		j.accuseRead(kindCorruption, d, textConflict(&d.Op, d.known))
	case uncommitted:
		j.accuseRead(kindDirty, d, textValue(&d.Op, "was not in the source's history by then"))
	case unwritten:
		j.accuseRead(kindDirty, d, textValue(&d.Op, "was stored by no write of this drill"))
	}
	if d.Answer == Stale && d.Op.Instance != targets.SourceInstance {
		j.accuseStale(kindStale, d)
		if d.Violation {
			j.accused.violations[d.family.Class].Add(1)
			j.accuseStale(kindViolation, d)
		}
	}
	if j.cfg.Judged != nil {
		j.cfg.Judged(d.Judgement)
	}
}

func (j *Judge) accuseRead(k kind, d *verdict, text string) {
	d.Accused = k.String()
	if j.accused.count(k, d.Op.Sent) {
		j.accused.keep(k, d.wrong(text))
	}
}

func (j *Judge) accuseStale(k kind, d *verdict) {
	if j.accused.count(k, d.Op.Sent) {
		j.accused.keep(k, d.stale())
	}
	j.accused.byKind[k].weigh(d)
}

// about is an accusation of the judged read.
func about(d *Judgement, text string) Accusation {
	return Accusation{
		Key: d.Op.Key, At: d.Op.Sent, Family: d.Op.Key.Family, Class: d.Class, Text: text,
		Op: d.Op, Low: d.Low, High: d.High,
	}
}

// stale is an accusation of the judged read's staleness.
func (d *verdict) stale() Accusation {
	a := about(&d.Judgement, d.Text())
	a.History, a.Proof = d.history, proofStale(&d.Judgement, d.family)
	return a
}

// wrong is an accusation of the judged read's value.
func (d *verdict) wrong(text string) Accusation {
	a := about(&d.Judgement, text)
	a.History = d.history
	if a.History == nil || d.Answer == Stale { // what is wrong with the value shows in the answer itself
		a.History = []Event{accused(&d.Op, d.Op.Reply.Version)}
	}
	a.Proof = proofValue(d.finding, &d.Op, a.History)
	return a
}

// mixedHistory proves that a value is another key's: what is known of it there, and the read. No
// shard may be locked.
func (j *Judge) mixedHistory(owner targets.Key, op *targets.Operation) []Event {
	s, hash := j.shardOf(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	k, token := j.state(s, hash, owner), j.digest(op.Reply.Token)
	var events []Event
	if at, ok := k.history.ByToken(token, never); ok {
		events = k.proven(at)
	} else if at, ok := k.open.byToken(token); ok {
		w := &k.open.all[at]
		events = []Event{{What: WriteSent, Key: owner, Seq: w.seq, Writer: w.seq, Version: w.version, Sent: w.sent}}
	}
	return append(events, accused(op, op.Reply.Version))
}

// leakIndex finds out whose value a token is: the key that it was written for, among all keys that
// the judge knows. A token names its key only by a hash, so the answer is built from the keys at
// the first mix-up.
type leakIndex struct {
	built  sync.Once
	wanted atomic.Bool // new keys are to be added

	mu   sync.Mutex
	keys map[string][]targets.Key // by the hash part of their tokens
}

// noticed adds a new key, once there was a leak.
func (m *leakIndex) noticed(key targets.Key) {
	if !m.wanted.Load() {
		return
	}
	h := keyHash(targets.NewToken("x", 0, key))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys[h] {
		if k == key {
			return
		}
	}
	m.keys[h] = append(m.keys[h], key)
}

// owner gives the key that the token was written for, one of the asked key's family if there is a
// choice. No shard may be locked.
func (m *leakIndex) owner(j *Judge, asked targets.Key, token string) (owner targets.Key, ok bool) {
	m.built.Do(func() {
		m.mu.Lock()
		m.keys = map[string][]targets.Key{}
		m.mu.Unlock()
		m.wanted.Store(true)
		var all []targets.Key
		j.each(func(_ *shard, k *keyState) { all = append(all, k.key) })
		for _, k := range all {
			m.noticed(k)
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys[keyHash(token)] {
		if k != asked && (!ok || k.Family == asked.Family) {
			owner, ok = k, true
		}
	}
	return owner, ok
}

// keyHash is the part of a token, run.seq.keyhash.crc, that depends on the key alone.
func keyHash(token string) string {
	body := token[:max(0, strings.LastIndexByte(token, '.'))]
	return body[strings.LastIndexByte(body, '.')+1:]
}
