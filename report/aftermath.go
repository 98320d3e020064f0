package report

import (
	"fmt"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// RecoveryState says how a drill stood when its recovery window ended.
type RecoveryState string

// The states. A service is stuck when the failure is sustained although its trigger is gone (Bronson et al. 2021,
// "Metastable failures in distributed systems").
const (
	Recovered       RecoveryState = "recovered"
	Recovering      RecoveryState = "recovering" // still bad at the end, with a hit ratio or goodput that rises
	Stuck           RecoveryState = "stuck"      // bad to the end, and neither rises
	RecoveryUnknown RecoveryState = "unknown"
)

// RecoverySummary is what became of the service after the heal.
type RecoverySummary struct {
	State       RecoveryState `json:"state"`
	SustainedBy []string      `json:"sustained_by,omitempty"` // retries, abandoned fills, queueing: what kept the failure up
	Evidence    string        `json:"evidence,omitempty"`
	Push        *PushSummary  `json:"push,omitempty"`
}

// PushSummary is what lowering the load did.
type PushSummary struct {
	ForS     float64       `json:"for_s"` // how long the load was lowered
	State    RecoveryState `json:"state"` // at the end of the time that followed, at full load
	Evidence string        `json:"evidence,omitempty"`
}

// pulse is what was seen in one grain of time.
type pulse struct {
	ended, ok int64
	hits      int64 // reads that a cache answered

	loads, retried, abandoned int64 // at the source
	queued, worked            time.Duration
}

func (p *pulse) add(o pulse) {
	p.ended, p.ok = p.ended+o.ended, p.ok+o.ok
	p.hits += o.hits
	p.loads, p.retried, p.abandoned = p.loads+o.loads, p.retried+o.retried, p.abandoned+o.abandoned
	p.queued, p.worked = p.queued+o.queued, p.worked+o.worked
}

// aftermath watches a service after a fault, for signs that it comes back, or of what keeps it down.
type aftermath struct {
	pulses []pulse // by time since the phase began / grain
}

func (a *aftermath) at(since time.Duration) *pulse {
	i := max(0, int(since/grain))
	for len(a.pulses) <= i {
		a.pulses = append(a.pulses, pulse{})
	}
	return &a.pulses[i]
}

func (a *aftermath) observe(op *targets.Operation, start time.Duration) {
	p := a.at(op.Due - start)
	p.ended++
	if op.Outcome != targets.OK {
		return
	}
	p.ok++
	if op.Reply.Tier == targets.TierL1 || op.Reply.Tier == targets.TierL2 {
		p.hits++
	}
}

func (a *aftermath) load(l *targets.Load, start time.Duration) {
	p := a.at(l.Arrived - start)
	p.loads++
	if l.Attempt > 1 {
		p.retried++
	}
	if l.Abandoned {
		p.abandoned++
	}
	p.queued += l.Queued
	p.worked += max(0, l.Done-l.Arrived-l.Queued)
}

// halves sums up the two halves of the last part of the window; ok is false where it is too short to show a
// direction.
func (a *aftermath) halves(length time.Duration) (first, second pulse, ok bool) {
	whole := min(int(length/grain), len(a.pulses))
	from := whole / 2
	if whole-from < trendGrains {
		return first, second, false
	}
	middle := from + (whole-from)/2
	for i := from; i < whole; i++ {
		if i < middle {
			first.add(a.pulses[i])
		} else {
			second.add(a.pulses[i])
		}
	}
	return first, second, first.ended >= trendSamples && second.ended >= trendSamples
}

const (
	trendGrains  = 20  // 2 s: twice what a client waits for at most in the drills that ship
	trendSamples = 100 // operations in each half; the normal approximation of a share holds from about 30 on
	rising       = 3   // standard deviations by which a share must have grown
	notable      = 0.1 // share of loads from which on an effect is named
)

// grew says whether a share is larger in the second sample by more than chance explains: a two-sample z-test.
func grew(k1, n1, k2, n2 int64) bool {
	if n1 == 0 || n2 == 0 {
		return false
	}
	p1, p2 := float64(k1)/float64(n1), float64(k2)/float64(n2)
	p := float64(k1+k2) / float64(n1+n2)
	se := math.Sqrt(p * (1 - p) * (1/float64(n1) + 1/float64(n2)))
	return p2-p1 > rising*se && p2 > p1
}

// conclude names the state at the end of a window of the given length, which recovery judged as known.
func (a *aftermath) conclude(known Range, why string, length time.Duration) RecoverySummary {
	switch {
	case math.IsNaN(known.Low):
		return RecoverySummary{State: RecoveryUnknown, Evidence: why}
	case !math.IsInf(known.High, 1):
		return RecoverySummary{State: Recovered}
	}
	first, second, ok := a.halves(length)
	if !ok {
		return RecoverySummary{State: RecoveryUnknown, Evidence: "the window is too short, or has too few operations, to show a direction"}
	}
	ratios := fmt.Sprintf("from the third to the last quarter of the window %s to %s of operations ended ok, and %s to %s were hits",
		percent(shareOf(first.ok, first.ended)), percent(shareOf(second.ok, second.ended)),
		percent(shareOf(first.hits, first.ended)), percent(shareOf(second.hits, second.ended)))
	// Hits count of all operations, not of those that ended well: failed reads tell no tier.
	if grew(first.hits, first.ended, second.hits, second.ended) || grew(first.ok, first.ended, second.ok, second.ended) {
		return RecoverySummary{State: Recovering, Evidence: "still bad when the window ended, and rising: " + ratios}
	}
	s := RecoverySummary{State: Stuck, Evidence: "bad to the end, and not rising: " + ratios}
	both := first
	both.add(second)
	s.SustainedBy = both.effects()
	return s
}

// effects names what feeds the failure, as counted at the source.
func (p *pulse) effects() (out []string) {
	if p.loads == 0 {
		return nil
	}
	n := float64(p.loads)
	if share := float64(p.abandoned) / n; share > notable {
		out = append(out, fmt.Sprintf("abandoned fills: %s of %s loads were given up by their caller, and served all the same", percent(share), count(p.loads)))
	}
	if share := float64(p.retried) / n; share > notable {
		out = append(out, fmt.Sprintf("retries: %s of %s loads were retries", percent(share), count(p.loads)))
	}
	if p.queued > p.worked {
		out = append(out, fmt.Sprintf("queueing: loads waited %s on average at the source before they were served or given up",
			duration(p.queued/time.Duration(p.loads))))
	}
	return out
}

func shareOf(k, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}

// comeback sums up what became of the service after the heal, and after its load was lowered.
func (a *aggregate) comeback() *RecoverySummary {
	start, end, ok := a.times.span(Recovery)
	if !ok || end <= start {
		return nil
	}
	known, evidence, why := a.recovered.assess(end - start)
	s := a.after[0].conclude(known, why, end-start)
	if s.State == Recovered {
		s.Evidence = evidence
	}
	pushed, lasted, ok := a.times.span(Push)
	if !ok {
		return &s
	}
	if start, end, ok = a.times.span(After); ok && end > start {
		known, _, why := a.recoveredAfter.assess(end - start)
		again := a.after[1].conclude(known, why, end-start)
		s.Push = &PushSummary{ForS: secondsOf(lasted - pushed), State: again.State, Evidence: again.Evidence}
	}
	return &s
}
