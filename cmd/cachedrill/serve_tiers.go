package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/postgres"
	"github.com/cachedrill/cachedrill/reference/traffic"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
)

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
