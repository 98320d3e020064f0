package drill

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// Progress is what a person watching a drill should see. Figures are of the last second or so.
type Progress struct {
	Scenario string
	Phase    report.Phase
	At       time.Duration // since the phase began
	Length   time.Duration // of the phase, as planned; 0 when it ends by itself
	Rate     float64       // operations ended per second
	P99      time.Duration // of corrected latency
	Errors   float64       // 0..1
	Source   float64       // loads per second
	Broken   int           // reads proven older than their class allows, since the drill began
	Notes    []string      // what happened to faults, since the last Progress
}

// liveWindow is how long figures are gathered before they are shown.
const liveWindow = 500 * time.Millisecond

// live gathers figures for Progress. Its mutex is held for nanoseconds.
type live struct {
	name   string
	phases scenarios.Phases
	tell   func(Progress)

	mu      sync.Mutex
	phase   report.Phase
	began   time.Duration
	hist    *hdrhistogram.Histogram
	ended   int
	failed  int
	loads   int
	broken  int
	notes   []string
	flushed time.Time
}

func newLive(name string, phases scenarios.Phases, tell func(Progress)) *live {
	return &live{name: name, phases: phases, tell: tell, flushed: time.Now(),
		hist: hdrhistogram.New(1, int64(2*time.Minute/time.Microsecond), 2)}
}

func (l *live) observe(op targets.Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended++
	if op.Outcome != targets.OK {
		l.failed++
	}
	_ = l.hist.RecordValue(min(op.Latency().Microseconds(), int64(2*time.Minute/time.Microsecond))) // in range by min
}

func (l *live) load(targets.Load) {
	l.mu.Lock()
	l.loads++
	l.mu.Unlock()
}

func (l *live) judge(j oracle.Judgement) {
	if !j.Violation {
		return
	}
	l.mu.Lock()
	l.broken++
	l.mu.Unlock()
}

func (l *live) mark(p report.Phase, at time.Duration) {
	l.mu.Lock()
	l.phase, l.began = p, at
	l.mu.Unlock()
}

func (l *live) note(s string) {
	l.mu.Lock()
	l.notes = append(l.notes, s)
	l.mu.Unlock()
}

func (l *live) length() time.Duration {
	switch l.phase {
	case report.Warmup:
		return l.phases.Warmup
	case report.Steady:
		return l.phases.Steady
	case report.Fault:
		return l.phases.Fault
	case report.Recovery:
		return l.phases.Pushed() - l.began
	case report.Push:
		return l.phases.Push
	case report.After:
		return l.phases.After
	}
	return 0
}

// run tells the figures until done is closed, and once more after.
func (l *live) run(epoch time.Time, done <-chan struct{}) {
	tick := time.NewTicker(liveWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush(time.Since(epoch))
		case <-done:
			l.flush(time.Since(epoch))
			return
		}
	}
}

func (l *live) flush(now time.Duration) {
	l.mu.Lock()
	window := time.Since(l.flushed).Seconds()
	p := Progress{
		Scenario: l.name, Phase: l.phase, At: max(0, now-l.began), Length: l.length(), Notes: l.notes,
		Rate:   float64(l.ended) / window,
		Source: float64(l.loads) / window,
		P99:    time.Duration(l.hist.ValueAtPercentile(99)) * time.Microsecond,
		Errors: ratio(l.failed, l.ended),
		Broken: l.broken,
	}
	l.hist.Reset()
	l.ended, l.failed, l.loads, l.notes = 0, 0, 0, nil
	l.flushed = time.Now()
	l.mu.Unlock()
	l.tell(p)
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
