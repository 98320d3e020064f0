package load

import "time"

// waits tells the lateness that a target causes from the generator's own. An attack whose workers
// are bounded falls behind its schedule when the target keeps all of them busy; the target answers
// for that wait, and for the backlog that it left.
//
// The pacer's hits form runs: a run begins with a hit that the pacer waited for, and goes on for as
// long as hits are due before the pacer gets to them. Within a run, the hand-overs that were
// blocked by busy workers are added up: that sum excuses as much lateness of the run's later hits.
// If the generator is the one that can't catch up, its lateness outgrows the excuse.
//
// A hand-over is blocked when, as it begins, every worker has a hit, and as long as it lasts
// workers spend at least half of their time in the target. (Not all of it: a worker that takes its
// next hit up is out of the target for microseconds each time, which over minutes adds up. Not just
// every worker having a hit: workers of a starved generator wait for a CPU with hits in their
// hands.)
type waits struct {
	workers uint64 // the bound

	in       uint64        // workers in the target
	stamps   time.Duration // the sum of the times at which they left minus those at which they entered
	ended    uint64        // operations that the target answered, or that were withheld from it
	open     bool          // a hand-over is under way, and every worker had a hit when it began
	since    time.Duration // when it began
	areaThen time.Duration

	run  run // the latest
	last run // the latest before it that has an excuse
}

// run is the hits from first up to, not including, end, and the blocked time so far.
type run struct {
	first, end uint64
	excuse     time.Duration
}

func (w *waits) asked(now time.Duration) {
	w.in++
	w.stamps -= now
}

func (w *waits) answered(now time.Duration) {
	w.in--
	w.stamps += now
	w.ended++
}

// area is the time that workers have spent in the target up to now, added up. It doesn't matter in
// which order their stamps came in.
func (w *waits) area(now time.Duration) time.Duration {
	return w.stamps + time.Duration(w.in)*now
}

func (w *waits) onTime(n uint64) {
	if w.run.excuse > 0 {
		w.last = w.run
		w.last.end = n
	}
	w.run = run{first: n}
}

func (w *waits) offer(n uint64, now time.Duration) {
	w.open = n-w.ended >= w.workers
	w.since, w.areaThen = now, w.area(now)
}

func (w *waits) handedOver(now time.Duration) {
	w.run.excuse += w.blocked(now)
	w.open = false
}

// blocked is how long the hand-over that is under way has been blocked.
func (w *waits) blocked(now time.Duration) time.Duration {
	d := now - w.since
	if !w.open || d <= 0 || 2*(w.area(now)-w.areaThen) < time.Duration(w.workers)*d {
		return 0
	}
	return d
}

// excuse is how much of the lateness of hit n, sent now, the target answers for. The pacer may be
// ahead of the worker that sends n, even in its next run.
func (w *waits) excuse(n uint64, now time.Duration) time.Duration {
	switch {
	case n >= w.run.first:
		return w.run.excuse + w.blocked(now)
	case n >= w.last.first && n < w.last.end:
		return w.last.excuse
	}
	return 0
}
