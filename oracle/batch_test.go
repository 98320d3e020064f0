package oracle

import (
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// The batch reference: it has every operation before it, knows nothing of L and U, and finds the
// answer by trying every commit order and every commit time that the observations allow.

// slot is one write or seed: the version it is known to have, if any, and when it can have been
// committed.
type slot struct {
	n        uint64
	from, to time.Duration
	must     bool // it was committed, under whichever version
}

// bruteForce answers a read by enumeration, from what operations sent by its return showed.
func (w *world) bruteForce(read targets.Operation) (Answer, time.Duration, time.Duration) {
	end := time.Duration(0)
	for _, a := range w.acts {
		end = max(end, a.op.Returned)
	}
	known := map[uint64]*slot{}
	tokens := map[string]bool{}
	version := func(n uint64, token string) *slot {
		if known[n] == nil {
			known[n] = &slot{n: n, from: before, to: never}
		}
		tokens[token] = true
		for _, a := range w.acts {
			if a.op.Kind == targets.Write && a.op.Token == token {
				known[n].from = a.op.Sent
			}
		}
		return known[n]
	}
	silent := map[string]time.Duration{} // acknowledged without a version
	for _, a := range w.acts {
		o := a.op
		switch {
		case o.Sent > read.Returned || o.Outcome != targets.OK || o.Reply.Absent:
		case o.Kind == targets.Read:
			s := version(o.Reply.Version, o.Reply.Token)
			s.to = min(s.to, o.Returned)
		case o.Reply.Version != 0:
			s := version(o.Reply.Version, o.Token)
			s.to = min(s.to, o.Returned)
		default:
			silent[o.Token] = o.Returned
		}
	}
	for _, a := range w.acts {
		o := a.op
		if r, ok := silent[o.Reply.Token]; ok && o.Kind == targets.Read && o.Sent <= read.Returned && !o.Reply.Absent {
			s := version(o.Reply.Version, o.Reply.Token)
			s.to = min(s.to, r)
		}
	}
	slots := []slot{}
	for _, s := range known {
		slots = append(slots, *s)
	}
	slices.SortFunc(slots, func(a, b slot) int { return int(a.n) - int(b.n) })
	var loose []slot // writes that may be anywhere, or nowhere
	for _, a := range w.acts {
		o := a.op
		if o.Kind == targets.Write && o.Outcome != targets.Failed && o.Sent <= read.Sent && !tokens[o.Token] {
			to := never
			if r, ok := silent[o.Token]; ok {
				to = r
			}
			loose = append(loose, slot{from: o.Sent, to: to, must: to != never})
		}
	}
	e := &enumeration{v: read.Reply.Version, end: end + 1, earliest: never, latest: before}
	e.orders(slots, loose)
	if read.Reply.Absent && (known[1] == nil || known[1].from == before) {
		e.earliest = before // it may have existed
	}
	i := read.Sent
	low, high := time.Duration(0), time.Duration(-1)
	if e.latest < i {
		low = i - e.latest
	}
	if e.earliest != before {
		high = max(0, i-e.earliest)
	}
	switch {
	case e.latest < i:
		return Stale, low, high
	case e.earliest > i:
		return Fresh, 0, 0
	}
	return Indeterminate, low, high
}

// enumeration finds the earliest and the latest time at which version v can have been superseded.
type enumeration struct {
	v                uint64
	end              time.Duration // later times are all alike
	earliest, latest time.Duration
	tried            int
}

// orders tries every way to place the loose writes: nowhere, or in any gap of the numbering, in any
// order.
func (e *enumeration) orders(fixed, loose []slot) {
	if !slices.ContainsFunc(loose, func(s slot) bool { return s.must }) {
		e.times(fixed, 0, before, never)
	}
	for which, s := range loose {
		rest := slices.Delete(slices.Clone(loose), which, which+1)
		for i := 0; i <= len(fixed); i++ {
			below, above := uint64(0), ^uint64(0)
			if i > 0 {
				below = fixed[i-1].n
			}
			if i < len(fixed) {
				above = fixed[i].n
			}
			if above-below < 2 {
				continue // versions are whole numbers: there is no room
			}
			s.n = below + 1
			e.orders(slices.Insert(slices.Clone(fixed), i, s), rest)
		}
	}
}

// times tries every commit time of the i-th slot and after it. first is when v was superseded.
func (e *enumeration) times(slots []slot, i int, from, first time.Duration) {
	if i == len(slots) {
		e.tried++
		e.earliest, e.latest = min(e.earliest, first), max(e.latest, first)
		return
	}
	s := slots[i]
	try := func(t time.Duration) {
		f := first
		if s.n > e.v && f == never {
			f = t
		}
		e.times(slots, i+1, t, f)
	}
	lo := max(s.from, from)
	if lo == before {
		try(before)
		lo = 0
	}
	for t := lo; t <= min(s.to, e.end); t++ {
		try(t)
	}
}

// logAnswer answers a read from the true commits, as a judge with a historian must.
func (w *world) logAnswer(read targets.Operation) (Answer, time.Duration) {
	v := read.Reply.Version
	if read.Reply.Absent {
		for _, c := range w.commits {
			if c.deleted && c.at <= read.Returned {
				v = c.n
			}
		}
	}
	switch next := v; { // versions are 1, 2, ...: the next one's index is v
	case int(next) == len(w.commits), w.commits[next].at > read.Sent:
		return Fresh, 0
	case w.commits[next].at < read.Sent:
		return Stale, read.Sent - w.commits[next].at
	}
	return Indeterminate, 0
}

// sessionViolations counts reads older than what their session had seen in operations that returned
// before.
func (w *world) sessionViolations() int {
	n := 0
	for _, r := range w.acts {
		if r.op.Kind != targets.Read || r.op.Session == 0 || r.op.Instance != "" {
			continue
		}
		for _, a := range w.acts {
			if a.op.Session == r.op.Session && a.op.Returned < r.op.Sent && a.op.Outcome == targets.OK && a.op.Instance == "" &&
				a.op.Reply.Version > r.op.Reply.Version {
				n++
				break
			}
		}
	}
	return n
}

// staleIncidents counts the incidents of what a streaming judge proved: the components of the union
// of all intervals from a version's end to one of its proven-stale reads.
func staleIncidents(judged map[uint64]Judgement, ends func(v uint64) time.Duration) int {
	type interval struct{ from, to time.Duration }
	var all []interval
	for _, d := range judged {
		if d.Answer == Stale && d.Op.Instance == "" {
			all = append(all, interval{ends(d.Version), d.Op.Sent})
		}
	}
	slices.SortFunc(all, func(a, b interval) int { return int(a.from - b.from) })
	n, end := 0, before
	for _, i := range all {
		if i.from > end {
			n++
		}
		end = max(end, i.to)
	}
	return n
}
