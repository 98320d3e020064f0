package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/postgres"
	"github.com/cachedrill/cachedrill/reference/traffic"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

// served reads what is to be served.
func (f serveFlags) served() (what served, err error) {
	switch {
	case f.config != "" && f.file != "":
		return what, errors.New("--config and --file exclude each other: a suite has its families in it")
	case f.config != "":
		if what.spec, err = readSpec(f.config); err != nil {
			return what, err
		}
		presets := service.Presets()
		what.known = slices.Sorted(maps.Keys(presets))
		what.find = func(name string) (service.Policy, error) {
			if p, ok := presets[name]; ok {
				return p, nil
			}
			return service.Policy{}, fmt.Errorf("no policy is named %q; %s", name, strictyaml.Suggest(name, what.known))
		}
	default:
		suite, note, err := loadSuite(f.file)
		if err != nil {
			return what, err
		}
		if what.spec, err = suite.Scenarios[0].Reference(); err != nil {
			return what, exit{exitUsage, err}
		}
		what.note = note
		what.metering.Prices = suite.Prices
		what.find, what.known = suite.Policy, suite.PolicyNames()
	}
	if err := what.takeRegion(f.region); err != nil {
		return what, err
	}
	if err := f.assignPools(&what.spec); err != nil {
		return what, err
	}
	if err := what.takePrices(f); err != nil {
		return what, err
	}
	for _, family := range what.spec.Families {
		if family.Contract.Writes == policy.WriteBehind {
			return what, fmt.Errorf("family %s is written behind, by one owner for all processes, which serve has not: write it aside or through", family.Name)
		}
	}
	if what.policy, err = what.find(f.policy); err != nil {
		return what, fmt.Errorf("--policy: %w", err)
	}
	for _, control := range f.without {
		if what.policy.Policy, err = what.policy.Without(control); err != nil {
			return what, fmt.Errorf("--without: %w", err)
		}
	}
	if len(f.without) > 0 {
		what.policy.Name += " without " + strings.Join(f.without, ", ")
	}
	return what, nil
}

// takePrices reads what things cost, and how much of them may be used.
func (what *served) takePrices(f serveFlags) error {
	if f.prices != "" {
		list, err := cost.Read(f.prices)
		if err != nil {
			return err
		}
		if list.Prices != nil {
			what.metering.Prices = list.Prices
		}
		what.metering.Budgets = list.Budgets
	}
	for _, b := range what.metering.Budgets {
		if b.Name == cost.CrossRegionBytesPerMillion && f.sourceRegion == "" {
			return fmt.Errorf("--prices %s: nothing tells how much of budget %s is used: say with --source-region where the source is, "+
				"since what crosses regions is what goes to it and comes from it", f.prices, b.Name)
		}
	}
	return nil
}

// accounted says the currency of costs, and which budgets there are; empty when there are neither.
func (what *served) accounted() string {
	var parts []string
	if p := what.metering.Prices; p != nil {
		parts = append(parts, "costs in "+p.Currency)
	}
	for _, b := range what.metering.Budgets {
		parts = append(parts, fmt.Sprintf("budget %s %s", b.Name, cost.InBytes(b.Limit)))
	}
	return strings.Join(parts, ", ")
}

// readSpec reads a file that has what a suite has under target.reference.
func readSpec(file string) (service.Spec, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return service.Spec{}, fmt.Errorf("--config: %w", err)
	}
	root, problems := strictyaml.Parse(src)
	var spec service.Spec
	if root.Present() {
		spec = service.DecodeSpec(root)
	}
	if len(problems.List) > 0 {
		return spec, &strictyaml.Error{File: file, Problems: problems.Sorted()}
	}
	return spec, nil
}

// tiers is what is below a process.
type tiers struct {
	nodes       []redis.Node // those that are not the user's
	source      source.Source
	feed        source.Feed
	closeSource func()
	traffic     *traffic.Counter  // of the connections to a source in another region; nil: it is in this one
	redisNames  map[string]string // by pool; "" is the region's own
	sourceName  string
}

