package load

import (
	"context"
	"runtime"
	"time"
)

// pacer is the vegeta.Pacer of an attack. It does the waiting itself, because vegeta's is imprecise
// and can't be interrupted, and it ends the attack after the last operation, because vegeta's own
// duration drops what is due and not sent yet.
//
// vegeta calls Pace exactly once a hit, always from one goroutine: when Pace returns for hit n,
// vegeta hands n over to a worker, waiting for a free one if it may start no more, and then calls
// Pace for n+1. So the time between is what the hand-over took.
type pacer struct {
	Attack
	plan
	ctx   context.Context
	log   *sendLog
	grain time.Duration // how late an operation may be sent to go with the next one; 0: not at all
}

// together is the grain of an attack in real time. Waking up is what an operation costs the
// generator most: the pacer's thread, and one that the runtime wakes for the worker. At 5,000/s two
// wakes of three are saved, which is a quarter of all its processor time; below 2,200/s operations
// are further apart, and each is sent when it is due.
const together = 450 * time.Microsecond

// slice bounds one sleep, so that a cancelled attack ends soon.
const slice = 20 * time.Millisecond

// Pace returns when hit n is due. (What vegeta takes for elapsed counts from its own start, not
// ours.)
func (p *pacer) Pace(_ time.Duration, n uint64) (wait time.Duration, stop bool) {
	now := time.Since(p.Start)
	p.log.handedOver(now)
	if n >= p.Schedule.Count() {
		return 0, true
	}
	due := p.due(n)
	if now < due {
		p.log.onTime(n)
		// The worker that took the last hit is next in line on our processor, which the sleep is
		// going to hold on to until the runtime notices: without this, at 5,000/s, one hit in a
		// hundred was 2 ms late instead of 0.2 ms.
		runtime.Gosched()
		now = time.Since(p.Start)
	}
	if now < due {
		wake := p.wake(n, due)
		for ; now < wake; now = time.Since(p.Start) {
			if p.ctx.Err() != nil {
				return 0, true
			}
			p.Sleep(min(wake-now, slice))
		}
	}
	if p.ctx.Err() != nil {
		return 0, true
	}
	p.log.offer(n, now)
	return 0, false
}

// wake is when to send hit n: when it is due, or with the last one that is due within the grain.
func (p *pacer) wake(n uint64, due time.Duration) time.Duration {
	wake := due
	for m := n + 1; p.grain > 0 && m < p.Schedule.Count(); m++ {
		next := p.due(m)
		if next > due+p.grain {
			break
		}
		wake = next
	}
	return wake
}

// Rate is the planned rate in operations per second.
func (p *pacer) Rate(elapsed time.Duration) float64 { return p.Schedule.Rate(elapsed) }
