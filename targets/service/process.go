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
	"github.com/cachedrill/cachedrill/reference/source"
)

// ProcessConfig describes a [Process].
type ProcessConfig struct {
	Name    string // of this process, as X-Worker tells it
	Spec    Spec   // its families; the source is the one below
	Region  string
	Policy  Policy
	Source  source.Source
	Feed    source.Feed                       // the source's commits; nil: another process of the region has the relay
	Redis   reference.ClientConfig            // the region's own
	Pools   map[string]reference.ClientConfig // and those of [Spec.Pools]; two of them may be databases of one server
	L1Size  int                               // copies kept in memory; 0: the cache's default
	Tenants []string                          // counted by name in the metrics
	// Unobserved leaves the metrics of the cache out, and /metrics with them.
	Unobserved bool
	Spending   Spending
}

// Process is one worker of the reference service that stands alone: its cache, the region's relay, metrics, and a face.
// Any number of them share a Redis and a source. Make it with [NewProcess].
type Process struct {
	cfg      ProcessConfig
	families []reference.Family
	metrics  *metrics.Metrics
	account  *account
	registry *prometheus.Registry
	probes   connections // ask how each Redis is
	clock    atomic.Pointer[reading]
	draining atomic.Bool

	now       atomic.Pointer[generation]
	writes    gate
	switching sync.Mutex
	previous  Policy // the one before the last switch; under switching
	outdated  sync.WaitGroup

	end     context.CancelFunc
	running sync.WaitGroup
}

// reading is what the source's clock said to a question.
type reading struct {
	said int64
	at   time.Time
}

// NewProcess starts everything but the listeners; ctx bounds the time this may take. The source must answer. Redis need not.
func NewProcess(ctx context.Context, cfg ProcessConfig) (*Process, error) {
	p := &Process{cfg: cfg, families: cfg.Spec.families(), registry: prometheus.NewRegistry(), previous: cfg.Policy}
	p.metrics = metrics.New(metrics.Config{Region: cfg.Region, Families: cfg.Spec.FamilyNames(), Tenants: cfg.Tenants})
	p.registry.MustRegister(p.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.account = newAccount(cfg.Region, cfg.Spending, p.used, p.memory)
	p.registry.MustRegister(p.account.ledger)
	var err error
	if p.probes, err = p.connect(policy.Recommended()); err != nil {
		return nil, err
	}
	if err := p.readClock(ctx); err != nil {
		return nil, errors.Join(err, p.probes.close())
	}
	g, err := p.generation(ctx, cfg.Policy)
	if err != nil {
		return nil, errors.Join(err, p.probes.close())
	}
	p.now.Store(g)
	p.metrics.Policy(cfg.Policy.Name)
	life, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.running.Go(func() { p.keepClock(life) })
	if !cfg.Unobserved {
		p.running.Go(func() { p.account.run(life) })
	}
	if cfg.Feed != nil {
		began := p.clock.Load().said
		relay := invalidation.NewRelay(invalidation.Config{
			Region: cfg.Region, Now: p.sourceTime, Log: cfg.Feed, All: true,
			Since:   began - int64(p.longest()+commitMargin), // no copy is alive of what those before superseded
			Deliver: func(ctx context.Context, e invalidation.Event) error { return p.deliver(ctx, e, began) },
			Lane:    p.lane,
		})
		p.running.Go(func() { _ = relay.Run(life, nil) })
	}
	return p, nil
}

// used is what was counted so far of what may have a price.
func (p *Process) used() (u cost.Usage) {
	for _, f := range p.metrics.Counts().Families {
		u.Requests += float64(f.L1 + f.L2 + f.Source + f.Failed + f.Changes)
		u.SourceLoads += float64(f.Loads + f.Checks)
	}
	return u
}

// memory sums what the region's Redis servers use, and used at most. Two pools in one server are counted once.
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

// commitMargin is more than passes between the source's stamp of a commit and the commit.
const commitMargin = time.Minute

// longest is for how long a copy can be of use.
func (p *Process) longest() (d time.Duration) {
	for _, f := range p.families {
		d = max(d, f.Contract.TTL, f.Contract.Within)
	}
	return d
}

// lane keeps the events of one pool apart from those of another, whatever the policy.
func (p *Process) lane(e invalidation.Event) string {
	f, _ := p.cfg.Spec.Family(e.Name.Family)
	return f.Pool
}

// deliver carries a commit into the region's Redis, by the policy of the moment.
func (p *Process) deliver(ctx context.Context, e invalidation.Event, began int64) error {
	g := p.enter()
	defer g.leave()
	if err := g.into.Apply(ctx, e); err != nil {
		return err
	}
	if e.At >= began { // older ones were most likely told of by other processes
		p.metrics.Lag(e.Name.Family, reference.PathRelay, time.Duration(max(0, p.sourceTime()-e.At)))
	}
	return nil
}

// sourceTime is about what the source's clock shows.
func (p *Process) sourceTime() int64 {
	r := p.clock.Load()
	return r.said + int64(time.Since(r.at))
}

func (p *Process) readClock(ctx context.Context) error {
	asked := time.Now()
	said, err := p.cfg.Source.Clock(ctx)
	if err != nil {
		return err
	}
	p.clock.Store(&reading{said, asked.Add(time.Since(asked) / 2)}) // about the middle between question and answer
	return nil
}

// Between two looks at the source's clock, and how long one may take.
const (
	clockEvery   = 5 * time.Second
	probeTimeout = time.Second
)

func (p *Process) keepClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			short, cancel := context.WithTimeout(ctx, probeTimeout)
			_ = p.readClock(short) // what is known goes on to be about right
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// Drain makes the process say that it is not ready, and goes on answering.
func (p *Process) Drain() { p.draining.Store(true) }

// Close ends what the process does, after its last request has ended. The source is left open.
func (p *Process) Close() error {
	p.switching.Lock()
	defer p.switching.Unlock()
	p.end()
	p.running.Wait()
	p.outdated.Wait()
	return errors.Join(p.now.Load().close(), p.probes.close())
}
