package drill

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// haltWindow is for how long figures are gathered before they are held against the limits; a condition must hold in every window
// of the time that it gives.
const haltWindow = 500 * time.Millisecond

// halter ends a drill that goes further than its owner lets it. It heeds no warmup: a service in trouble is in trouble.
type halter struct {
	conditions []scenarios.Halt
	since      []time.Duration // how long each has held

	mu            sync.Mutex
	hist          *hdrhistogram.Histogram
	ended, failed int

	why  atomic.Pointer[string]
	done sync.WaitGroup
}

// start watches until ctx ends, and calls stop when a condition has held for its time.
func (h *halter) start(ctx context.Context, sc scenarios.Scenario, epoch time.Time, stop func()) {
	if sc.Outside == nil || len(sc.Outside.Safety.Halt) == 0 {
		return
	}
	h.conditions = sc.Outside.Safety.Halt
	h.since = make([]time.Duration, len(h.conditions))
	h.mu.Lock()
	h.hist = hdrhistogram.New(1, int64(2*time.Minute/time.Microsecond), 2)
	h.mu.Unlock()
	h.done.Go(func() {
		tick := time.NewTicker(haltWindow)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if why := h.check(); why != "" {
				why = fmt.Sprintf("halted at %.1fs: %s", time.Since(epoch).Seconds(), why)
				h.why.Store(&why)
				stop()
				return
			}
		}
	})
}

func (h *halter) wait() { h.done.Wait() }

func (h *halter) observe(op *targets.Operation) {
	if h.conditions == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended++
	if op.Outcome != targets.OK {
		h.failed++
	}
	_ = h.hist.RecordValue(min(op.Latency().Microseconds(), int64(2*time.Minute/time.Microsecond))) // in range by min
}

// check holds a window's figures against the conditions, and says which one is met. A window in which nothing ended holds whatever
// held before it: a service that hangs gives no figures.
func (h *halter) check() string {
	h.mu.Lock()
	ended, errors, p99 := h.ended, ratio(h.failed, h.ended), float64(h.hist.ValueAtPercentile(99))/1e6
	h.ended, h.failed = 0, 0
	h.hist.Reset()
	h.mu.Unlock()
	for i, c := range h.conditions {
		v := errors
		if c.P99 {
			v = p99
		}
		switch {
		case ended == 0 && h.since[i] == 0:
		case ended > 0 && v <= c.Limit:
			h.since[i] = 0
		default:
			h.since[i] += haltWindow
		}
		if h.since[i] >= c.For {
			return c.Text
		}
	}
	return ""
}

// halted says why the drill was ended before its time; "" when it was not.
func (d *drill) halted() string {
	if why := d.halt.why.Load(); why != nil {
		return *why
	}
	return ""
}
