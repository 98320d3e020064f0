// Package service is the reference service: regions of workers around the reference cache, a relay
// per region, one source of truth, and an HTTP face on loopback. It is the target that a drill has
// without any setup, and the example of a service that stays correct.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets"
)

// Config describes a [Service].
type Config struct {
	Spec   Spec
	Policy Policy
	Seed   uint64            // of the source's service times
	Redis  map[string]string // address of each of [Spec.Redises]
	Inside *Inside           // nil: workers and relays are reached over HTTP, and each Redis over TCP

	Tenants []string // whom the caches count by name
	// Unobserved has the caches count nothing: [Service.CacheStats] tells nothing then.
	Unobserved bool
}

// Edge is a directed network link that the service will use, for a proxy to stand in.
type Edge struct {
	Name     string
	Upstream string // host:port
}

// Service is the running reference service. Make it with [New], then [Service.Start] it.
type Service struct {
	cfg           Config
	began         time.Time     // 0 of the source's clock
	shift         time.Duration // from the source's clock to the harness's offsets
	source        *source.Model
	families      []reference.Family
	behind        *reference.Behind // nil where no family is written behind
	journal       string            // its folder, which is removed at the end
	regions       []*region
	byInstance    map[string]*worker
	byRegion      map[string]*region
	onLoad        func(targets.Load)
	onInvalidated func(targets.Invalidated)
	written       sync.Map // from a cache's key to the [targets.Key] that was written to
	http          *http.Transport

	cancel  context.CancelFunc
	running sync.WaitGroup
	servers []*http.Server
	clients []*goredis.Client
}

type region struct {
	name    string
	relay   *invalidation.Relay
	relayAt net.Listener
	peers   []*invalidation.HTTPPeer // relays of other regions, as this one's reaches them
	workers []*worker
	seen    *metrics.Metrics // what its caches did; nil: nobody counts
	next    atomic.Uint64
}

var (
	_ targets.Target               = (*Service)(nil)
	_ targets.Instanced            = (*Service)(nil)
	_ targets.Historian            = (*Service)(nil)
	_ targets.LoadCounter          = (*Service)(nil)
	_ targets.InvalidationReporter = (*Service)(nil)
)

// New makes the source and opens the relays' ports, so that [Service.Edges] can tell every link.
// Nothing runs yet.
func New(cfg Config) (*Service, error) {
	// The clock starts well above 0: prewarmed copies are older than the service, and their times are
	// compared as unsigned text in Redis.
	s := &Service{cfg: cfg, began: time.Now().Add(-24 * time.Hour), byInstance: map[string]*worker{}, byRegion: map[string]*region{}}
	s.http = &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	s.families = cfg.Spec.families()
	if err := cfg.Policy.checkPools(cfg.Spec); err != nil {
		return nil, err
	}
	model := cfg.Spec.Model()
	model.Seed, model.Now, model.OnLoad = cfg.Seed, s.now, s.loaded
	var err error
	s.source, err = source.NewModel(model)
	if err != nil {
		return nil, fmt.Errorf("making the source: %w", err)
	}
	for _, r := range cfg.Spec.Regions {
		reg := &region{name: r.Name}
		if !cfg.Unobserved {
			reg.seen = s.observe(r.Name)
		}
		if cfg.Inside == nil {
			if reg.relayAt, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				s.Close()
				return nil, fmt.Errorf("opening the relay of %s: %w", r.Name, err)
			}
		}
		s.regions = append(s.regions, reg)
		s.byRegion[r.Name] = reg
	}
	return s, nil
}

// now is the source's clock.
func (s *Service) now() int64 { return int64(time.Since(s.began)) }

// SetEpoch says which instant is offset 0 of the times in commits and loads. Both clocks are the
// harness's own monotonic one, since the source is ours, so this is exact. Call it before the first
// commit or load is asked for.
func (s *Service) SetEpoch(epoch time.Time) { s.shift = s.began.Sub(epoch) }

func (s *Service) offset(clock int64) time.Duration { return time.Duration(clock) + s.shift }

// Names of the links between parts of the service.
func workerRedis(region, pool string) string {
	return "worker@" + region + " -> redis@" + targets.RedisName(region, pool)
}
func relayRedis(region, pool string) string {
	return "relay@" + region + " -> redis@" + targets.RedisName(region, pool)
}

