package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment/sourceload"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/gate"
	"github.com/cachedrill/cachedrill/internal/querycount"
	"github.com/cachedrill/cachedrill/internal/redismonitor"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/supervise"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/http"
	"github.com/cachedrill/cachedrill/targets/redis"
)

const (
	readyPoll    = 50 * time.Millisecond
	refusedFor   = 2 * time.Second  // until a service that runs already should be there
	stopPatience = 10 * time.Second // of the user's stop command
)

// httpEnvironment is a service that this program reaches over HTTP, with what is around it during
// one drill.
type httpEnvironment struct {
	*Base
	plan    *scenarios.HTTPTarget
	gate    *gate.Gate // in front of every connection that is made here
	service *http.Service
	server  *supervise.Process // nil: it ran already, or went into the background
	log     string
	tempLog bool
	redis   redis.Node // nil: the suite names none
	proxies *proxy.Fleet
	env     map[string]string // what the placeholders stand for
	loads   *sourceload.Poll
	tally   *querycount.Counter    // nil: nothing is counted on its way to the source
	monitor *redismonitor.Recorder // nil: the Redis is not listened to
}

// httpPreparer readies the service for a drill.
type httpPreparer struct{ *http.Service }

// SetEpoch implements [Preparer]. The service needs no clock of ours.
func (httpPreparer) SetEpoch(time.Time) {}

// Seed implements [Preparer]: the service was made for the run.
func (s httpPreparer) Seed(ctx context.Context, keys []targets.Key, _ string) error {
	return s.Service.Seed(ctx, keys)
}

