package measure

import (
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

const (
	trendGrains  = 20  // 2 s: twice what a client waits for at most in the drills that ship
	trendSamples = 100 // operations in each half; the normal approximation of a share holds from about 30 on
)

// Span is what was seen of a service in some time.
type Span struct {
	Ended, OK int64 // operations
	Hits      int64 // reads that a cache answered

	Loads, Retried, Abandoned int64 // at the source
	Queued, Worked            time.Duration
}

// Add adds up two times.
func (s *Span) Add(o Span) {
	s.Ended, s.OK = s.Ended+o.Ended, s.OK+o.OK
	s.Hits += o.Hits
	s.Loads, s.Retried, s.Abandoned = s.Loads+o.Loads, s.Retried+o.Retried, s.Abandoned+o.Abandoned
	s.Queued, s.Worked = s.Queued+o.Queued, s.Worked+o.Worked
}

// trend watches a service after a fault, for signs that it comes back, or of what keeps it down.
type trend struct {
	spans []Span // by time since the phase began / grain
}

func (t *trend) at(since time.Duration) *Span {
	i := max(0, int(since/grain))
	for len(t.spans) <= i {
		t.spans = append(t.spans, Span{})
	}
	return &t.spans[i]
}

func (t *trend) observe(op *targets.Operation, start time.Duration) {
	p := t.at(op.Due - start)
	p.Ended++
	if !op.Outcome.Answered() {
		return
	}
	p.OK++
	if op.Reply.Tier == targets.TierL1 || op.Reply.Tier == targets.TierL2 {
		p.Hits++
	}
}

func (t *trend) load(l *targets.Load, start time.Duration) {
	p := t.at(l.Arrived - start)
	p.Loads++
	if l.Attempt > 1 {
		p.Retried++
	}
	if l.Abandoned {
		p.Abandoned++
	}
	p.Queued += l.Queued
	p.Worked += max(0, l.Done-l.Arrived-l.Queued)
}

// halves sums up the two halves of the last part of the window; ok is false where it is too short
// to show a direction.
func (t *trend) halves(length time.Duration) (first, second Span, ok bool) {
	whole := min(int(length/grain), len(t.spans))
	from := whole / 2
	if whole-from < trendGrains {
		return first, second, false
	}
	middle := from + (whole-from)/2
	for i := from; i < whole; i++ {
		if i < middle {
			first.Add(t.spans[i])
		} else {
			second.Add(t.spans[i])
		}
	}
	return first, second, first.Ended >= trendSamples && second.Ended >= trendSamples
}

// Aftermath is how the service stood at the end of the time after the heal, or after a dip.
type Aftermath struct {
	Recovery slo.Recovery
	Length   time.Duration
	// First and Second are the two halves of the last part of that time; Directed is false where it
	// was too short to show a direction.
	First, Second Span
	Directed      bool
}

// AfterHeal gives how the service stood at the end of recovery; ok is false without such a time.
func (r *Results) AfterHeal() (a Aftermath, ok bool) {
	return r.aftermath(Recovery, r.agg.recovered, &r.agg.trends[0])
}

// AfterDip gives how the service stood at the end of the time after a dip, and how long that was.
func (r *Results) AfterDip() (a Aftermath, dip time.Duration, ok bool) {
	start, end, ok := r.agg.times.span(Dip)
	if !ok {
		return a, 0, false
	}
	a, ok = r.aftermath(AfterDip, r.agg.recoveredAfter, &r.agg.trends[1])
	return a, end - start, ok
}

func (r *Results) aftermath(p Phase, recovered *recovery, t *trend) (a Aftermath, ok bool) {
	start, end, ok := r.agg.times.span(p)
	if !ok || end <= start {
		return a, false
	}
	a.Length = end - start
	a.Recovery.Known, a.Recovery.Evidence, a.Recovery.Why = recovered.assess(a.Length)
	a.First, a.Second, a.Directed = t.halves(a.Length)
	return a, true
}
