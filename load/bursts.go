package load

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Bursts are planned collisions: now and then a few writes to one key, with consecutive numbers and
// due at the same instant, and after them quiet on that key, so that reads have the time to tell
// which of the writes won, and whether every tier thinks so.
//
// The first operation that is due at or after Every, 2 Every, 3 Every, ... begins a burst: it and
// the next ones, up to Size of them and not into the next burst, become writes to a key that is
// drawn by popularity from the families with writes. So a schedule that is slower than Size
// operations per Every has shorter bursts. They change no other operation.
type Bursts struct {
	Every time.Duration // from the attack's start on; 0 is no bursts
	Size  int           // writes in a burst, 2 or 3

	// Quiet is for how long, from when a burst is due, other changes of its key are withheld: what
	// is left of it after the last write has returned is what reads have to tell the winner. It
	// goes by due times alone, so that the same seed withholds the same operations. 0 or more, and
	// less than Every.
	Quiet time.Duration
}

func (b Bursts) check(g *Generator) error {
	switch {
	case b == Bursts{}:
		return nil
	case b.Every <= 0:
		return fmt.Errorf("every %v: want more than 0", b.Every)
	case b.Size < 2 || b.Size > 3:
		return fmt.Errorf("bursts of %d writes: want 2 or 3", b.Size)
	case b.Quiet < 0 || b.Quiet >= b.Every:
		return fmt.Errorf("quiet for %v: want 0 or more, and less than the %v between bursts", b.Quiet, b.Every)
	case g.run == "" || strings.Contains(g.run, "."):
		return fmt.Errorf("writes need a run whose name is not empty and has no dots, not %q", g.run)
	case g.writable() == 0:
		return errors.New("no family has writes")
	}
	return nil
}

// plan is what an attack asks for and when: operations of a generator and a schedule, but for those
// that belong to a burst. It is a pure function of its parts.
type plan struct {
	generator *Generator
	schedule  Schedule
	bursts    Bursts
}

func (a Attack) plan() plan { return plan{a.Generator, a.Schedule, a.Bursts} }

// Operation is operation n as planned: its Request and Due. quiet says that it is withheld for the
// quiet after a burst.
func (a Attack) Operation(n uint64) (op targets.Operation, quiet bool) {
	p := a.plan()
	op, _, quiet = p.operation(n)
	return op, quiet
}

// operation is operation n; of a burst, named by 1 + the number of its first operation, or (0) of
// none; quiet says that it is not to be sent, because a burst has had its key just before.
func (p *plan) operation(n uint64) (op targets.Operation, burst uint64, quiet bool) {
	op = targets.Operation{Request: p.generator.Request(n), Due: p.schedule.Due(n)}
	first, ok := p.latest(n)
	if !ok {
		return op, 0, false
	}
	key, began := p.generator.burstKey(first), p.schedule.Due(first)
	if n-first >= uint64(p.bursts.Size) {
		return op, 0, op.Kind.Changes() && op.Key == key && op.Due < began+p.bursts.Quiet
	}
	op.Due, op.Kind, op.Key, op.Token = began, targets.Write, key, targets.NewToken(p.generator.run, n, key)
	return op, 1 + first, false
}

// due is when operation n is due, never before an earlier one.
func (p *plan) due(n uint64) time.Duration {
	if first, ok := p.latest(n); ok && n-first < uint64(p.bursts.Size) {
		return p.schedule.Due(first)
	}
	return p.schedule.Due(n)
}

// latest is the first operation of the burst that n belongs to or comes after; not ok when there is
// none.
func (p *plan) latest(n uint64) (first uint64, ok bool) {
	if p.bursts.Every <= 0 || n >= p.schedule.Count() {
		return 0, false
	}
	period := p.schedule.Due(n) / p.bursts.Every
	if period == 0 {
		return 0, false
	}
	return p.schedule.Before(period * p.bursts.Every), true
}

// writable is the share of operations of families with writes.
func (g *Generator) writable() (share float64) {
	for i := range g.families {
		if g.families[i].writes > 0 {
			share += g.families[i].share
		}
	}
	return share
}

// burstKey draws as operation n does, but from families with writes only.
func (g *Generator) burstKey(n uint64) targets.Key {
	d := newDraws(g.seed, n)
	which, _, rank := d.unit()*g.writable(), d.unit(), d.next()
	var f *family
	for i := range g.families {
		if g.families[i].writes == 0 || g.families[i].share == 0 {
			continue
		}
		f = &g.families[i]
		if which -= f.share; which < 0 {
			break
		}
	}
	return f.keys.key(f.keys.popularity.rank(rank))
}
