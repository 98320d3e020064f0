package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/gate"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/targets/http"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// HTTPTarget is a service that this program reaches over HTTP, with what is around it.
type HTTPTarget struct {
	Service     *http.Spec
	Environment Environment
	Safety      Safety

	Dir string // of the suite: commands run there
}

// Environment is what a suite says of the surroundings of a service.
type Environment struct {
	Start, Stop []string          // commands; none: the service runs already
	Env         map[string]string // for Start; {edge.NAME} and {redis} stand for addresses
	Ready       Ready
	Edges       []EdgePlan
	Redis       *RedisPlan // nil: the faults of redis and keys are not possible
	Loads       *LoadPlan  // nil: loads of the source are not counted
}

// Ready is how to see that the service can be asked.
type Ready struct {
	Path   string // of a GET that must answer 2xx at every instance; "": that a connection is accepted
	Within time.Duration
}

// EdgePlan is a link between the service and something that it needs, to be led through a proxy.
type EdgePlan struct {
	Name     string
	Listen   string // where the service is pointed at; "": a free port
	Upstream string // where it leads; "": to the Redis that the drill starts
	Protocol string // by which a probe can tell that the far end answers
	Source   bool   // it leads to the source
}

// RedisPlan says which Redis the service uses.
type RedisPlan struct {
	Backend   redis.Backend // [redis.Process] or [redis.Embedded]: the drill starts it; "": it runs at URL
	URL       string
	Login     string            // the variables of the environment that its user and password come from
	KeyPrefix string            // what keys faults may touch begins so
	Keys      map[string]string // globs by family
	Stop      []string          // commands of its owner, by which it can be restarted
	Start     []string
	Kill      []string
	Monitor   bool // listen to what it is asked, for evidence about locks

	Backends redis.Backends // that Backend is one of; nil: [redis.All]
}

// LoadPlan says how loads of the source are counted.
type LoadPlan struct {
	Prometheus, Counter string // a page of metrics, and the counter on it
	Stampede            string // a histogram on it: of how many loads of a key were under way when one began; "": none
	Origin              string // the admin address of an origin
	Edge                string // a counter in front of what this edge leads to
	Postgres            string // URL of a database whose own statistics are asked
}

// String says by what.
func (l *LoadPlan) String() string {
	switch {
	case l.Origin != "":
		return "the origin at " + secret.URL(l.Origin)
	case l.Edge != "":
		return "the reads that pass edge " + l.Edge
	case l.Postgres != "":
		return "PostgreSQL's statistics of transactions (means only)"
	}
	return l.Counter + " of " + secret.URL(l.Prometheus)
}

// Safety bounds what a drill may touch and how far it may go.
type Safety struct {
	Allow  []string // hosts beside loopback
	Shared bool     // others use the drilled keys too
	Halt   []Halt
}

// Halt ends a drill when a figure is beyond its limit for so long.
type Halt struct {
	Text  string
	P99   bool // else errors
	Limit float64
	For   time.Duration
}

// Gate makes what stands in front of every connection of a drill. It lets through to what is
// allowed, and to addresses of this machine where edges listen.
func (t *HTTPTarget) Gate() *gate.Gate {
	allow := slices.Clone(t.Safety.Allow)
	for _, e := range t.Environment.Edges {
		if host, _, err := net.SplitHostPort(e.Listen); err == nil && host != "" {
			allow = append(allow, host)
		}
	}
	return gate.New(allow...)
}

// String says what is drilled, for the report.
func (t *HTTPTarget) String() string {
	var parts []string
	for _, r := range t.Service.Regions {
		parts = append(parts, r.Name+" "+strings.Join(r.URLs, " "))
	}
	return "http: " + strings.Join(parts, ", ")
}

// RegionNames implements [Target].
func (t *HTTPTarget) RegionNames() []string { return t.Service.RegionNames() }

