package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Phase is a part of a drill. An operation belongs to the phase of its due time, unless it was due
// in steady and still in flight when the first fault began: then it belongs to the fault phase. A
// load belongs to the phase in which it arrived at the source, a commit to the phase in which it
// became visible.
type Phase uint8

// The phases, in the order of a drill.
const (
	Warmup Phase = iota
	Steady
	Fault
	Recovery
	Dip      // the load is lowered, where a scenario asks for it
	AfterDip // the load is what it was before
	Audit
	phaseCount
)

// String gives the phase as reports show it.
func (p Phase) String() string {
	switch p {
	case Warmup:
		return "warmup"
	case Steady:
		return "steady"
	case Fault:
		return "fault"
	case Recovery:
		return "recovery"
	case Dip:
		return "dip"
	case AfterDip:
		return "after_dip"
	case Audit:
		return "audit"
	}
	return "invalid"
}

// phasesOf gives the phases over which a group judges. Warmup and audit count for safety only.
func phasesOf(g slo.Group, safety bool) []Phase {
	switch g {
	case slo.GroupSteady:
		return []Phase{Steady}
	case slo.GroupFault:
		return []Phase{Fault}
	case slo.GroupRecovery:
		return []Phase{Recovery}
	}
	if safety {
		return []Phase{Warmup, Steady, Fault, Recovery, Dip, AfterDip, Audit}
	}
	return []Phase{Steady, Fault, Recovery}
}

// timeline knows when each phase began. What happened is attributed to a phase once and never
// moved, so a boundary may only be set later than everything that was attributed already.
type timeline struct {
	start  [phaseCount]time.Duration
	marked [phaseCount]bool
	now    Phase         // the last phase marked
	latest time.Duration // the greatest time attributed so far; -1 before the first
	struck time.Duration // when the first fault began; math.MaxInt64 until then
	end    time.Duration // of the drill; math.MaxInt64 until it is known
}

func newTimeline() timeline {
	t := timeline{latest: -1, struck: math.MaxInt64, end: math.MaxInt64}
	t.marked[Warmup] = true
	return t
}

// mark begins phase p at the given time, or as soon after it as nothing was attributed yet.
func (t *timeline) mark(p Phase, at time.Duration) {
	if p >= phaseCount || p < t.now || p == t.now && p != Warmup {
		panic(fmt.Sprintf("measure: phase %s marked after %s: phases go forward, each once", p, t.now))
	}
	if p == Warmup {
		return
	}
	at = max(at, t.start[t.now], t.latest+1)
	t.start[p], t.marked[p], t.now = at, true, p
}

// attribute gives the phase of something that happened at the given time, for good.
func (t *timeline) attribute(at time.Duration) Phase {
	t.latest = max(t.latest, at)
	return t.of(at)
}

// attributeOperation gives the phase of an operation, for good.
func (t *timeline) attributeOperation(op *targets.Operation) Phase {
	t.latest = max(t.latest, op.Due)
	return t.ofOperation(op)
}

// ofOperation gives the phase of an operation. What was in flight when the first fault began has
// felt it: its latency is no figure of steady state.
func (t *timeline) ofOperation(op *targets.Operation) Phase {
	p := t.of(op.Due)
	if p == Steady && op.Returned > t.struck {
		return Fault
	}
	return p
}

func (t *timeline) of(at time.Duration) Phase {
	for p := t.now; p > Warmup; p-- {
		if t.marked[p] && at >= t.start[p] {
			return p
		}
	}
	return Warmup
}

// over says whether the drill went on to a later phase.
func (t *timeline) over(p Phase) bool { return t.now > p }

// span gives the bounds of a phase; ok is false when the drill never reached it.
func (t *timeline) span(p Phase) (start, end time.Duration, ok bool) {
	if !t.marked[p] {
		return 0, 0, false
	}
	end = t.end
	for next := p + 1; next < phaseCount; next++ {
		if t.marked[next] {
			end = min(t.start[next], t.end)
			break
		}
	}
	return t.start[p], max(end, t.start[p]), t.start[p] <= t.end
}

// Phases lists the phases in the order of a drill.
func Phases() []Phase { return []Phase{Warmup, Steady, Fault, Recovery, Dip, AfterDip, Audit} }