func (t *tiers) close() error {
	if t.closeSource != nil {
		t.closeSource()
	}
	var errs []error
	for _, n := range t.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

const startPatience = 20 * time.Second

// assignPools assigns families to pools as --assign says, and sees that --pool and the families are
// about the same pools.
func (f serveFlags) assignPools(spec *service.Spec) error {
	spec.Families, spec.Pools = slices.Clone(spec.Families), slices.Clone(spec.Pools)
	for _, text := range f.assign {
		name, pool, ok := strings.Cut(text, "=")
		if !ok || name == "" || !service.GoodName(pool) {
			return fmt.Errorf("--assign %q: FAMILY=POOL is needed, as in price=critical", text)
		}
		i := slices.IndexFunc(spec.Families, func(f service.Family) bool { return f.Name == name })
		if i < 0 {
			return fmt.Errorf("--assign %s: no family is named %q; %s", text, name, strictyaml.Suggest(name, spec.FamilyNames()))
		}
		spec.Families[i].Pool = pool
		if !slices.Contains(spec.Pools, pool) {
			spec.Pools = append(spec.Pools, pool)
		}
	}
	spec.Pools = slices.DeleteFunc(spec.Pools, func(pool string) bool { return len(spec.In(pool)) == 0 }) // --assign emptied it
	for name := range f.poolFlags() {
		if !slices.Contains(spec.Pools, name) {
			return fmt.Errorf("--pool %s: no family is in that pool; assign one: --assign price=%[1]s", name)
		}
	}
	for _, text := range f.pools {
		if name, at, ok := strings.Cut(text, "="); !ok || !service.GoodName(name) || at == "" {
			return errors.New("--pool: NAME=REDIS is needed, as in critical=redis://cache.eu:6379/1")
		}
	}
	return nil
}

// poolFlags gives what --pool says of each pool, the last one where it says it twice.
func (f serveFlags) poolFlags() map[string]string {
	at := map[string]string{}
	for _, text := range f.pools {
		if name, url, ok := strings.Cut(text, "="); ok {
			at[name] = url
		}
	}
	return at
}

// poolEnv is the environment variable that says where a pool's Redis is.
func poolEnv(pool string) string {
	return redisEnv + "_" + strings.ToUpper(strings.ReplaceAll(pool, "-", "_"))
}

// openRedises connects to, or starts, the region's own Redis and that of each pool.
func (t *tiers) openRedises(ctx context.Context, f serveFlags, what served) (own reference.ClientConfig, at map[string]reference.ClientConfig, err error) {
	t.redisNames = map[string]string{}
	if own, err = t.openRedis(ctx, "--redis", f.redis, f, what.region, ""); err != nil {
		return own, nil, err
	}
	at = map[string]reference.ClientConfig{}
	given := f.poolFlags()
	for _, pool := range what.spec.Pools {
		where, ok := given[pool]
		if !ok {
			where = os.Getenv(poolEnv(pool))
		}
		if where == "" && strings.Contains(f.redis, ":") {
			return own, nil, exit{exitUsage, fmt.Errorf("no flag says where the Redis of pool %s is: --pool %[1]s=redis://host:port, or %s", pool, poolEnv(pool))}
		}
		if where == "" {
			where = f.redis // one more of the same kind
		}
		if at[pool], err = t.openRedis(ctx, "--pool "+pool, where, f, what.region, pool); err != nil {
			return own, nil, err
		}
	}
	return own, at, nil
}

// openRedis connects to, or starts, one Redis; flag says where its address comes from.
func (t *tiers) openRedis(ctx context.Context, flag, where string, f serveFlags, region, pool string) (reference.ClientConfig, error) {
	if strings.Contains(where, ":") {
		cfg, err := redisAt(flag, where)
		if err == nil && f.source == "model" {
			err = errors.New("--source model forgets everything when this process ends, and that Redis does not: it would answer with what " +
				"no longer is. Use --source postgres://..., or --redis auto")
		}
		if err != nil {
			return cfg, exit{exitUsage, err}
		}
		t.redisNames[pool] = cfg.Addr
		if cfg.DB != 0 {
			t.redisNames[pool] += fmt.Sprintf(", database %d", cfg.DB)
		}
		if cfg.TLS != nil {
			t.redisNames[pool] += ", TLS"
		}
		return cfg, nil
	}
	backend, name, err := redis.Resolve(where)
	if err != nil {
		return reference.ClientConfig{}, exit{exitUsage, fmt.Errorf("%s: %w; so does redis://host:port", flag, err)}
	}
	node, err := redis.New(backend, "redis@"+targets.RedisName(region, pool))
	if err == nil {
		t.nodes = append(t.nodes, node)
		ctx, cancel := context.WithTimeout(ctx, startPatience)
		defer cancel()
		err = node.Start(ctx)
	}
	if err != nil {
		return reference.ClientConfig{}, failure(err)
	}
	t.redisNames[pool] = name + " (of this process alone)"
	return reference.ClientConfig{Addr: node.Addr()}, nil
}

// redisAt reads the URL of a Redis. What is wrong is reported without the URL, which may hold a
// password.
func redisAt(flag, text string) (reference.ClientConfig, error) {
	const form = "redis://[user:password@]host:port[/database], or rediss:// for TLS"
	scheme, _, ok := strings.Cut(text, "://")
	if !ok || scheme != "redis" && scheme != "rediss" {
		return reference.ClientConfig{}, fmt.Errorf("%s: the URL of a Redis is %s", flag, form)
	}
	o, err := goredis.ParseURL(text)
	if err != nil {
		return reference.ClientConfig{}, fmt.Errorf("%s: that URL can't be read; it should be %s", flag, form)
	}
	return reference.ClientConfig{Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLS: o.TLSConfig}, nil
}

func (t *tiers) openSource(ctx context.Context, f serveFlags, what served) error {
	if f.source == "model" {
		cfg := what.spec.Model()
		began := time.Now().Add(-24 * time.Hour)
		cfg.Now = func() int64 { return int64(time.Since(began)) }
		m, err := source.NewModel(cfg)
		if err != nil {
			return failure(err)
		}
		t.source, t.feed, t.closeSource = m, m.Log(), m.Close
		t.sourceName = "model: in memory, of this process alone, gone with it"
		return nil
	}
	const form = "model, or postgres://user:password@host:port/database"
	scheme, _, ok := strings.Cut(f.source, "://")
	if !ok || scheme != "postgres" && scheme != "postgresql" {
		return exit{exitUsage, fmt.Errorf("--source: it is %s", form)}
	}
	u, err := url.Parse(f.source)
	if err != nil {
		return exit{exitUsage, fmt.Errorf("--source: that URL can't be read; it should be %s", form)}
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if f.sourceRegion != "" && f.sourceRegion != what.region {
		t.traffic = &traffic.Counter{}
	}
	s, err := postgres.Open(ctx, postgres.Config{URL: f.source, Traffic: t.traffic})
	if err != nil {
		return failure(fmt.Errorf("--source: %w", err))
	}
	t.source, t.feed, t.closeSource = s, s, s.Close
	t.sourceName = "PostgreSQL at " + u.Host + u.Path
	if t.traffic != nil {
		t.sourceName += ", in region " + f.sourceRegion
	}
	return nil
}
