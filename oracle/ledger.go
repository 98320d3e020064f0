package oracle

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// keepFirst is how many accusations of a kind are kept, besides the worst.
const keepFirst = 20

// tray counts accusations of one kind and keeps the earliest and the worst: which are kept does not depend on
// the order in which they arrive, apart from ties in time.
type tray struct {
	n      atomic.Int64
	latest atomic.Int64 // At of the last one of a full first; above any time until then
	top    atomic.Int64 // badness of the worst; 0 when none was bad

	mu    sync.Mutex
	first []Accusation // by At
	worst Accusation
}

func (t *tray) init() {
	t.latest.Store(math.MaxInt64)
}

// count counts one accusation and says whether it is worth being put into words for keep.
func (t *tray) count(at, badness time.Duration) bool {
	t.n.Add(1)
	return int64(at) < t.latest.Load() || int64(badness) > t.top.Load()
}

func (t *tray) keep(badness time.Duration, a Accusation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(badness) > t.top.Load() {
		t.worst = a
		t.top.Store(int64(badness))
	}
	i, _ := slices.BinarySearchFunc(t.first, a, chronological)
	t.first = slices.Insert(t.first, i, a)
	if len(t.first) > keepFirst {
		t.first = t.first[:keepFirst]
	}
	if len(t.first) == keepFirst {
		t.latest.Store(int64(t.first[keepFirst-1].At))
	}
}

// kept is the accusations that were kept, each once.
func (t *tray) kept() []Accusation {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Clone(t.first)
	if t.top.Load() > 0 && !slices.ContainsFunc(all, func(a Accusation) bool { return chronological(a, t.worst) == 0 }) {
		all = append(all, t.worst)
	}
	return all
}

func chronological(a, b Accusation) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Op.Seq, b.Op.Seq), cmp.Compare(a.Text, b.Text))
}

// ledger is the accusations, by kind, and the violations, by class.
type ledger struct {
	trays      [kinds]tray
	violations [Strong + 1]atomic.Int64
}

func (l *ledger) init() {
	for i := range l.trays {
		l.trays[i].init()
	}
}

// count counts an accusation. If it says true, keep should be called with the accusation in words.
func (l *ledger) count(k kind, at, badness time.Duration) bool { return l.trays[k].count(at, badness) }

func (l *ledger) keep(k kind, badness time.Duration, a Accusation) {
	a.Kind = k.String()
	l.trays[k].keep(badness, a)
}

func (l *ledger) total(k kind) int { return int(l.trays[k].n.Load()) }

// accusation is one about the key, to be kept under some kind.
func (k *keyState) accusation(at time.Duration, op targets.Operation, text string) Accusation {
	return Accusation{Key: k.key, At: at, Family: k.key.Family, Class: k.family.class(), Text: text, Op: op}
}
