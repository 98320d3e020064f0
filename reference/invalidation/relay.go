// Package invalidation carries commits from the source's log into the caches of every region.
//
// Each region has a [Relay]. It reads the log for the commits of its own region's writers and
// delivers them at home; the relays of the other regions pull them from it over HTTP, by position,
// so that a cut link loses nothing: after it heals, the pull goes on where it stopped. Delivery is
// at least once; the receiver must take duplicates.
//
// # Who runs relays
//
// A cache with more than one worker needs a relay: without a relay, workers do not hear of each
// other's writes, and serve what they have until its TTL or bound ends it (a strong family asks the
// source, and stays right). Each region needs at least one, also where there is only one region.
// Several of a region do no harm, so the plain way is one in each worker process; it costs a
// message to Redis a commit and relay. While two releases of a service run, with other schemas,
// each needs its own. Beside it runs Heartbeat of a reference.Invalidator, by which workers notice
// that they missed a message. The example of package reference called Regions shows all.
//
// Every region's relays read one and the same source. The plain way between regions is Config.All:
// each relay delivers everything that it reads there. Where a region should hear of the others'
// commits from their relays, as when its own way to the log lags, leave All out and give
// [Relay.Run] a [Peer] for each other region. A commit is then announced by the relays of the
// region whose worker made it (source.Entry.Origin) only, and one without a region, or of one that
// has no relay, is not announced.
//
// # Positions
//
// A relay keeps nothing: when [Relay.Run] starts it reads the log from its beginning, which is
// harmless and takes the longer the longer the log is. Config.Since leaves out what is older than
// the longest TTL and bound of all families, and a margin for the time that a commit takes. And
// trim a log that lasts: up to what every relay has been [Relay.Through], or by that age.
//
// # HTTP
//
// A relay is an [http.Handler] for its peers, with the paths /feed and /healthz: under another path
// mount it with [http.StripPrefix]. It has no authentication, and shows all names that are
// written: let only the peers reach it.
package invalidation

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Event says that a version was committed.
type Event struct {
	Index   uint64 // of the commit in the log
	Name    key.Name
	Version uint64
	Origin  string // region of the writer
	At      int64  // source clock at the commit, nanoseconds
}

// Config describes a [Relay].
type Config struct {
	Region string
	Log    source.Feed
	// All delivers the commits of every region, and of none, from the log itself. Peers are not
	// needed then.
	All bool
	// Since is a time of the source's clock: commits before it are left out, as those are which no
	// copy can be older than and alive. 0: none are.
	Since int64
	// Deliver takes one event after the other to the region's caches: reference.Invalidator.Apply.
	// One that fails is called again until it succeeds, and all others wait.
	Deliver func(context.Context, Event) error
	Now     func() int64 // the source's clock, nanoseconds, for Stats.MaxLag; nil: no lag is measured

	// Lane says where an event is delivered to: an event waits only for those of its own lane,
	// since caches in one lane may be away while those in another are not. nil: there is one lane.
	Lane func(Event) string
}

// Relay serves one region.
type Relay struct {
	cfg Config

	mu      sync.Mutex
	heard   map[string]uint64 // log position up to which each region's commits have arrived
	lanes   map[string][]held // each in order of arrival
	delay   time.Duration
	changed chan struct{} // closed and replaced when lanes or delay change
	stats   Stats
}

type held struct {
	Event
	arrived time.Time
	delayed bool
}

// Stats counts what a relay did since it started.
type Stats struct {
	Delivered int64         // events delivered
	Held      int64         // events waiting now
	Delayed   int64         // events that met a [Relay.Delay] when they arrived
	MaxLag    time.Duration // from commit to delivery, the longest since the last Delay above 0; 0 without Config.Now
}

// NewRelay makes a relay; [Relay.Run] starts it.
func NewRelay(cfg Config) *Relay {
	return &Relay{cfg: cfg, changed: make(chan struct{}), heard: map[string]uint64{cfg.Region: 0}, lanes: map[string][]held{}}
}

// Delay holds each event for by from its arrival, those that wait already too. 0 delivers at once
// what is held and what comes.
func (r *Relay) Delay(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = by
	if by > 0 {
		r.stats.MaxLag = 0
		for _, queue := range r.lanes {
			for i := range queue {
				r.note(&queue[i])
			}
		}
	}
	r.wake()
}

// Stats tells what the relay did so far.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	for _, queue := range r.lanes {
		s.Held += int64(len(queue))
	}
	return s
}

