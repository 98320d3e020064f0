package load

import (
	"fmt"
	"sync"
	"time"
)

// sendLog records what an attack sent, and how late the generator itself was. The attack's pacer
// and workers write into it. Times are offsets from the attack's start. Safe for concurrent use.
type sendLog struct {
	mu       sync.Mutex
	digest   digest
	sent     uint64
	withheld Withheld
	lastSent time.Duration
	waits    waits
	own      lateness
}

func newSendLog(maxWorkers uint64, judgeFrom time.Duration) *sendLog {
	return &sendLog{waits: waits{workers: maxWorkers}, own: newLateness(judgeFrom)}
}

// begin records operation n, hashed, when it is sent.
func (l *sendLog) begin(hash, n uint64, due, sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.digest.add(hash)
	l.sent++
	l.lastSent = max(l.lastSent, sent)
	l.own.record(due, sent-due-l.waits.excuse(n, sent))
}

// withhold counts an operation that is not sent. The worker that took it up is free again.
func (l *sendLog) withhold(why reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withheld.count(why)
	if l.waits.workers > 0 {
		l.waits.ended++
	}
}

// asked and answered enclose the target's part of an operation.
func (l *sendLog) asked(now time.Duration) {
	if l.waits.workers == 0 {
		return
	}
	l.mu.Lock()
	l.waits.asked(now)
	l.mu.Unlock()
}

func (l *sendLog) answered(now time.Duration) {
	if l.waits.workers == 0 {
		return
	}
	l.mu.Lock()
	l.waits.answered(now)
	l.mu.Unlock()
}

// onTime, offer and handedOver are the pacer's: it caught up with the schedule before hit n; it
// gives hit n to whichever worker is free; some worker took it.
func (l *sendLog) onTime(n uint64) {
	if l.waits.workers == 0 {
		return
	}
	l.mu.Lock()
	l.waits.onTime(n)
	l.mu.Unlock()
}

func (l *sendLog) offer(n uint64, now time.Duration) {
	if l.waits.workers == 0 {
		return
	}
	l.mu.Lock()
	l.waits.offer(n, now)
	l.mu.Unlock()
}

func (l *sendLog) handedOver(now time.Duration) {
	if l.waits.workers == 0 {
		return
	}
	l.mu.Lock()
	l.waits.handedOver(now)
	l.mu.Unlock()
}

// sum is the result of an attack that ended at an offset, after its schedule or cut short.
func (l *sendLog) sum(s Schedule, ended time.Duration, cut bool) Sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := Sent{Planned: s.Count(), Sent: l.sent, Withheld: l.withheld, Digest: l.digest.String(), Late: l.own.late}
	over := max(s.Total(), l.lastSent)
	if cut {
		over = ended
	}
	if over > 0 {
		sent.Rate = float64(l.sent) / over.Seconds()
	}
	sent.Lateness.P50, sent.Lateness.P99, sent.Lateness.Max = l.own.at(50), l.own.at(99), l.own.max

	switch {
	case sent.Lateness.P99 > MaxLateness:
		sent.Saturated = true
		sent.Why = fmt.Sprintf("the generator could not keep the schedule: %d of %d judged operations were more than %v late "+
			"while workers were free (p99 %v, max %v); it needs a lower rate or more CPU",
			l.own.late, l.own.judged, MaxLateness, sent.Lateness.P99, sent.Lateness.Max)
	case !cut && float64(sent.Sent+sent.Withheld.Total()) < leastSent*float64(sent.Planned):
		sent.Saturated = true
		sent.Why = fmt.Sprintf("the generator sent only %d of %d planned operations, and withheld %d",
			sent.Sent, sent.Planned, sent.Withheld.Total())
	}
	return sent
}