// HTTP makes the environment of a drill of a service that this program reaches over HTTP. It is an
// [Open].
func HTTP(ctx context.Context, sc scenarios.Scenario, opt Options) (_ Environment, err error) {
	plan, err := sc.HTTP()
	if err != nil {
		return nil, err
	}
	if opt.Run == "" {
		opt.Run = NewRun()
	}
	s := &httpEnvironment{plan: plan, gate: plan.Gate()}
	defer func() {
		if err != nil {
			err = errors.Join(err, Cleanup(s.Close()))
		}
	}()
	if err := s.startRedis(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if err := s.interpose(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx, opt); err != nil {
		return nil, err
	}
	asked := *plan.Service
	if asked.Dial == nil {
		asked.Dial = s.gate.Dialer(asked.Timeout).DialContext
	}
	if s.service, err = http.New(&asked, opt.Run); err != nil {
		return nil, err
	}
	if s.loads, err = sourceload.New(ctx, plan.Environment.Loads, sc.Workload.Mixes, s.reader(opt), s.gate.DialContext); err != nil {
		return nil, err
	}
	if s.loads == nil {
		s.Base = NewBase(s.service, httpPreparer{s.service}, s.makeSite(), opt)
		return s, nil
	}
	counted := counted{httpPreparer{s.service}, s.loads}
	s.Base = NewBase(counted, counted, s.makeSite(), opt)
	s.capabilities.Loads = slo.LoadDetail{
		Counted: true, PerKey: s.loads.Keyed(), PerSecond: !s.loads.MeansOnly(), Width: s.loads.Keyed() || s.loads.Widths(),
	}
	return s, nil
}

// reader gives what reads the counter of loads, where it is not a page of metrics.
func (s *httpEnvironment) reader(opt Options) sourceload.Statistics {
	plan := s.plan.Environment.Loads
	switch {
	case s.tally != nil:
		return func(context.Context, string, sourceload.Dial) (float64, error) { return float64(s.tally.Reads()), nil }
	case plan != nil && plan.Postgres != "":
		return opt.Statistics
	}
	return nil
}

// counted is a service whose loads of the source are counted.
type counted struct {
	httpPreparer
	loads *sourceload.Poll
}

// SetEpoch implements [Preparer].
func (c counted) SetEpoch(epoch time.Time) { c.loads.SetEpoch(epoch) }

// OnLoad implements [targets.LoadCounter].
func (c counted) OnLoad(tell func(targets.Load)) { c.loads.Begin(tell) }

func (s *httpEnvironment) startRedis(ctx context.Context) (err error) {
	plan := s.plan.Environment.Redis
	if plan == nil {
		return nil
	}
	if s.redis, err = plan.Open(s.plan.Dir, s.gate.DialContext); err != nil {
		return err
	}
	if plan.Backend == "" {
		return nil
	}
	if err := s.redis.Start(ctx); err != nil {
		return fmt.Errorf("starting the Redis: %w", err)
	}
	return nil
}

func (s *httpEnvironment) redisAddr() string {
	if s.redis == nil {
		return ""
	}
	return s.redis.Addr()
}

// upstream is where an edge leads.
func (s *httpEnvironment) upstream(e scenarios.EdgePlan) string {
	if l := s.plan.Environment.Loads; l != nil && l.Edge == e.Name && s.tally != nil {
		return s.tally.Addr()
	}
	return s.farEnd(e)
}

// farEnd is where an edge leads in the end.
func (s *httpEnvironment) farEnd(e scenarios.EdgePlan) string {
	if e.Upstream == "" {
		return s.redisAddr()
	}
	return e.Upstream
}

// interpose puts a proxy on every edge.
func (s *httpEnvironment) interpose(ctx context.Context) error {
	e := &s.plan.Environment
	var specs []proxy.Spec
	for _, edge := range e.Edges {
		if e.Loads != nil && e.Loads.Edge == edge.Name {
			var err error
			if s.tally, err = querycount.New(edge.Protocol, s.farEnd(edge), s.gate.DialContext); err != nil {
				return err
			}
		}
		upstream, err := s.gate.Resolve(ctx, s.upstream(edge))
		if err != nil {
			return fmt.Errorf("the far end of edge %s: %w", edge.Name, err)
		}
		specs = append(specs, proxy.Spec{Name: edge.Name, Upstream: upstream, Listen: edge.Listen})
	}
	if len(specs) > 0 {
		p, err := proxy.Start(ctx, "the service", specs)
		if err != nil {
			return fmt.Errorf("starting the proxies of the edges: %w", err)
		}
		s.proxies = p
	}
	s.env = e.Slots(func(e scenarios.EdgePlan) string { return s.proxies.Proxy(e.Name).Near() }, s.redisAddr())
	return nil
}

func (s *httpEnvironment) makeSite() faults.Site {
	site := faults.Site{Servers: map[string]faults.Server{}, Keys: map[string]faults.Keys{}, Edges: map[string]faults.Edge{}}
	if s.redis != nil {
		site.Servers[scenarios.MainRedis], site.Keys[scenarios.MainRedis] = s.redis, s.redis.Keys()
	}
	if r := s.plan.Environment.Redis; r != nil {
		site.KeyPrefix = r.KeyPrefix
		site.Pattern = func(family string) string { return r.Keys[family] }
	}
	for _, e := range s.plan.Environment.Edges {
		p := s.proxies.Proxy(e.Name)
		site.Edges[e.Name] = faults.Edge{
			Link: p, Prober: p.Prober(probes[e.Protocol], s.gate.DialContext), Meter: p, Listen: p.Listen(), Upstream: s.upstream(e),
		}
		if e.Source {
			site.SourceEdges = append(site.SourceEdges, e.Name)
		}
	}
	return site
}

// Observations implements [Environment].
func (s *httpEnvironment) Observations() Observations {
	o := Observations{Notes: s.notes(), Failure: s.failure(), Corroborations: s.stolenLocks(s.epoch)}
	o.Garbled, o.FirstGarbled = s.service.Garbled()
	return o
}

func (s *httpEnvironment) failure() string {
	if n, first := s.gate.Refused(); n > 0 {
		return fmt.Sprintf("%d connections were not made: %s, and not allowed (safety: {allow: [...]})", n, first)
	}
	if short := s.service.Short(); short != "" {
		return short
	}
	if s.proxies == nil {
		return ""
	}
	if r := s.proxies.Restarts(); len(r) > 0 {
		return "the network proxies were started anew, which cut connections: " + r[0].Why
	}
	return ""
}

// notes are what a reader of the report should know of the service.
func (s *httpEnvironment) notes() []string {
	var notes []string
	if note := s.service.Paced(); note != "" {
		notes = append(notes, note)
	}
	if denied := s.service.Denied(); denied != "" {
		notes = append(notes, denied)
	}
	if n := s.service.Doubted(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d keys can't be judged: the writing of their first value ended unknown", n))
	}
	if n, first := s.service.Garbled(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d answers could not be understood; the first: %s", n, first))
	}
	if n, first := s.service.Undone(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d changes were answered with a good status, and not as made (their outcome is unknown); the first: %s", n, first))
	}
	notes = append(notes, s.service.Habits()...)
	if err := s.gone(); err != nil {
		notes = append(notes, "the service ended by itself: "+err.Error())
	}
	notes = append(notes, s.monitorNotes()...)
	if s.tally != nil && s.tally.Blind() > 0 {
		notes = append(notes, fmt.Sprintf("loads on %d connections to the source could not be counted: they are encrypted, or of another protocol", s.tally.Blind()))
	}
	if s.loads != nil {
		if why := s.loads.Trouble(); why != "" {
			notes = append(notes, why)
		}
	}
	return notes
}

// Close implements [Environment].
func (s *httpEnvironment) Close() error {
	var errs []error
	if s.loads != nil {
		s.loads.Close()
	}
	if s.monitor != nil {
		s.monitor.Close()
	}
	if s.service != nil {
		errs = append(errs, s.service.Close())
	}
	if s.server != nil {
		errs = append(errs, s.stop())
	}
	if s.proxies != nil {
		s.proxies.Close()
	}
	if s.tally != nil {
		errs = append(errs, s.tally.Close())
	}
	if s.redis != nil {
		if err := s.redis.Close(); err != nil {
			errs = append(errs, fmt.Errorf("ending the Redis: %w", err))
		}
	}
	if s.log != "" && !s.tempLog {
		errs = append(errs, secret.ScrubFile(s.log))
	}
	if s.tempLog {
		_ = os.Remove(s.log)
	}
	return errors.Join(errs...)
}
