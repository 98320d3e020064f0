package drill

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// windowLength is how long figures are gathered before they are published.
const windowLength = 500 * time.Millisecond

// maxAccused bounds the accusations that a drill publishes: a cache that is broken has thousands,
// and the report keeps the earliest of each kind anyway.
const maxAccused = 50

// sampler gathers the figures of the current window, and publishes the drill's events. Its mutex is
// held for nanoseconds.
type sampler struct {
	phases scenarios.Phases
	stream *Stream

	mu         sync.Mutex
	phase      measure.Phase
	total      cell
	families   map[string]*cell
	regions    map[string]*cell
	violations int
	accused    map[string]bool // the texts of published violations
	flushed    time.Duration
}

// cell counts one window's operations of one label.
type cell struct {
	latency              *hdrhistogram.Histogram // microseconds
	ended, failed, loads int
	judged, stale        int
}

const longestLatency = 2 * time.Minute

func newCell() *cell {
	return &cell{latency: hdrhistogram.New(1, longestLatency.Microseconds(), 2)}
}

func newSampler(phases scenarios.Phases, stream *Stream) *sampler {
	return &sampler{phases: phases, stream: stream, total: *newCell(), families: map[string]*cell{}, regions: map[string]*cell{}, accused: map[string]bool{}}
}

// each applies count to everything that an operation or a load is part of. The mutex is held.
func (s *sampler) each(family, region string, count func(*cell)) {
	count(&s.total)
	count(labelled(s.families, family))
	if region != "" {
		count(labelled(s.regions, region))
	}
}

func labelled(all map[string]*cell, name string) *cell {
	c, ok := all[name]
	if !ok {
		c = newCell()
		all[name] = c
	}
	return c
}

// observe counts an operation that ended.
func (s *sampler) observe(op *targets.Operation) {
	latency := min(op.Latency().Microseconds(), longestLatency.Microseconds())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(op.Key.Family, op.Region, func(c *cell) {
		c.ended++
		if !op.Outcome.Answered() {
			c.failed++
		}
		_ = c.latency.RecordValue(latency) // in range by min
	})
}

// load counts a load that reached the source.
func (s *sampler) load(l targets.Load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(l.Key.Family, l.Region, func(c *cell) { c.loads++ })
}

// judge counts a read's judgement, and publishes a violation.
func (s *sampler) judge(j oracle.Judgement) {
	s.mu.Lock()
	s.each(j.Op.Key.Family, j.Op.Region, func(c *cell) {
		c.judged++
		if j.Answer == oracle.Stale {
			c.stale++
		}
	})
	text := ""
	if j.Violation {
		s.violations++
		if len(s.accused) < maxAccused {
			text = j.Text()
			s.accused[text] = true
		}
	}
	s.mu.Unlock()
	if text != "" {
		s.stream.publish(Accused{At: j.Op.Sent, Kind: "violation", Text: text})
	}
}

// begin notes and publishes the beginning of a phase.
func (s *sampler) begin(p measure.Phase, at time.Duration) {
	s.mu.Lock()
	s.phase = p
	s.mu.Unlock()
	s.stream.publish(PhaseBegan{At: at, Phase: p, Length: s.planned(p, at)})
}

// planned is how long a phase that begins at the given time will last; 0: it ends by itself.
func (s *sampler) planned(p measure.Phase, at time.Duration) time.Duration {
	switch p {
	case measure.Warmup:
		return s.phases.Warmup
	case measure.Steady:
		return s.phases.Steady
	case measure.Fault:
		return s.phases.Fault
	case measure.Recovery:
		return s.phases.DipBegins() - at
	case measure.Dip:
		return s.phases.Dip
	case measure.AfterDip:
		return s.phases.AfterDip
	}
	return 0
}

// run publishes the beginning of the warmup, a window every [windowLength] of the drill's time
// until ctx ends, and what is left then.
func (s *sampler) run(ctx context.Context, epoch time.Time) {
	if s.phases.Warmup > 0 {
		s.begin(measure.Warmup, 0)
	}
	start := time.NewTimer(time.Until(epoch))
	defer start.Stop()
	select {
	case <-start.C:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(windowLength)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush(time.Since(epoch))
		case <-ctx.Done():
			s.flush(time.Since(epoch))
			return
		}
	}
}

// flush publishes the window that ends now, and begins the next one.
func (s *sampler) flush(now time.Duration) {
	s.mu.Lock()
	length := now - s.flushed
	if length <= 0 { // the drill has not begun
		s.mu.Unlock()
		return
	}
	w := Window{
		At: now, Length: length, Phase: s.phase, Total: s.total.figures(length), Violations: s.violations,
		Families: figuresOf(s.families, length), Regions: figuresOf(s.regions, length),
	}
	s.total.reset()
	s.flushed = now
	s.mu.Unlock()
	s.stream.publish(w)
}

func figuresOf(all map[string]*cell, length time.Duration) map[string]Figures {
	out := map[string]Figures{}
	for name, c := range all {
		if c.ended > 0 || c.loads > 0 {
			out[name] = c.figures(length)
		}
		c.reset()
	}
	return out
}

func (c *cell) figures(length time.Duration) Figures {
	percentile := func(q float64) time.Duration {
		return time.Duration(c.latency.ValueAtPercentile(q)) * time.Microsecond
	}
	return Figures{
		Rate: float64(c.ended) / length.Seconds(), SourceQPS: float64(c.loads) / length.Seconds(),
		Errors: ratio(c.failed, c.ended), Stale: ratio(c.stale, c.judged),
		P50: percentile(50), P95: percentile(95), P99: percentile(99),
	}
}

func (c *cell) reset() {
	c.latency.Reset()
	c.ended, c.failed, c.loads, c.judged, c.stale = 0, 0, 0, 0, 0
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
