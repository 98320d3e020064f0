package service

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// region is the workers of one region, the relay that brings them the commits of others, and what
// their caches count.
type region struct {
	name    string
	relay   *invalidation.Relay
	relayAt net.Listener             // nil: the relay is called in this process
	peers   []*invalidation.HTTPPeer // relays of other regions, as this one's reaches them
	workers []*worker
	stats   *metrics.Metrics // counters of its caches; nil: not counted
	next    atomic.Uint64    // deals requests to the workers in turn
}

// address is where the relay listens, host:port; empty without a listener.
func (r *region) address() string {
	if r.relayAt == nil {
		return ""
	}
	return r.relayAt.Addr().String()
}

// observer counts what the region's caches do; a nil interface when nothing is counted.
func (r *region) observer() reference.Observer {
	if r.stats == nil {
		return nil
	}
	return r.stats
}

// worker gives the workers in turn.
func (r *region) worker() *worker { return r.workers[r.next.Add(1)%uint64(len(r.workers))] }

// heartbeater is an invalidator that keeps publishing its high-water mark to a region's workers, so
// that they notice a lost message.
type heartbeater interface{ Heartbeat(context.Context) }

// pooled is an invalidator whose pools may fail independently.
type pooled interface{ Pool(family string) string }

// lane keeps the events of one pool apart from those of another.
func lane(into Invalidator) func(invalidation.Event) string {
	p, ok := into.(pooled)
	if !ok {
		return nil
	}
	return func(e invalidation.Event) string { return p.Pool(e.Name.Family) }
}

// newRelay makes the region's relay, which delivers the commits in log into the region's caches.
func (r *region) newRelay(into Invalidator, log source.Feed, t *telemetry) {
	r.relay = invalidation.NewRelay(invalidation.Config{
		Region: r.name, Log: log, Now: t.now, Lane: lane(into),
		Deliver: func(ctx context.Context, e invalidation.Event) error {
			k := t.remember(e.Name)
			if err := into.Apply(ctx, e); err != nil {
				return err
			}
			if r.stats != nil {
				r.stats.Lag(e.Name.Family, reference.PathRelay, time.Duration(max(0, t.now()-e.At)))
			}
			t.invalidated(reference.Invalidated{Key: k, Version: e.Version}, targets.TierL2, r.name, "")
			return nil
		},
	})
}

// close ends the listener and the caches. The relay ends with the context that it runs in.
func (r *region) close() {
	if r.relayAt != nil {
		_ = r.relayAt.Close()
	}
	for _, w := range r.workers {
		w.cache.Close()
	}
}

// workerName is the name of a region's nth worker, from 0.
func (r *region) workerName(n int) string { return fmt.Sprintf("%s-%d", r.name, n+1) }
