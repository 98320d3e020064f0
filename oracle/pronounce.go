package oracle

import (
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

// verdicts is buffers for verdicts that are to be told.
var verdicts = sync.Pool{New: func() any { return new([]verdict) }}

// maxBuffered is how many verdicts a buffer may hold to be used again.
const maxBuffered = 4096

// pronounceAll tells verdicts and gives their buffer back, empty. No shard is locked.
func (j *Judge) pronounceAll(done []verdict) []verdict {
	for i := range done {
		j.pronounce(&done[i])
	}
	if cap(done) > maxBuffered {
		return nil
	}
	return done[:0]
}

// pronounce tells a verdict: to the ledger, and to whoever wants every judgement. No shard is locked.
func (j *Judge) pronounce(d *verdict) {
	switch d.finding {
	case sound, alien, ordered, contradicting:
	case blank:
		f := d.family
		if f.blanks.count(d.Op.Sent) {
			f.blanks.keep(d.wrong(textValue(&d.Op, "carried no value")))
		}
	case owned:
		j.accuseRead(kindLeak, d, textLeak(&d.Op, d.Op.Reply.Owner))
	case mixed:
		switch owner, ok := j.mixups.owner(j, d.Op.Key, d.Op.Reply.Token); {
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
			j.ledger.violations[d.family.Class].Add(1)
			j.accuseStale(kindViolation, d)
		}
	}
	if j.cfg.Judged != nil {
		j.cfg.Judged(d.Judgement)
	}
}

func (j *Judge) accuseRead(k kind, d *verdict, text string) {
	d.Accused = k.String()
	if j.ledger.count(k, d.Op.Sent) {
		j.ledger.keep(k, d.wrong(text))
	}
}

func (j *Judge) accuseStale(k kind, d *verdict) {
	if j.ledger.count(k, d.Op.Sent) {
		j.ledger.keep(k, d.stale())
	}
	j.ledger.trays[k].weigh(d)
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