// FamilyNames implements [Target].
func (t *HTTPTarget) FamilyNames() []string { return t.Service.FamilyNames() }

// Family implements [Target].
func (t *HTTPTarget) Family(name string) (Family, bool) {
	f, ok := t.Service.Family(name)
	return Family{
		Name: name, Class: f.Class, Within: f.Within, TTL: cmp.Or(f.TTL, unknownTTL), Vary: f.Vary,
		Writes: f.Written(), Deletes: f.Delete != nil, MostKeys: f.MostKeys(), MostWrites: f.Token.Room(),
	}, ok
}

func (t *HTTPTarget) sameKeys(a, b string) bool { return t.Service.Same(a, b) }

// RedisIs says which Redis the service uses, for the report; never its URL, which may hold a
// password.
func (t *HTTPTarget) RedisIs() string {
	r := t.Environment.Redis
	switch {
	case r == nil:
		return "unknown: the suite does not say"
	case r.Backend == "":
		return "url: somebody else's"
	}
	_, problem, err := redis.Resolve(string(r.Backend))
	if err != nil {
		return string(r.Backend) + ": " + err.Error()
	}
	return problem
}

// MainRedis is the only Redis of a service, as faults name its region.
const MainRedis = "main"

// Scope is what faults can be set to touch, and which are refused here.
func (t *HTTPTarget) Scope() faults.Scope {
	e := &t.Environment
	s := faults.Scope{Lacks: map[faults.Capability]string{
		faults.HasRelays:      "only the reference service's invalidations can be held back",
		faults.HasRegionLinks: "the links between regions are known of the reference service only; use network.blackhole on the edges between them",
	}}
	for _, edge := range e.Edges {
		s.Edges = append(s.Edges, edge.Name)
		if edge.Source {
			s.SourceEdges = append(s.SourceEdges, edge.Name)
		}
	}
	if len(s.Edges) == 0 {
		s.Lacks[faults.HasEdges] = "no proxy stands in front of anything: environment: {edges: {redis: {listen: ..., upstream: ...}}}"
	}
	if len(s.SourceEdges) == 0 {
		s.Lacks[faults.HasSourceEdges] = "no edge leads to the source: environment: {edges: {source: {listen: ..., upstream: ...}}}"
	}
	if e.Redis == nil {
		for _, c := range faults.ServerCapabilities {
			s.Lacks[c] = "the suite does not say which Redis the service uses: environment: {redis: {url: ...}}"
		}
		return s
	}
	s.Regions = []string{MainRedis}
	s.KeyPrefix = e.Redis.KeyPrefix
	s.Families = slices.Sorted(maps.Keys(e.Redis.Keys))
	maps.Copy(s.Lacks, e.Redis.table().Lacks(e.Redis.backend(), e.Redis.Config("")))
	return s
}

// Config gives what the suite gives about the Redis; dir is where its owner's commands run.
func (r *RedisPlan) Config(dir string) redis.Config {
	return redis.Config{URL: r.URL, Login: r.Login, Start: r.Start, Stop: r.Stop, Kill: r.Kill, Dir: dir, KeyPrefix: r.KeyPrefix}
}

// Open makes the Redis, not started when the drill is to start it; dir is where its owner's
// commands run, and dial makes connections to it.
func (r *RedisPlan) Open(dir string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (redis.Node, error) {
	c := r.Config(dir)
	c.Dial = dial
	node, err := r.table().Open(r.backend(), "the Redis", c)
	if err != nil {
		return nil, fmt.Errorf("making the Redis: %w", err)
	}
	return node, nil
}

// table is what there is of backends.
func (r *RedisPlan) table() redis.Backends {
	if r.Backends == nil {
		return redis.All()
	}
	return r.Backends
}

// backend is where the Redis comes from.
func (r *RedisPlan) backend() redis.Backend {
	if r.Backend == "" {
		return redis.URL
	}
	return r.Backend
}
