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
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/reference/writebehind"
	"github.com/cachedrill/cachedrill/targets"
)

// Config describes a [Service].
type Config struct {
	Spec      Spec
	Policy    Policy
	Seed      uint64            // of the source's service times
	Redis     map[string]string // address of each of [Spec.Redises]
	InProcess *InProcess        // nil: workers and relays are reached over HTTP, and each Redis over TCP

	Tenants []string // that the caches count by name
	// Unobserved switches the caches' counters off: [Service.CacheStats] is empty then.
	Unobserved bool
}

// Service is the running reference service. Make it with [New], then [Service.Start] it.
type Service struct {
	telemetry
	cfg        Config
	source     *source.Model
	behind     writeBehind
	regions    []*region
	byInstance map[string]*worker
	byRegion   map[string]*region
	http       *http.Transport

	cancel  context.CancelFunc
	running sync.WaitGroup
	servers []*http.Server
	clients []*goredis.Client
}

var (
	_ targets.Target               = (*Service)(nil)
	_ targets.Instanced            = (*Service)(nil)
	_ targets.Historian            = (*Service)(nil)
	_ targets.LoadCounter          = (*Service)(nil)
	_ targets.InvalidationReporter = (*Service)(nil)
)

// New makes the source and opens the relays' ports, so that [Service.Edges] is complete. Nothing
// runs yet.
func New(cfg Config) (*Service, error) {
	// The clock starts well above 0: prewarmed copies are older than the service, and their times
	// are compared as unsigned text in Redis.
	s := &Service{cfg: cfg, byInstance: map[string]*worker{}, byRegion: map[string]*region{},
		telemetry: telemetry{began: time.Now().Add(-24 * time.Hour), families: cfg.Spec.families()},
		http:      &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}}
	if err := cfg.Policy.checkPools(cfg.Spec.Pools); err != nil {
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
			reg.stats = metrics.New(metrics.Config{Region: r.Name, Families: cfg.Spec.FamilyNames(), Tenants: cfg.Tenants})
		}
		if cfg.InProcess == nil {
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

// Edges lists every network link of the service.
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

// Start starts relays and workers; dial gives the address to use for an edge, by its name. After an
// error the service must still be closed.
func (s *Service) Start(ctx context.Context, dial func(edge string) string) error {
	life, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	err := s.behind.open(ctx, s.families, s.cfg.InProcess == nil, writebehind.Config{
		Source: s.source, Region: s.regions[0].name, Policy: s.cfg.Policy.Policy})
	if err != nil {
		return err
	}
	for i, r := range s.regions {
		if err := s.startRelay(life, r, dial); err != nil {
			return err
		}
		if err := s.startWorkers(ctx, r, s.cfg.Spec.Regions[i].Workers, dial); err != nil {
			return err
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

// startRelay makes the relay of a region and serves it; it runs once all regions have one.
func (s *Service) startRelay(life context.Context, r *region, dial func(edge string) string) error {
	shared, pools := s.stores(r.name, relayRedis, dial)
	into, err := s.cfg.Policy.Design.invalidator(r.name, s.cfg.Policy.Policy, s.families, shared, pools)
	if err != nil {
		return fmt.Errorf("making the invalidator of %s: %w", r.name, err)
	}
	r.newRelay(into, s.source.Log(), &s.telemetry)
	if b, ok := into.(heartbeater); ok {
		s.running.Go(func() { b.Heartbeat(life) })
	}
	if r.relayAt != nil {
		s.serve(r.relayAt, r.relay)
	}
	return nil
}

// startWorkers starts the workers of a region, which share its Redises.
func (s *Service) startWorkers(ctx context.Context, r *region, workers int, dial func(edge string) string) error {
	shared, pools := s.stores(r.name, workerRedis, dial)
	for n := range workers {
		name := r.workerName(n)
		cache, err := s.cfg.Policy.Design.make(ctx, reference.Config{
			Region: r.name, Policy: s.cfg.Policy.Policy, Families: s.families, Source: s.source,
			Shared: shared, Pools: pools, L1Size: s.cfg.InProcess.l1Size(), WriteBehind: s.behind.writer(),
			Observer:      r.observer(),
			OnInvalidated: func(i reference.Invalidated) { s.invalidated(i, targets.TierL1, r.name, name) },
		})
		if err != nil {
			return fmt.Errorf("starting worker %d of %s: %w", n+1, r.name, err)
		}
		w := &worker{name: name, cache: cache, encode: s.cfg.Spec.encodeValue}
		r.workers = append(r.workers, w)
		s.byInstance[w.name] = w
		if s.cfg.InProcess != nil {
			continue
		}
		if err := w.listen(); err != nil {
			return fmt.Errorf("starting worker %d of %s: %w", n+1, r.name, err)
		}
		s.serve(w.at, w)
	}
	return nil
}

// stores gives a region's Redises as they are reached over edges.
func (s *Service) stores(region string, edge func(region, pool string) string, dial func(edge string) string) (own store.Store, pools map[string]reference.Pool) {
	pools = map[string]reference.Pool{}
	for _, pool := range s.cfg.Spec.Pools {
		pools[pool] = reference.Pool{Shared: s.shared(edge(region, pool), dial)}
	}
	return s.shared(edge(region, ""), dial), pools
}

// shared gives a region's Redis as it is reached over an edge.
func (s *Service) shared(edge string, dial func(edge string) string) store.Store {
	if s.cfg.InProcess != nil {
		return s.cfg.InProcess.Store(edge)
	}
	c := reference.NewClient(dial(edge), s.cfg.Policy.Policy)
	s.clients = append(s.clients, c)
	return store.NewRedis(c)
}

// peer gives the relay of another region as r's reaches it.
func (s *Service) peer(r, of *region, dial func(edge string) string) invalidation.Peer {
	edge := targets.RelayEdge(r.name, of.name)
	if s.cfg.InProcess != nil {
		return inProcessPeer{of.relay, s.cfg.InProcess.Wire(edge)}
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
		r.close()
	}
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	s.running.Wait()
	errs = append(errs, s.behind.close())
	if s.source != nil {
		s.source.Close()
	}
	s.http.CloseIdleConnections()
	return errors.Join(errs...)
}

// Settle waits until every commit so far has been delivered in every region.
func (s *Service) Settle(ctx context.Context) error {
	if err := s.behind.drained(ctx); err != nil {
		return err
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
