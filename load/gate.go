package load

import (
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

// Withheld counts operations that were due and deliberately not sent, by reason. They are not
// queued: they never happen.
type Withheld struct {
	Busy   uint64 // another change of the key was in flight
	Frozen uint64 // a change of the key is open: it may still take effect
	Quiet  uint64 // the key is left alone after a burst, as planned
}

// Total of all reasons.
func (w Withheld) Total() uint64 { return w.Busy + w.Frozen + w.Quiet }

func (w *Withheld) count(why reason) {
	switch why {
	case busy:
		w.Busy++
	case frozen:
		w.Frozen++
	case quiet:
		w.Quiet++
	}
}

// reason says why an operation is withheld.
type reason uint8

const (
	goes reason = iota // it isn't
	busy
	frozen
	quiet
)

// gate lets one change at a time pass per key, or one burst, so that the order of the changes is
// known from outside.
//
// A change that ended unknown, or was accepted and no more than that, freezes its key: it may be on
// its way still, and take effect after a later one. A read that shows its token proves that it has
// had its effect, and thaws the key; a read of another token proves nothing. A delete has no token,
// and an absent answer does not prove it: the answer may be as old as a time before the key's
// creation, as seen by a stale negative entry or a lagging replica. So a key stays frozen after an
// open delete.
//
// Memory is for keys with a change in flight or in doubt. Safe for concurrent use.
type gate struct {
	mu    sync.Mutex
	lanes map[targets.Key]*lane
}

// lane is what the gate knows of a key.
type lane struct {
	pending []pendingChange
	doubt   []string // tokens of unknown writes that no read has shown
	lost    bool     // an unknown delete
}

// pendingChange is a change that has been sent and has not returned.
type pendingChange struct {
	seq   uint64
	burst uint64 // as [plan.operation] names it
	token string // empty: a delete
	seen  bool   // a read has shown its token
}

func newGate() *gate { return &gate{lanes: map[targets.Key]*lane{}} }

// enter asks to send an operation, of a burst or (0) of none. Unless it answers goes, the operation
// is withheld; else [gate.leave] must follow.
func (g *gate) enter(r *targets.Request, burst uint64) reason {
	if g == nil || !r.Kind.Changes() {
		return goes
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[r.Key]
	if l == nil {
		l = &lane{}
		g.lanes[r.Key] = l
	}
	if why := l.bars(burst); why != goes {
		return why
	}
	l.pending = append(l.pending, pendingChange{seq: r.Seq, burst: burst, token: r.Token})
	return goes
}

func (l *lane) bars(burst uint64) reason {
	if l.lost || len(l.doubt) > 0 {
		return frozen
	}
	for _, f := range l.pending {
		if burst == 0 || f.burst != burst {
			return busy
		}
	}
	return goes
}

// leave takes note of an operation that has ended. It must be called after the operation's
// Returned, so that a change that is let pass then begins after it.
func (g *gate) leave(op *targets.Operation) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[op.Key]
	switch {
	case l == nil:
		return
	case op.Kind.Changes():
		l.land(op)
	case op.Outcome == targets.OK && op.Reply.Token != "":
		l.show(op.Reply.Token)
	}
	if len(l.pending) == 0 && len(l.doubt) == 0 && !l.lost {
		delete(g.lanes, op.Key)
	}
}

// land ends a change.
func (l *lane) land(op *targets.Operation) {
	for i, f := range l.pending {
		if f.seq != op.Seq {
			continue
		}
		l.pending = append(l.pending[:i], l.pending[i+1:]...)
		switch {
		case !op.Outcome.Open():
		case op.Kind == targets.Delete:
			l.lost = true
		case !f.seen:
			l.doubt = append(l.doubt, f.token)
		}
		return
	}
}

// show takes note that a read has shown a token, which is not empty.
func (l *lane) show(token string) {
	for i, d := range l.doubt {
		if d == token {
			l.doubt = append(l.doubt[:i], l.doubt[i+1:]...)
			return
		}
	}
	for i := range l.pending {
		if l.pending[i].token == token {
			l.pending[i].seen = true
		}
	}
}
