package drill

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/scenarios"
)

// haltRules end a drill that goes further than its owner lets it. A condition must hold in every
// window of the time that it gives. The warmup counts: a service in trouble is in trouble.
type haltRules struct {
	conditions []scenarios.Halt
	held       []time.Duration // for how long each has held
	stream     *Stream
	why        atomic.Pointer[string]
	done       sync.WaitGroup
}

func newHaltRules(conditions []scenarios.Halt, stream *Stream) *haltRules {
	return &haltRules{conditions: conditions, held: make([]time.Duration, len(conditions)), stream: stream}
}

// start watches the stream's windows until ctx ends, and calls stop when a condition has held for
// its time.
func (h *haltRules) start(ctx context.Context, stop func()) {
	if len(h.conditions) == 0 {
		return
	}
	events := h.stream.Subscribe()
	h.done.Go(func() {
		for {
			e, ok := events.Next(ctx)
			if !ok {
				return
			}
			w, is := e.(Window)
			if !is {
				continue
			}
			if met := h.check(w); met != "" {
				why := fmt.Sprintf("halted at %.1fs: %s", w.At.Seconds(), met)
				h.why.Store(&why)
				h.stream.publish(Halted{At: w.At, Why: met})
				stop()
				return
			}
		}
	})
}

func (h *haltRules) wait() { h.done.Wait() }

// check holds a window's figures against the conditions, and gives the one that has held for its
// time. In a window in which no operation ended, what held before goes on: a service that hangs
// gives no figures.
func (h *haltRules) check(w Window) string {
	for i, c := range h.conditions {
		v := w.Total.Errors
		if c.P99 {
			v = w.Total.P99.Seconds()
		}
		switch {
		case w.Total.Rate == 0 && h.held[i] == 0:
		case w.Total.Rate > 0 && v <= c.Limit:
			h.held[i] = 0
		default:
			h.held[i] += w.Length
		}
		if h.held[i] > 0 && h.held[i]+windowLength/2 >= c.For { // windows are as long as the ticker makes them
			return c.Text
		}
	}
	return ""
}

// halted is why the drill was ended before its time; "" when it was not.
func (h *haltRules) halted() string {
	if why := h.why.Load(); why != nil {
		return *why
	}
	return ""
}
