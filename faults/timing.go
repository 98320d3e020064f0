package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// timing is how long probes of one edge took, through its proxy and past it.
type timing struct {
	probes        int
	through, past time.Duration // the fastest
}

const (
	timingPause = 100 * time.Millisecond
	pastProbes  = 3 // the fastest of them counts: on a busy machine one may take long
)

// need is by how much longer an answer must take through the proxy.
func (b *bending) need() time.Duration { return b.mode.least() }

// least and most are how much later an answer comes that passes each direction once.
func (m Mode) least() time.Duration {
	return time.Duration(m.ways()) * (m.By - min(m.Jitter, m.By))
}

func (m Mode) most() time.Duration { return time.Duration(m.ways()) * (m.By + min(m.Jitter, m.By)) }

// ways is how many directions are meant.
func (m Mode) ways() (n int) {
	for _, stream := range streams {
		if m.Direction.has(stream) {
			n++
		}
	}
	return n
}

// most is the longest that a probe of so many trips may take.
func (b *bending) most() time.Duration { return probeLimit + 8*(b.mode.By+b.mode.Jitter) }

// startTiming probes the edges by and by, until the heal; it ends by itself too. An answer takes as long as
// the fault says, and Inject must not wait for it.
func (b *bending) startTiming(ctx context.Context, hold time.Duration) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), hold+edgesHealLimit)
	b.stopped, b.timed = cancel, make(chan map[string]timing, 1)
	go func() {
		defer cancel()
		var mu sync.Mutex
		all := map[string]timing{}
		for own.Err() == nil {
			var g errgroup.Group
			for _, e := range b.edges {
				g.Go(func() error {
					past, through, ok := b.time(own, e)
					mu.Lock()
					defer mu.Unlock()
					if ok {
						all[e.Name] = all[e.Name].and(past, through)
					}
					return nil
				})
			}
			_ = g.Wait()
			_ = wait(own, time.Now().Add(timingPause))
		}
		b.timed <- all
	}()
}

func (t timing) and(past, through time.Duration) timing {
	if t.probes == 0 {
		return timing{1, through, past}
	}
	return timing{t.probes + 1, min(t.through, through), min(t.past, past)}
}

// endTiming ends the probes that are under way.
func (b *bending) endTiming() {
	if b.stopped == nil {
		return
	}
	b.stopped()
	b.timings = <-b.timed
	b.stopped = nil
}

// time probes an edge past its proxy and through it. Not ok: nothing was shown, because the far end did not
// answer, or another fault was there first.
func (b *bending) time(ctx context.Context, e Edge) (past, through time.Duration, ok bool) {
	for i := range pastProbes {
		took, err := probeTakes(ctx, e, e.Upstream, probeLimit)
		if err != nil {
			return 0, 0, false
		}
		if i == 0 || took < past {
			past = took
		}
	}
	limited, cancel := context.WithTimeout(ctx, b.most())
	defer cancel()
	through, err := probeTakes(limited, e, e.Proxy.Listen(), b.most())
	// One that has waited long enough without an answer has shown as much as one with.
	return past, through, err == nil || limited.Err() != nil && through-past >= b.need()
}

func probeTakes(ctx context.Context, e Edge, addr string, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sent := time.Now()
	err := e.Probe(ctx, addr)
	return time.Since(sent), err
}

// late says by how much probes were late on every edge; "" when some edge did not show it.
func (b *bending) late() string {
	var worst timing // of the edge that shows least
	for _, e := range b.edges {
		t, ok := b.timings[e.Name]
		if !ok || t.through-t.past < b.need() {
			return ""
		}
		if worst.probes == 0 || t.through-t.past < worst.through-worst.past {
			worst = t
		}
	}
	return fmt.Sprintf("probes took at least %s longer through the proxies (%s) than past them (%s)",
		b.need(), worst.through.Round(time.Millisecond/10), worst.past.Round(time.Millisecond/10))
}

// prompt sees that probes through the proxies, except some, are no longer late.
func (b *bending) prompt(ctx context.Context, except map[string]bool) error {
	if b.mode.Kind != Latency || b.sham || b.need() < time.Millisecond {
		return nil
	}
	for _, e := range b.edges {
		if except[e.Name] {
			continue
		}
		past, through, ok := b.time(ctx, e)
		if !ok {
			return fmt.Errorf("%s does not answer, or not directly", e.Name)
		}
		if through-past >= b.need() {
			return fmt.Errorf("%s still takes %s", e.Name, through)
		}
	}
	return nil
}