// Peer is another region's relay, as this one reaches it.
type Peer interface {
	// Pull gives the commits of the peer's own region after a log position, and the position up to
	// which that is all. It waits a moment for the first.
	Pull(ctx context.Context, after uint64) (next uint64, events []Event, err error)
	// Close ends what the pulling keeps open.
	Close()
}

// Run delivers until ctx ends: the region's own commits, and those of each peer's relay, by region;
// without peers those of its own region only. A source, a peer or a cache that is away is tried
// again, for as long as it takes. It closes the peers, and returns nil after everything that it
// started has ended.
func (r *Relay) Run(ctx context.Context, peers map[string]Peer) error {
	r.mu.Lock()
	r.heard[r.cfg.Region] = 0
	for name := range peers {
		r.heard[name] = 0
	}
	r.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.tail(ctx) })
	g.Go(func() error {
		r.deliver(ctx)
		return nil
	})
	for name, peer := range peers {
		g.Go(func() error { return r.pull(ctx, name, peer) })
	}
	return g.Wait()
}

func (r *Relay) tail(ctx context.Context) error {
	at := uint64(0)
	for ctx.Err() == nil {
		next, events, err := r.own(ctx, at)
		if err == nil {
			at = next
			r.enqueue(r.cfg.Region, at, events)
			continue
		}
		select {
		case <-time.After(pullRetry): // the source is away
		case <-ctx.Done():
		}
	}
	return nil
}

// Through is the log position up to which every commit has been delivered here, of all regions.
func (r *Relay) Through() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	through := ^uint64(0)
	for _, queue := range r.lanes {
		for _, h := range queue { // arrival is not log order over regions
			through = min(through, h.Index-1)
		}
	}
	for _, at := range r.heard {
		through = min(through, at)
	}
	return through
}

// own waits for commits after a log position, and gives those of them that the relay announces and
// where to go on. Seeds have no origin: nothing can be cached of what was there before the caches.
func (r *Relay) own(ctx context.Context, after uint64) (next uint64, events []Event, err error) {
	entries, err := r.cfg.Log.Next(ctx, after, 0)
	if err != nil {
		return after, nil, err
	}
	next = after
	for _, e := range entries {
		next = e.Index
		if (r.cfg.All || e.Origin == r.cfg.Region) && e.At >= r.cfg.Since {
			events = append(events, Event{Index: e.Index, Name: e.Name, Version: e.Version, Origin: e.Origin, At: e.At})
		}
	}
	return next, events, nil
}

// enqueue takes in a region's commits up to the log position next.
func (r *Relay) enqueue(region string, next uint64, events []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[region] = next
	if len(events) == 0 {
		return
	}
	for _, e := range events {
		h := held{Event: e, arrived: time.Now()}
		if r.delay > 0 {
			r.note(&h)
		}
		lane := ""
		if r.cfg.Lane != nil {
			lane = r.cfg.Lane(e)
		}
		r.lanes[lane] = append(r.lanes[lane], h)
	}
	r.wake()
}

func (r *Relay) note(h *held) {
	if !h.delayed {
		h.delayed = true
		r.stats.Delayed++
	}
}

func (r *Relay) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Between two attempts to deliver to caches that are away.
const retryEvery = 20 * time.Millisecond

// deliver begins the delivery of each lane with its first event, and returns when all have ended.
func (r *Relay) deliver(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	begun := map[string]bool{}
	for {
		r.mu.Lock()
		changed := r.changed
		for lane := range r.lanes {
			if !begun[lane] {
				begun[lane] = true
				all.Go(func() { r.deliverLane(ctx, lane) })
			}
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) deliverLane(ctx context.Context, lane string) {
	for {
		e, wait, changed := r.head(lane)
		if wait == 0 {
			if err := r.cfg.Deliver(ctx, e); err == nil {
				r.delivered(lane, e)
				continue
			}
			wait, changed = retryEvery, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// head gives the first event of a lane and how long it must still wait.
func (r *Relay) head(lane string) (Event, time.Duration, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	queue := r.lanes[lane]
	if len(queue) == 0 {
		return Event{}, time.Hour, r.changed
	}
	h := queue[0]
	if left := time.Until(h.arrived.Add(r.delay)); r.delay > 0 && left > 0 {
		return Event{}, left, r.changed
	}
	return h.Event, 0, r.changed
}

func (r *Relay) delivered(lane string, e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lanes[lane] = r.lanes[lane][1:]
	r.stats.Delivered++
	if r.cfg.Now != nil {
		r.stats.MaxLag = max(r.stats.MaxLag, time.Duration(r.cfg.Now()-e.At))
	}
}
