package environment

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

// reference is the environment of the reference service over a real network: the Redises of every
// region and proxies on every link.
type reference struct {
	*Base
	nodes   map[string]redis.Node
	proxies map[string]*proxy.Fleet // by fault domain: one child process per region
	service *service.Service
}

// Reference makes the environment of a drill of the reference service over a real network: a Redis
// per region, proxies on every link, and HTTP. It is an [Open].
func Reference(ctx context.Context, sc scenarios.Scenario, opt Options) (_ Environment, err error) {
	spec, err := sc.Reference()
	if err != nil {
		return nil, err
	}
	env := &reference{nodes: map[string]redis.Node{}, proxies: map[string]*proxy.Fleet{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, Cleanup(env.Close()))
		}
	}()
	addrs := map[string]string{}
	for _, name := range spec.Redises() {
		node, err := redis.New(opt.Backend, "redis@"+name)
		if err != nil {
			return nil, fmt.Errorf("making the Redis of %s: %w", name, err)
		}
		env.nodes[name] = node
	}
	g, gctx := errgroup.WithContext(ctx)
	for name, node := range env.nodes {
		g.Go(func() error {
			if err := node.Start(gctx); err != nil {
				return fmt.Errorf("starting the Redis of %s: %w", name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for name, node := range env.nodes {
		addrs[name] = node.Addr()
	}
	env.service, err = service.New(service.Config{Spec: spec, Policy: opt.Policy, Seed: opt.Seed, Redis: addrs, Tenants: sc.Tenants()})
	if err != nil {
		return nil, err
	}
	listen, err := env.interpose(ctx)
	if err != nil {
		return nil, err
	}
	if err := env.service.Start(ctx, func(edge string) string { return listen[edge] }); err != nil {
		return nil, fmt.Errorf("starting the service: %w", err)
	}
	env.Base = NewBase(env.service, env.service, env.makeSite(), opt)
	env.capabilities.Memory = slices.Sorted(maps.Keys(env.nodes))
	return env, nil
}

// Service is the reference service itself, for environments that reach it in another way.
func (e *reference) Service() *service.Service { return e.service }

// UsedMemory implements [Environment], through the harness's own client, which knows no proxy.
func (e *reference) UsedMemory(ctx context.Context, redis string) (used, peak int64, err error) {
	n, ok := e.nodes[redis]
	if !ok {
		return 0, 0, fmt.Errorf("no Redis %q here: %w", redis, errors.ErrUnsupported)
	}
	return service.UsedMemory(ctx, n.Client())
}

// interpose puts a proxy on every link and gives the address of each.
func (e *reference) interpose(ctx context.Context) (listen map[string]string, err error) {
	byDomain := map[string][]proxy.Spec{}
	for _, edge := range e.service.Edges() {
		d := domain(edge.Name)
		byDomain[d] = append(byDomain[d], proxy.Spec{Name: edge.Name, Upstream: edge.Upstream})
	}
	listen = map[string]string{}
	for d, specs := range byDomain {
		p, err := proxy.Start(ctx, d, specs)
		if err != nil {
			return nil, fmt.Errorf("starting the proxies of %s: %w", d, err)
		}
		e.proxies[d] = p
		for _, s := range specs {
			listen[s.Name] = p.Proxy(s.Name).Listen()
		}
	}
	return listen, nil
}

// domain is the region whose clients an edge serves: "worker@eu -> redis@eu" is in eu.
func domain(edge string) string {
	from, _, _ := strings.Cut(edge, " -> ")
	_, region, _ := strings.Cut(from, "@")
	return region
}

func (e *reference) makeSite() faults.Site {
	s := faults.Site{
		Servers: map[string]faults.Server{},
		Keys:    map[string]faults.Keys{},
		Relays:  map[string]faults.Relay{},
		Edges:   map[string]faults.Edge{},
		Pattern: e.service.Pattern,
	}
	for name, n := range e.nodes {
		s.Servers[name], s.Keys[name] = n, n.Keys()
	}
	for _, name := range e.service.Regions() {
		s.Relays[name] = relay{e.service.Relay(name)}
	}
	for _, edge := range e.service.Edges() {
		probe := probeRedis
		if strings.Contains(edge.Name, "-> relay@") {
			probe = probeRelay
		}
		p := e.proxies[domain(edge.Name)].Proxy(edge.Name)
		s.Edges[edge.Name] = faults.Edge{Link: p, Prober: p.Prober(probe, nil), Listen: p.Listen(), Upstream: edge.Upstream}
	}
	return s
}

// Observations implements [Environment]: proxies that had to be started anew.
func (e *reference) Observations() Observations {
	for d, p := range e.proxies {
		if r := p.Restarts(); len(r) > 0 {
			return Observations{Failure: fmt.Sprintf("the network proxies of %s were started anew, which cut connections: %s", d, r[0].Why)}
		}
	}
	return Observations{}
}

// Close implements [Environment].
func (e *reference) Close() error {
	var errs []error
	if e.service != nil {
		errs = append(errs, e.service.Close())
	}
	for _, p := range e.proxies {
		p.Close()
	}
	for name, n := range e.nodes {
		if err := n.Close(); err != nil {
			errs = append(errs, fmt.Errorf("ending the Redis of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// relay lets faults handle an invalidation relay.
type relay struct{ *invalidation.Relay }

func (r relay) Delivered() faults.Delivery {
	s := r.Stats()
	return faults.Delivery{Events: s.Delivered, Held: s.Held, Delayed: s.Delayed, MaxLag: s.MaxLag}
}

// probeRedis sees whether a Redis answers over a connection.
func probeRedis(ctx context.Context, conn net.Conn) error {
	defer hurry(ctx, conn)()
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+PONG") {
		return fmt.Errorf("redis answered %q", strings.TrimSpace(line))
	}
	return nil
}

// probeRelay sees whether a relay answers over a connection.
func probeRelay(ctx context.Context, conn net.Conn) error {
	res, err := askHTTP(ctx, conn, "/healthz")
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the relay answered %s", res.Status)
	}
	return err
}
