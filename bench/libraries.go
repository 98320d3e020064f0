package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-redis/cache/v9"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidisaside"
	"github.com/viccon/sturdyc"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// worker is one process's cache of a library, as a service would have it: get reads a key through
// all of its tiers and the source.
type worker struct {
	get    func(ctx context.Context, id string) ([]byte, error)
	forget func(id string) // makes the next get go to Redis; nil: memory is switched off for that
	close  func()
}

// library makes workers. memory says whether they may keep copies in the process.
type library struct {
	name, module string
	open         func(ctx context.Context, addr string, origin *origin, memory bool) (worker, error)
}

const (
	ttl      = time.Minute
	capacity = 10_000
	ours     = "reference cache"
	bare     = "go-redis GET"
)

var libraries = []library{
	{ours, "", openReference},
	{"rueidisaside", "github.com/redis/rueidis/rueidisaside", openRueidisaside},
	{"go-redis/cache", "github.com/go-redis/cache/v9", openGoRedisCache},
	{"sturdyc", "github.com/viccon/sturdyc", openSturdyc},
	{bare, "github.com/redis/go-redis/v9", openBare},
}

func redisKey(id string) string { return "item:" + id + ":v1" }

// client is the same for every library that is built on go-redis.
func client(addr string) *goredis.Client { return reference.NewClient(addr, policy.Recommended()) }

var family = reference.Family{
	Schema:   key.Schema{Family: "item", Version: 1},
	Contract: policy.Family{Class: policy.Bounded, Within: ttl, TTL: ttl},
}

func openReference(ctx context.Context, addr string, o *origin, memory bool) (worker, error) {
	p := policy.Recommended()
	if !memory {
		var err error
		if p, err = p.Without("l1"); err != nil {
			return worker{}, err
		}
	}
	rdb := reference.NewClient(addr, p)
	c, err := reference.New(ctx, reference.Config{
		Region: "eu", Policy: p, Families: []reference.Family{family}, L1Size: capacity,
		Source: counted{origin: o}, Shared: store.NewRedis(rdb),
	})
	if err != nil {
		_ = rdb.Close()
		return worker{}, err
	}
	return worker{
		get: func(ctx context.Context, id string) ([]byte, error) {
			a, err := c.Get(ctx, key.Name{Family: "item", ID: id})
			return a.Value, err
		},
		close: func() { c.Close(); _ = rdb.Close() },
	}, nil
}

// counted is an origin as the reference cache wants it.
type counted struct {
	source.Source // nothing here writes
	origin        *origin
}

func (c counted) Clock(context.Context) (int64, error) { return clock(), nil }

func (c counted) Load(ctx context.Context, n key.Name, _ source.Caller) (source.Record, error) {
	t0 := clock()
	v, err := c.origin.load(ctx, n.ID)
	return source.Record{Value: v, Version: 1, T0: t0}, err
}

func openRueidisaside(_ context.Context, addr string, o *origin, memory bool) (worker, error) {
	c, err := rueidisaside.NewClient(rueidisaside.ClientOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: !memory},
	})
	if err != nil {
		return worker{}, fmt.Errorf("rueidisaside: %w", err)
	}
	return worker{
		get: func(ctx context.Context, id string) ([]byte, error) {
			v, err := c.Get(ctx, ttl, redisKey(id), func(ctx context.Context, _ string) (string, error) {
				v, err := o.load(ctx, id)
				return string(v), err
			})
			return []byte(v), err
		},
		close: c.Close,
	}, nil
}

func openGoRedisCache(_ context.Context, addr string, o *origin, memory bool) (worker, error) {
	rdb := client(addr)
	options := &cache.Options{Redis: rdb}
	if memory {
		options.LocalCache = cache.NewTinyLFU(capacity, ttl)
	}
	c := cache.New(options)
	return worker{
		get: func(ctx context.Context, id string) (v []byte, err error) {
			err = c.Once(&cache.Item{Ctx: ctx, Key: redisKey(id), Value: &v, TTL: ttl, Do: func(item *cache.Item) (any, error) {
				return o.load(item.Context(), id)
			}})
			return v, err
		},
		close: func() { _ = rdb.Close() },
	}, nil
}

func openSturdyc(_ context.Context, addr string, o *origin, memory bool) (worker, error) {
	rdb := client(addr)
	c := sturdyc.New[[]byte](capacity, 10, ttl, 10, sturdyc.WithNoContinuousEvictions(), sturdyc.WithDistributedStorage(shared{rdb}))
	w := worker{
		get: func(ctx context.Context, id string) ([]byte, error) {
			return c.GetOrFetch(ctx, redisKey(id), func(ctx context.Context) ([]byte, error) { return o.load(ctx, id) })
		},
		close: func() { _ = rdb.Close() },
	}
	if !memory { // it can't be switched off
		w.forget = func(id string) { c.Delete(redisKey(id)) }
	}
	return w, nil
}

// shared is sturdyc's distributed storage. It has no errors: what fails is a miss.
type shared struct{ rdb *goredis.Client }

func (s shared) Get(ctx context.Context, key string) ([]byte, bool) {
	v, err := s.rdb.Get(ctx, key).Bytes()
	return v, err == nil
}

func (s shared) Set(ctx context.Context, key string, value []byte) { s.rdb.Set(ctx, key, value, ttl) }

func (s shared) GetBatch(context.Context, []string) map[string][]byte { return nil }
func (s shared) SetBatch(context.Context, map[string][]byte)          {}

// openBare is no library: a GET and, without an answer, a load and a SET. It is what a hit in Redis
// costs at least.
func openBare(_ context.Context, addr string, o *origin, memory bool) (worker, error) {
	if memory {
		return worker{}, nil
	}
	rdb := client(addr)
	return worker{
		get: func(ctx context.Context, id string) ([]byte, error) {
			if v, err := rdb.Get(ctx, redisKey(id)).Bytes(); err == nil {
				return v, nil
			}
			v, err := o.load(ctx, id)
			if err != nil {
				return nil, err
			}
			return v, rdb.Set(ctx, redisKey(id), v, ttl).Err()
		},
		close: func() { _ = rdb.Close() },
	}, nil
}
