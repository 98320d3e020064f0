package oracle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// The batch reference of a key without versions: it tries every commit time that the observations
// allow for every write, and so every order, and both orders of what was committed at one time.

type loosely struct {
	read     targets.Operation
	writes   []slot // which of them may be missing is in must
	values   []bool // which of them are no deletions
	v        int    // index of the one that the read answered; -1: the initial value; -2: an absence
	end      time.Duration
	seedSeen time.Duration // when an operation that was sent by the read's return saw the initial value

	least, most time.Duration // of the staleness in any world; most is never where nothing bounds it
}

// looseWorlds gives the range of the read's staleness over all worlds that operations sent by its
// return allow.
func (w *world) looseWorlds(read targets.Operation) (least, most time.Duration) {
	l := &loosely{read: read, v: -1, least: never, most: 0, seedSeen: never}
	if read.Reply.Absent {
		l.v = -2
	}
	for _, a := range w.acts {
		l.end = max(l.end, a.op.Returned+1)
		o := a.op
		if o.Kind == targets.Read && !o.Reply.Absent && o.Sent <= read.Returned && writeSeq(o.Reply.Token) == targets.SeedSeq {
			l.seedSeen = min(l.seedSeen, o.Returned)
		}
	}
	for _, a := range w.acts {
		o := a.op
		if !o.Kind.Changes() || o.Sent > read.Returned {
			continue
		}
		s := slot{from: o.Sent, to: never}
		if o.Outcome == targets.OK {
			s.to, s.must = o.Returned, true
		}
		for _, r := range w.reads() {
			if o.Kind == targets.Write && r.Sent <= read.Returned && r.Returned >= o.Sent && r.Reply.Token == o.Token {
				s.to, s.must = min(s.to, r.Returned), true
			}
		}
		if o.Outcome == targets.Failed && !s.must {
			continue
		}
		if o.Kind == targets.Write && o.Token == read.Reply.Token {
			l.v = len(l.writes)
		}
		l.writes, l.values = append(l.writes, s), append(l.values, o.Kind == targets.Write)
	}
	l.try(make([]time.Duration, 0, len(l.writes)))
	return l.least, l.most
}

// try tries every time of the next write.
func (l *loosely) try(times []time.Duration) {
	if n := len(times); n < len(l.writes) {
		for t := l.writes[n].from; t <= min(l.writes[n].to, l.end); t++ {
			l.try(append(times, t))
		}
		if !l.writes[n].must {
			l.try(append(times, never))
		}
		return
	}
	at := before // when the answered value was committed
	switch {
	case l.v >= 0:
		at = times[l.v]
	case l.v == -2:
		for n, t := range times {
			if !l.values[n] && t <= l.read.Returned {
				at = max(at, t)
			}
		}
	}
	latest, earliest := never, never // when it was superseded, as ties fall
	for n, t := range times {
		if n == l.v || l.v == -2 && !l.values[n] || t == never {
			continue
		}
		if t > at {
			latest = min(latest, t)
		}
		if t >= at {
			earliest = min(earliest, t)
		}
	}
	if l.v == -2 && at == before { // it may have existed
		latest, earliest = min(latest, l.seedSeen), before
	}
	l.least = min(l.least, max(0, l.read.Sent-latest))
	if earliest == before {
		l.most = never
	} else {
		l.most = max(l.most, l.read.Sent-earliest)
	}
}

var blind = recipe{seeded: true, unknown: true, stale: true, broken: true, blind: true, deletes: true, writes: 4, reads: 5, span: 8}

// Without versions, too, every answer is what holds in all worlds that the observations allow:
// exactly, but for the upper bound of an absence's staleness, where several deletions may explain
// it.
func TestUnorderedAnswersEqualEnumeration(t *testing.T) {
	for name, r := range map[string]recipe{
		"values":             {seeded: true, unknown: true, stale: true, blind: true, writes: 4, reads: 5, span: 8},
		"broken, deletions":  blind,
		"few, far apart":     {seeded: true, unknown: true, stale: true, blind: true, deletes: true, writes: 3, reads: 6, span: 14},
		"correct, deletions": {seeded: true, unknown: true, blind: true, deletes: true, writes: 4, reads: 5, span: 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := map[Answer]int{}
			absent, tight := 0, 0
			worlds(t, histories/3, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
				judged, _ := w.stream(rng, Config{})
				again, _ := w.stream(rng, Config{})
				require.Equal(t, judged, again, "interleaving mattered: %s", name)
				for _, o := range w.reads() {
					d := judged[o.Seq]
					if d.Accused != "" {
						continue // of a value that was read before it was sent
					}
					least, most := w.looseWorlds(o)
					counted[d.Answer]++
					require.Equal(t, least, d.Low, "low of read %d of %s", o.Seq, name)
					require.Equal(t, least > 0, d.Answer == Stale, "read %d of %s: %s", o.Seq, name, d.Answer)
					high := d.High
					if high < 0 {
						high = never
					}
					if o.Reply.Absent {
						absent++
						require.GreaterOrEqual(t, high, most, "high of read %d of %s", o.Seq, name)
						if high == most {
							tight++
						}
						continue
					}
					require.Equal(t, most, high, "high of read %d of %s", o.Seq, name)
				}
			})
			for _, a := range []Answer{Fresh, Indeterminate} {
				require.Greater(t, counted[a], histories/20, "the worlds must exercise %s: %v", a, counted)
			}
			if r.stale {
				require.Greater(t, counted[Stale], histories/20, "%v", counted)
			}
			require.GreaterOrEqual(t, tight, absent*9/10, "of %d", absent)
		})
	}
}
