package service

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Process is one worker of the reference service that stands alone: its cache, the region's relay,
// metrics, and an HTTP face. Any number of them share a Redis and a source. Make it with
// [NewProcess].
type Process struct {
	cfg      ProcessConfig
	families []reference.Family
	metrics  *metrics.Metrics
	usage    *usageMeter
	registry *prometheus.Registry
	probes   connections // to ask each Redis how it is
	clock    atomic.Pointer[reading]
	draining atomic.Bool

	current   atomic.Pointer[generation]
	writes    writeBarrier
	switching sync.Mutex
	previous  Policy // the one before the last switch; guarded by switching
	outdated  sync.WaitGroup

	end     context.CancelFunc
	running sync.WaitGroup
}

// reading is the source's clock as read at one local time.
type reading struct {
	clock int64
	at    time.Time
}

// NewProcess starts everything but the listeners; ctx bounds the time this may take. The source
// must answer, Redis need not.
func NewProcess(ctx context.Context, cfg ProcessConfig) (*Process, error) {
	p := &Process{cfg: cfg, families: cfg.Spec.families(), registry: prometheus.NewRegistry(), previous: cfg.Policy}
	p.metrics = metrics.New(metrics.Config{Region: cfg.Region, Families: cfg.Spec.FamilyNames(), Tenants: cfg.Tenants})
	p.registry.MustRegister(p.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.usage = newUsageMeter(cfg.Region, cfg.Metering, p.used, p.memory)
	p.registry.MustRegister(p.usage.ledger)
	var err error
	if p.probes, err = connect(cfg, policy.Recommended()); err != nil {
		return nil, err
	}
	if err := p.readClock(ctx); err != nil {
		return nil, errors.Join(err, p.probes.close())
	}
	g, err := newGeneration(ctx, cfg, p.observer(), cfg.Policy)
	if err != nil {
		return nil, errors.Join(err, p.probes.close())
	}
	p.current.Store(g)
	p.metrics.Policy(cfg.Policy.Name)
	life, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.running.Go(func() { p.keepClock(life) })
	if !cfg.Unobserved {
		p.running.Go(func() { p.usage.run(life) })
	}
	if cfg.Feed != nil {
		began := p.clock.Load().clock
		relay := invalidation.NewRelay(invalidation.Config{
			Region: cfg.Region, Now: p.sourceTime, Log: cfg.Feed, All: true,
			Since:   began - int64(p.longest()+commitMargin), // copies that earlier commits superseded have expired
			Deliver: func(ctx context.Context, e invalidation.Event) error { return p.deliver(ctx, e, began) },
			Lane:    p.lane,
		})
		p.running.Go(func() { _ = relay.Run(life, nil) })
	}
	return p, nil
}

// enter gives the current generation, which stays open until it is left.
func (p *Process) enter() *generation {
	for {
		g := p.current.Load()
		g.users.enter()
		if p.current.Load() == g { // or its users may have been waited for already
			return g
		}
		g.leave()
	}
}

// Policy is the policy that the process follows now.
func (p *Process) Policy() Policy { return p.current.Load().policy }

// observer counts what the cache does; a nil interface when nothing is counted.
func (p *Process) observer() reference.Observer {
	if p.cfg.Unobserved {
		return nil
	}
	return p.metrics
}

// used counts what may have a price, since the start.
func (p *Process) used() (u cost.Usage) {
	for _, f := range p.metrics.Counts().Families {
		u.Requests += float64(f.L1 + f.L2 + f.Source + f.Failed + f.Changes)
		u.SourceLoads += float64(f.Loads + f.Checks)
	}
	return u
}

// memory sums the bytes that the region's Redis servers use, and the most they used. Two pools in
// one server are counted once.
func (p *Process) memory(ctx context.Context) (used, peak int64, err error) {
	asked := map[string]bool{}
	for _, c := range p.probes {
		if addr := c.Options().Addr; !asked[addr] {
			asked[addr] = true
			u, most, err := UsedMemory(ctx, c)
			if err != nil {
				return 0, 0, err
			}
			used, peak = used+u, peak+most
		}
	}
	return used, peak, nil
}

// commitMargin is an upper bound on the time between the source's stamp of a commit and the commit.
const commitMargin = time.Minute

// longest is the longest time that a copy can be served.
func (p *Process) longest() (d time.Duration) {
	for _, f := range p.families {
		d = max(d, f.Contract.TTL, f.Contract.Within)
	}
	return d
}

// lane keeps the events of one pool apart from those of another, under every policy.
func (p *Process) lane(e invalidation.Event) string {
	f, _ := p.cfg.Spec.Family(e.Name.Family)
	return f.Pool
}

// deliver carries a commit into the region's Redis, under the current policy.
func (p *Process) deliver(ctx context.Context, e invalidation.Event, began int64) error {
	g := p.enter()
	defer g.leave()
	if err := g.invalidator.Apply(ctx, e); err != nil {
		return err
	}
	if e.At >= began { // other processes most likely delivered older ones before
		p.metrics.Lag(e.Name.Family, reference.PathRelay, time.Duration(max(0, p.sourceTime()-e.At)))
	}
	return nil
}

// sourceTime estimates the source's clock now.
func (p *Process) sourceTime() int64 {
	r := p.clock.Load()
	return r.clock + int64(time.Since(r.at))
}

func (p *Process) readClock(ctx context.Context) error {
	asked := time.Now()
	clock, err := p.cfg.Source.Clock(ctx)
	if err != nil {
		return err
	}
	p.clock.Store(&reading{clock, asked.Add(time.Since(asked) / 2)}) // about the middle between question and answer
	return nil
}

// clockEvery is the time between two readings of the source's clock.
const clockEvery = 5 * time.Second

func (p *Process) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			short, cancel := context.WithTimeout(ctx, probeTimeout)
			_ = p.readClock(short) // the last reading stays about right
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// Drain makes /readyz answer that the process is not ready; it goes on serving.
func (p *Process) Drain() { p.draining.Store(true) }

// Close ends what the process does. Its last request must have ended; the source is left open.
func (p *Process) Close() error {
	p.switching.Lock()
	defer p.switching.Unlock()
	p.end()
	p.running.Wait()
	p.outdated.Wait()
	return errors.Join(p.current.Load().close(), p.probes.close())
}
