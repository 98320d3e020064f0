package oracle

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keepFirst is how many accusations of a kind are kept, besides the worst.
const keepFirst = 20

// topAccusations counts accusations of one kind and keeps the earliest and the stalest: which are
// kept does not depend on the order in which they arrive, apart from ties.
type topAccusations struct {
	n      atomic.Int64
	latest atomic.Int64 // At of the last one of a full first; above any time until then
	top    atomic.Int64 // Low of the stalest; 0 when none is stale

	mu      sync.Mutex
	first   []Accusation // by At
	stalest verdict
}

func (t *topAccusations) init() { t.latest.Store(math.MaxInt64) }

// count counts one accusation and says whether it is early enough to be put into words for keep.
func (t *topAccusations) count(at time.Duration) bool {
	t.n.Add(1)
	return int64(at) < t.latest.Load()
}

func (t *topAccusations) keep(a Accusation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.first, a, chronological)
	t.first = slices.Insert(t.first, i, a)
	if len(t.first) > keepFirst {
		t.first = t.first[:keepFirst]
	}
	if len(t.first) == keepFirst {
		t.latest.Store(int64(t.first[keepFirst-1].At))
	}
}

// weigh keeps a stale read if it is the stalest so far. It is put into words at the end: in an
// outage that goes on, every read is.
func (t *topAccusations) weigh(d *verdict) {
	if int64(d.Low) <= t.top.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(d.Low) > t.top.Load() {
		t.stalest = *d
		t.top.Store(int64(d.Low))
	}
}

// kept is the accusations that were kept, each once.
func (t *topAccusations) kept(k string) []Accusation {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Clone(t.first)
	if t.top.Load() > 0 {
		a := t.stalest.stale()
		if !slices.ContainsFunc(all, func(b Accusation) bool { return chronological(a, b) == 0 }) {
			all = append(all, a)
		}
	}
	for i := range all {
		all[i].Kind = k
	}
	return all
}

func chronological(a, b Accusation) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Op.Seq, b.Op.Seq), cmp.Compare(a.Text, b.Text))
}

// ledger is the accusations, by kind, and the violations, by class.
type ledger struct {
	byKind     [kinds]topAccusations
	violations [Eventual + 1]atomic.Int64
}

func (l *ledger) init() {
	for i := range l.byKind {
		l.byKind[i].init()
	}
}

// count counts an accusation. If it says true, keep should be called with the accusation in words.
func (l *ledger) count(k kind, at time.Duration) bool { return l.byKind[k].count(at) }

// wants says whether an accusation would be kept: it is early, or staler than any.
func (l *ledger) wants(k kind, at, low time.Duration) bool {
	t := &l.byKind[k]
	return int64(at) < t.latest.Load() || int64(low) > t.top.Load()
}

func (l *ledger) keep(k kind, a Accusation) { l.byKind[k].keep(a) }

func (l *ledger) total(k kind) int { return int(l.byKind[k].n.Load()) }