// Edges lists every link of the service.
func (s *Service) Edges() []Edge {
	var edges []Edge
	for _, r := range s.regions {
		for _, pool := range s.cfg.Spec.pools() {
			at := s.cfg.Redis[targets.RedisName(r.name, pool)]
			edges = append(edges, Edge{workerRedis(r.name, pool), at}, Edge{relayRedis(r.name, pool), at})
		}
		for _, peer := range s.regions {
			if peer != r {
				edges = append(edges, Edge{targets.RelayEdge(r.name, peer.name), peer.address()})
			}
		}
	}
	return edges
}

func (r *region) address() string {
	if r.relayAt == nil {
		return ""
	}
	return r.relayAt.Addr().String()
}

// Start starts relays and workers; dial gives the address to use for an edge, by its name. After an
// error the service must still be closed.
func (s *Service) Start(ctx context.Context, dial func(edge string) string) error {
	life, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if err := s.openBehind(ctx); err != nil {
		return err
	}
	for i, r := range s.regions {
		own, pools := s.stores(r.name, relayRedis, dial)
		into, err := s.cfg.Policy.Design.invalidator(r.name, s.cfg.Policy.Policy, s.families, own, pools)
		if err != nil {
			return fmt.Errorf("making the invalidator of %s: %w", r.name, err)
		}
		r.relay = s.newRelay(r, into)
		if b, ok := into.(heartbeater); ok {
			s.running.Go(func() { b.Heartbeat(life) })
		}
		if r.relayAt != nil {
			s.serve(r.relayAt, r.relay)
		}
		shared, pools := s.stores(r.name, workerRedis, dial)
		var observer reference.Observer
		if r.seen != nil {
			observer = r.seen
		}
		for n := range s.cfg.Spec.Regions[i].Workers {
			name := fmt.Sprintf("%s-%d", r.name, n+1)
			cache, err := s.cfg.Policy.Design.make(ctx, reference.Config{
				Region: r.name, Policy: s.cfg.Policy.Policy, Families: s.families, Source: s.source, Shared: shared, Pools: pools, L1Size: s.cfg.Inside.l1Size(), Behind: s.writer(),
				Observer: observer, OnInvalidated: func(d reference.Invalidated) { s.dropped(d, targets.TierL1, r.name, name) },
			})
			if err != nil {
				return fmt.Errorf("starting worker %d of %s: %w", n+1, r.name, err)
			}
			w := &worker{name: name, cache: cache, encode: s.cfg.Spec.encodeValue}
			r.workers = append(r.workers, w)
			s.byInstance[w.name] = w
			if s.cfg.Inside != nil {
				continue
			}
			if err := w.listen(); err != nil {
				return fmt.Errorf("starting worker %d of %s: %w", n+1, r.name, err)
			}
			s.serve(w.at, w)
		}
	}
	for _, r := range s.regions {
		peers := map[string]invalidation.Peer{}
		for _, p := range s.regions {
			if p != r {
				peers[p.name] = s.peer(r, p, dial)
			}
		}
		s.running.Go(func() { _ = r.relay.Run(life, peers) })
	}
	return nil
}

// beater is an invalidator that keeps telling a region's workers how much there was to hear.
type heartbeater interface{ Heartbeat(context.Context) }

// pooled is an invalidator whose pools may be away each by itself.
type pooled interface{ Pool(family string) string }

// lane keeps the events of one pool apart from those of another.
func lane(into Invalidator) func(invalidation.Event) string {
	p, ok := into.(pooled)
	if !ok {
		return nil
	}
	return func(e invalidation.Event) string { return p.Pool(e.Name.Family) }
}

// newRelay makes the region's relay, which delivers into its caches.
func (s *Service) newRelay(r *region, into Invalidator) *invalidation.Relay {
	return invalidation.NewRelay(invalidation.Config{
		Region: r.name, Log: s.source.Log(), Now: s.now, Lane: lane(into),
		Deliver: func(ctx context.Context, e invalidation.Event) error {
			k := s.remember(e.Name)
			if err := into.Apply(ctx, e); err != nil {
				return err
			}
			if r.seen != nil {
				r.seen.Lag(e.Name.Family, reference.PathRelay, time.Duration(max(0, s.now()-e.At)))
			}
			s.dropped(reference.Invalidated{Key: k, Version: e.Version}, targets.TierL2, r.name, "")
			return nil
		},
	})
}

// remember notes whose copies a cache's key is about.
func (s *Service) remember(n key.Name) (k string) {
	for _, f := range s.families {
		if f.Schema.Family == n.Family {
			if k, err := f.Schema.Build(n); err == nil {
				s.written.Store(k, targets.Key(n))
				return k
			}
		}
	}
	return ""
}

