package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/internal/pause"
)

const (
	timingPause = 100 * time.Millisecond
	pastProbes  = 3 // the fastest of them counts: on a busy machine one may take long
)

// timing probes edges by and by, through and past them, until it is ended. A nil timing was not
// begun.
type timing struct {
	edges []namedEdge
	mode  link.Mode
	stop  context.CancelFunc
	ended chan map[string]probeTimes
	times map[string]probeTimes // by edge, once it has ended
}

// probeTimes is how long probes of one edge took, through it and past it.
type probeTimes struct {
	probes        int
	through, past time.Duration // the fastest
}

// startTiming probes edges until the heal; it ends by itself after limit. An answer takes as long
// as the fault makes it, and Inject must not wait for it.
func startTiming(ctx context.Context, edges []namedEdge, mode link.Mode, limit time.Duration) *timing {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	t := &timing{edges: edges, mode: mode, stop: cancel, ended: make(chan map[string]probeTimes, 1)}
	go func() {
		defer cancel()
		t.ended <- t.run(own)
	}()
	return t
}

func (t *timing) run(ctx context.Context) map[string]probeTimes {
	var mu sync.Mutex
	all := map[string]probeTimes{}
	for ctx.Err() == nil {
		var g errgroup.Group
		for _, e := range t.edges {
			g.Go(func() error {
				past, through, ok := timeProbes(ctx, e, t.mode)
				mu.Lock()
				defer mu.Unlock()
				if ok {
					all[e.name] = all[e.name].and(past, through)
				}
				return nil
			})
		}
		_ = g.Wait()
		_ = pause.For(ctx, timingPause)
	}
	return all
}

func (t probeTimes) and(past, through time.Duration) probeTimes {
	if t.probes == 0 {
		return probeTimes{1, through, past}
	}
	return probeTimes{t.probes + 1, min(t.through, through), min(t.past, past)}
}

// end ends the probes that are under way. It may be called again.
func (t *timing) end() {
	if t == nil || t.times != nil {
		return
	}
	t.stop()
	t.times = <-t.ended
}

// late is by how much probes were late on every edge; "" when some edge did not show it.
func (t *timing) late() string {
	if t == nil {
		return ""
	}
	need := t.mode.Least()
	var worst probeTimes // of the edge that shows least
	for _, e := range t.edges {
		at, ok := t.times[e.name]
		if !ok || at.through-at.past < need {
			return ""
		}
		if worst.probes == 0 || at.through-at.past < worst.through-worst.past {
			worst = at
		}
	}
	return fmt.Sprintf("probes took at least %s longer through the proxies (%s) than past them (%s)",
		need, worst.through.Round(time.Millisecond/10), worst.past.Round(time.Millisecond/10))
}

// timeProbes probes an edge past it and through it. Not ok: nothing was shown, because the far end
// did not answer, or another fault was there first.
func timeProbes(ctx context.Context, e namedEdge, mode link.Mode) (past, through time.Duration, ok bool) {
	for i := range pastProbes {
		took, err := probeTakes(ctx, e.Prober.Past, probeLimit)
		if err != nil {
			return 0, 0, false
		}
		if i == 0 || took < past {
			past = took
		}
	}
	longest := probeLimit + 8*(mode.By+mode.Jitter) // that a probe of some trips may take
	bounded, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	through, err := probeTakes(bounded, e.Prober.Through, longest)
	// One that has waited long enough without an answer has shown as much as one with.
	return past, through, err == nil || bounded.Err() != nil && through-past >= mode.Least()
}

func probeTakes(ctx context.Context, probe func(context.Context) error, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sent := time.Now()
	err := probe(ctx)
	return time.Since(sent), err
}
