package drill

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/verdict"
	"github.com/cachedrill/cachedrill/targets"
)

// legibility looks for keys that a fault made unreadable for good. An answer that can't be
// understood is an error like others while something is broken, or while a service recovers. When
// the same key could be read before the first fault, is unreadable again and again after the last
// heal and to the end, and the service has recovered otherwise, something was cached that is no
// value of the key.
type legibility struct {
	mu   sync.Mutex
	keys map[targets.Key]*legible
	// sourced is when the last read of each family was sent that the source answered.
	sourced map[string]time.Duration
}

// legible is what was seen of one key.
type legible struct {
	firstOK time.Duration // when the first read was answered
	lastOK  time.Duration // when the last one that was answered was sent; below 0: none was
	lastBad time.Duration // when the last read without a good answer was sent; below 0: none was
	odd     []oracle.Event
	errs    string // of the latest unreadable one
}

// mostOdd bounds the unreadable answers that are kept of a key: the latest ones.
const mostOdd = 64

func newLegibility() *legibility {
	return &legibility{keys: map[targets.Key]*legible{}, sourced: map[string]time.Duration{}}
}

// end takes in a read of the load.
func (l *legibility) end(op *targets.Operation) {
	if l == nil || op.Kind != targets.Read || op.Instance != "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[op.Key]
	if k == nil {
		k = &legible{lastOK: -1, lastBad: -1}
		l.keys[op.Key] = k
	}
	if op.Err == nil {
		if k.lastOK < 0 || op.Returned < k.firstOK {
			k.firstOK = op.Returned
		}
		k.lastOK = max(k.lastOK, op.Sent)
		if op.Reply.Tier == targets.TierSource {
			l.sourced[op.Key.Family] = max(l.sourced[op.Key.Family], op.Sent)
		}
		return
	}
	k.lastBad = max(k.lastBad, op.Sent)
	if !errors.Is(op.Err, targets.ErrUnreadable) {
		return
	}
	if len(k.odd) == mostOdd {
		k.odd = slices.Delete(k.odd, 0, 1)
	}
	k.odd = append(k.odd, oracle.Event{What: oracle.Answered, Key: op.Key, Seq: op.Seq, Writer: oracle.NoWriter,
		Sent: op.Sent, Returned: op.Returned, Region: op.Region})
	k.errs = op.Err.Error()
}

// accuse adds what it found to the oracle's findings, as corruptions.
func (l *legibility) accuse(f *oracle.Findings, runs []verdict.FaultRun, classes map[string]string) {
	struck, healed, ok := outage(runs)
	if l == nil || !ok {
		return
	}
	for key, k := range l.keys {
		after := k.after(healed)
		if len(after) < 2 || k.lastOK < 0 || k.firstOK >= struck || k.lastOK >= after[0].Sent || !l.recovered(key, struck, healed, after[0].Sent) {
			continue
		}
		first, last := after[0], after[len(after)-1]
		last.Accused = true
		f.Corruptions++
		f.Accusations = append(f.Accusations, oracle.Accusation{
			Kind: "corruption", Key: key, At: last.Sent, Family: key.Family, Class: classes[key.Family],
			Text: fmt.Sprintf("%s could be read before the fault, and is unreadable to the end after it was healed: at %.3fs, and again at %.3fs: %s",
				key, first.Sent.Seconds(), last.Sent.Seconds(), k.errs),
			Op:      targets.Operation{Request: targets.Request{Seq: last.Seq, Key: key, Region: last.Region}, Due: last.Sent, Sent: last.Sent, Returned: last.Returned},
			History: []oracle.Event{first, last},
			Proof: fmt.Sprintf("read %.3fs < fault %.3fs; healed %.3fs < unreadable %.3fs and %.3fs, and never read since", k.firstOK.Seconds(), struck.Seconds(),
				healed.Seconds(), first.Sent.Seconds(), last.Sent.Seconds()),
		})
	}
	slices.SortStableFunc(f.Accusations, func(a, b oracle.Accusation) int { return int(a.At - b.At) })
}

// after gives the unreadable answers to what was asked after the heal, in the order of asking.
func (k *legible) after(healed time.Duration) []oracle.Event {
	var out []oracle.Event
	for _, e := range k.odd {
		if e.Sent > healed {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b oracle.Event) int { return int(a.Sent - b.Sent) })
	return out
}

// recovered says whether the service was well again but for the key, so that what it answers for it
// is no way to get by until the fault is over: since then the source answered for the family, or
// another key of it that had no good answer since the fault has one again, or none is without one.
func (l *legibility) recovered(key targets.Key, struck, healed, since time.Duration) bool {
	alone := true
	for other, k := range l.keys {
		if other == key || other.Family != key.Family {
			continue
		}
		if k.lastBad >= struck && k.lastOK > max(k.lastBad, since) {
			return true
		}
		alone = alone && k.lastBad < since
	}
	return alone || l.sourced[key.Family] > max(healed, since)
}

// outage is from when to when something was broken; ok is false when nothing was, or still is.
func outage(runs []verdict.FaultRun) (from, to time.Duration, ok bool) {
	for _, r := range runs {
		switch {
		case strings.HasPrefix(r.Name, "sham") || r.Injected <= 0:
			continue
		case r.Healed <= 0:
			return 0, 0, false
		case !ok:
			from = r.Injected
		}
		from, to, ok = min(from, r.Injected), max(to, r.Healed), true
	}
	return from, to, ok
}