// OnInvalidated implements [targets.InvalidationReporter].
func (s *Service) OnInvalidated(f func(targets.Invalidated)) { s.onInvalidated = f }

func (s *Service) dropped(d reference.Invalidated, tier, region, worker string) {
	if s.onInvalidated == nil {
		return
	}
	if k, ok := s.written.Load(d.Key); ok {
		s.onInvalidated(targets.Invalidated{Key: k.(targets.Key), Tier: tier, Region: region, Worker: worker, Version: d.Version, At: s.offset(s.now())})
	}
}

// stores gives a region's Redises as they are reached over edges.
func (s *Service) stores(region string, edge func(region, pool string) string, dial func(edge string) string) (own store.Store, at map[string]reference.Pool) {
	at = map[string]reference.Pool{}
	for _, pool := range s.cfg.Spec.Pools {
		at[pool] = reference.Pool{Shared: s.shared(edge(region, pool), dial)}
	}
	return s.shared(edge(region, ""), dial), at
}

// shared gives a region's Redis as it is reached over an edge.
func (s *Service) shared(edge string, dial func(edge string) string) store.Store {
	if s.cfg.Inside != nil {
		return s.cfg.Inside.Store(edge)
	}
	c := reference.NewClient(dial(edge), s.cfg.Policy.Policy)
	s.clients = append(s.clients, c)
	return store.NewRedis(c)
}

// peer gives the relay of another region as r's reaches it.
func (s *Service) peer(r, of *region, dial func(edge string) string) invalidation.Peer {
	edge := targets.RelayEdge(r.name, of.name)
	if s.cfg.Inside != nil {
		return insidePeer{of.relay, s.cfg.Inside.Wire(edge)}
	}
	p := invalidation.NewHTTPPeer("http://" + dial(edge))
	r.peers = append(r.peers, p)
	return p
}

func (s *Service) serve(at net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	s.servers = append(s.servers, srv)
	s.running.Go(func() { _ = srv.Serve(at) })
}

// Close ends everything that the service started and waits for it.
func (s *Service) Close() error {
	if s.cancel != nil {
		s.cancel()
	}
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	for _, r := range s.regions {
		if r.relayAt != nil {
			_ = r.relayAt.Close()
		}
		for _, w := range r.workers {
			w.cache.Close()
		}
	}
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	s.running.Wait()
	errs = append(errs, s.closeBehind())
	if s.source != nil {
		s.source.Close()
	}
	s.http.CloseIdleConnections()
	return errors.Join(errs...)
}

// Settle waits until every commit so far has been delivered in every region.
func (s *Service) Settle(ctx context.Context) error {
	if s.behind != nil {
		if err := s.behind.Drained(ctx); err != nil {
			return err
		}
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, r := range s.regions {
		for r.relay.Through() < s.source.Log().Len() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("waiting for the relay of %s to deliver what was committed: %w", r.name, ctx.Err())
			}
		}
	}
	return nil
}

// Regions lists the regions.
func (s *Service) Regions() []string { return s.cfg.Spec.RegionNames() }

// Relay is the region's relay.
func (s *Service) Relay(region string) *invalidation.Relay { return s.byRegion[region].relay }

// Pattern is a Redis glob that matches the family's entries.
func (s *Service) Pattern(family string) string {
	for _, f := range s.families {
		if f.Schema.Family == family {
			return f.Schema.Pattern()
		}
	}
	return ""
}

// Seed makes values for keys as they were before the first operation.
func (s *Service) Seed(_ context.Context, keys []targets.Key, run string) error {
	for _, k := range keys {
		token := targets.NewToken(run, targets.SeedSeq, k)
		v, err := s.cfg.Spec.encodeValue(key.Name(k), token)
		if err != nil {
			return err
		}
		s.source.Seed(key.Name(k), v, token)
	}
	return nil
}

// Prewarm fills each region's Redis as a long-running service would have it.
func (s *Service) Prewarm(ctx context.Context, keys []targets.Key) (said string, err error) {
	names := make([]key.Name, len(keys))
	for i, k := range keys {
		names[i] = key.Name(k)
	}
	for _, r := range s.regions {
		if err := r.workers[0].cache.Prewarm(ctx, names, spread); err != nil {
			return "", fmt.Errorf("region %s: %w", r.name, err)
		}
	}
	return "", nil
}

// spread is the additive recurrence with the golden ratio: evenly spread for every number of points,
// and without relation to the order of popularity.
func spread(i int) float64 {
	const golden = 0.6180339887498949
	x := float64(i+1) * golden
	return x - float64(int64(x))
}
