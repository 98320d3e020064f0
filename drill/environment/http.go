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
	"github.com/cachedrill/cachedrill/internal/querycount"
	"github.com/cachedrill/cachedrill/internal/redismonitor"
	"github.com/cachedrill/cachedrill/internal/supervise"
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

// surroundings are what is around a service of the user's during one drill.
type surroundings struct {
	plan    *scenarios.Outside
	service *http.Service
	server  *supervise.Process // nil: it ran already, or went into the background
	log     string
	tempLog bool
	redis   redis.Node // nil: the suite names none
	proxies *proxy.Fleet
	env     map[string]string // what the placeholders stand for
	loads   *sourceload.Poll
	tally   *querycount.Counter    // nil: nothing is counted on its way to the source
	monitor *redismonitor.Recorder // nil: nobody listens to the Redis
}

// subjectOutside is the service as a drill prepares it.
type subjectOutside struct{ *http.Service }

// SetEpoch implements [Subject]. The service needs no clock of ours.
func (subjectOutside) SetEpoch(time.Time) {}

// Seed implements [Subject]: the service was made for the run.
func (s subjectOutside) Seed(ctx context.Context, keys []targets.Key, _ string) error {
	return s.Service.Seed(ctx, keys)
}

// HTTP makes the place of a drill of a service of the user's. On an error nothing is left running.
func HTTP(ctx context.Context, sc scenarios.Scenario, opt Options) (_ *Place, err error) {
	s := &surroundings{plan: sc.Outside}
	defer func() {
		if err != nil {
			err = errors.Join(err, Cleanup(s.close()))
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
	if s.service, err = http.New(sc.Outside.Service, opt.Run); err != nil {
		return nil, err
	}
	if s.loads, err = sourceload.New(ctx, sc.Outside.Environment.Loads, sc.Workload.Mixes, s.reader(opt)); err != nil {
		return nil, err
	}
	p := &Place{Service: s.subject(), Site: s.site(), Broken: s.broken, Close: s.close, Said: s.said, Unreadable: s.unreadable, Traces: s.traces}
	return p, nil
}

// reader gives what reads the counter of loads, where it is not a page of metrics.
func (s *surroundings) reader(opt Options) sourceload.Statistics {
	plan := s.plan.Environment.Loads
	switch {
	case s.tally != nil:
		return func(context.Context, string) (float64, error) { return float64(s.tally.Reads()), nil }
	case plan != nil && plan.Postgres != "":
		return opt.Statistics
	}
	return nil
}

// subject counts loads only where somebody can count them.
func (s *surroundings) subject() Subject {
	if s.loads == nil {
		return subjectOutside{s.service}
	}
	return counted{subjectOutside{s.service}, s.loads}
}

// counted is a service whose loads of the source are counted.
type counted struct {
	subjectOutside
	loads *sourceload.Poll
}

// SetEpoch implements [Subject].
func (c counted) SetEpoch(epoch time.Time) { c.loads.SetEpoch(epoch) }

// OnLoad implements [targets.LoadCounter].
func (c counted) OnLoad(tell func(targets.Load)) { c.loads.Begin(tell) }

// Unkeyed says whether loads are counted, and not told apart by key.
func (c counted) Unkeyed() bool { return !c.loads.Keyed() }

// MeansOnly says that no second can be told from the next.
func (c counted) MeansOnly() bool { return c.loads.MeansOnly() }

// Widths says whether it is told how many loads of their key were under way.
func (c counted) Widths() bool { return c.loads.Widths() }

func (s *surroundings) startRedis(ctx context.Context) (err error) {
	plan := s.plan.Environment.Redis
	if plan == nil {
		return nil
	}
	if s.redis, err = openRedis(plan, s.plan.Dir); err != nil {
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

// openRedis makes the Redis that a suite names; dir is where its owner's commands run.
func openRedis(plan *scenarios.RedisPlan, dir string) (redis.Node, error) {
	if plan.Backend != "" {
		node, err := redis.New(plan.Backend, "the Redis")
		if err != nil {
			return nil, fmt.Errorf("making the Redis: %w", err)
		}
		return node, nil
	}
	spec, err := redis.All().Find(redis.URL)
	if err != nil {
		return nil, err
	}
	return spec.Open("the Redis", plan.Config(dir))
}

func (s *surroundings) redisAddr() string {
	if s.redis == nil {
		return ""
	}
	return s.redis.Addr()
}

// upstream is where an edge leads.
func (s *surroundings) upstream(e scenarios.EdgePlan) string {
	if l := s.plan.Environment.Loads; l != nil && l.Edge == e.Name && s.tally != nil {
		return s.tally.Addr()
	}
	return s.farEnd(e)
}

// farEnd is where an edge leads in the end.
func (s *surroundings) farEnd(e scenarios.EdgePlan) string {
	if e.Upstream == "" {
		return s.redisAddr()
	}
	return e.Upstream
}

// interpose puts a proxy on every edge.
func (s *surroundings) interpose(ctx context.Context) error {
	e := &s.plan.Environment
	var specs []proxy.Spec
	for _, edge := range e.Edges {
		if e.Loads != nil && e.Loads.Edge == edge.Name {
			var err error
			if s.tally, err = querycount.New(edge.Protocol, s.farEnd(edge)); err != nil {
				return err
			}
		}
		specs = append(specs, proxy.Spec{Name: edge.Name, Upstream: s.upstream(edge), Listen: edge.Listen})
	}
	if len(specs) > 0 {
		p, err := proxy.Start(ctx, "the service", specs)
		if err != nil {
			return fmt.Errorf("starting the proxies of the edges: %w", err)
		}
		s.proxies = p
	}
	s.env = e.Slots(func(e scenarios.EdgePlan) string { return s.proxies.Proxy(e.Name).Listen() }, s.redisAddr())
	return nil
}

func (s *surroundings) site() faults.Site {
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
		site.Edges[e.Name] = faults.Edge{Link: p, Prober: p.Prober(probes[e.Protocol]), Listen: p.Listen(), Upstream: s.upstream(e)}
		if e.Source {
			site.SourceEdges = append(site.SourceEdges, e.Name)
		}
	}
	return site
}

func (s *surroundings) broken() string {
	if s.proxies == nil {
		return ""
	}
	if r := s.proxies.Restarts(); len(r) > 0 {
		return "the network proxies were started anew, which cut connections: " + r[0].Why
	}
	return ""
}

// said is what a reader of the report should know of the service.
func (s *surroundings) said() []string {
	var notes []string
	if n := s.service.Doubted(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d keys can't be judged: the writing of their first value ended unknown", n))
	}
	if n, first := s.service.Garbled(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d answers could not be understood; the first: %s", n, first))
	}
	if err := s.gone(); err != nil {
		notes = append(notes, "the service ended by itself: "+err.Error())
	}
	notes = append(notes, s.heard()...)
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

// unreadable counts the answers that said ok and could not be understood.
func (s *surroundings) unreadable() (int64, string) { return s.service.Garbled() }

func (s *surroundings) close() error {
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
	if s.tempLog {
		_ = os.Remove(s.log)
	}
	return errors.Join(errs...)
}
