package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/go-redis/cache/v9"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidisaside"
	"github.com/viccon/sturdyc"
)

// setting is what a library is opened with.
type setting struct {
	redis  string
	ttl    time.Duration
	source *source
}

const capacity = 10_000

// libraries are the caches in Go, each opened and called as its documentation shows. Where that
// has no call that loads, the service does what its readers do: get, and without an answer load
// and set.
var libraries = map[string]func(setting) (cached, error){
	"get-set":        openGetSet,
	"go-redis-cache": openGoRedisCache,
	"sturdyc":        openSturdyc,
	"otter":          openOtter,
	"rueidisaside":   openRueidisaside,
	"ristretto":      openRistretto,
	"golang-lru":     openGolangLRU,
}

func redisKey(key string) string { return "item:" + key }

func openGetSet(s setting) (cached, error) {
	rdb := redis.NewClient(&redis.Options{Addr: s.redis})
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			v, err := rdb.Get(ctx, redisKey(key)).Result()
			if !errors.Is(err, redis.Nil) {
				return v, err
			}
			if v, err = s.source.load(ctx, key); err != nil {
				return "", err
			}
			return v, rdb.Set(ctx, redisKey(key), v, s.ttl).Err()
		},
		forget: func(ctx context.Context, key string) error { return rdb.Del(ctx, redisKey(key)).Err() },
	}, nil
}

// openGoRedisCache has a memory that lives half as long as what is in Redis; in its README it is a
// minute beside an hour.
func openGoRedisCache(s setting) (cached, error) {
	c := cache.New(&cache.Options{
		Redis:      redis.NewClient(&redis.Options{Addr: s.redis}),
		LocalCache: cache.NewTinyLFU(capacity, s.ttl/2),
	})
	return cached{
		get: func(ctx context.Context, key string) (v string, err error) {
			err = c.Once(&cache.Item{Ctx: ctx, Key: redisKey(key), Value: &v, TTL: s.ttl, Do: func(*cache.Item) (any, error) {
				return s.source.load(context.WithoutCancel(ctx), key)
			}})
			return v, err
		},
		forget: func(ctx context.Context, key string) error {
			if err := c.Delete(ctx, redisKey(key)); !errors.Is(err, cache.ErrCacheMiss) {
				return err
			}
			return nil
		},
	}, nil
}

// openSturdyc has Redis as distributed storage. Its Delete is about memory alone, so the copy in
// Redis is deleted by the service, first.
func openSturdyc(s setting) (cached, error) {
	rdb := redis.NewClient(&redis.Options{Addr: s.redis})
	c := sturdyc.New[string](capacity, 10, s.ttl/2, 10, sturdyc.WithDistributedStorage(shared{rdb, s.ttl}))
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			return c.GetOrFetch(ctx, redisKey(key), func(ctx context.Context) (string, error) { return s.source.load(ctx, key) })
		},
		forget: func(ctx context.Context, key string) error {
			err := rdb.Del(ctx, redisKey(key)).Err()
			c.Delete(redisKey(key))
			return err
		},
	}, nil
}

// shared is sturdyc's distributed storage. It has no errors: what fails is a miss.
type shared struct {
	rdb *redis.Client
	ttl time.Duration
}

func (s shared) Get(ctx context.Context, key string) ([]byte, bool) {
	v, err := s.rdb.Get(ctx, key).Bytes()
	return v, err == nil
}

func (s shared) Set(ctx context.Context, key string, value []byte) { s.rdb.Set(ctx, key, value, s.ttl) }

func (s shared) GetBatch(ctx context.Context, keys []string) map[string][]byte {
	found := map[string][]byte{}
	for _, k := range keys {
		if v, ok := s.Get(ctx, k); ok {
			found[k] = v
		}
	}
	return found
}

func (s shared) SetBatch(ctx context.Context, records map[string][]byte) {
	for k, v := range records {
		s.Set(ctx, k, v)
	}
}

func openOtter(s setting) (cached, error) {
	c, err := otter.New(&otter.Options[string, string]{
		MaximumSize: capacity, ExpiryCalculator: otter.ExpiryWriting[string, string](s.ttl),
	})
	if err != nil {
		return cached{}, fmt.Errorf("otter: %w", err)
	}
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			return c.Get(ctx, key, otter.LoaderFunc[string, string](func(ctx context.Context, key string) (string, error) {
				return s.source.load(context.WithoutCancel(ctx), key)
			}))
		},
		forget: func(_ context.Context, key string) error { c.Invalidate(key); return nil },
	}, nil
}

func openRueidisaside(s setting) (cached, error) {
	c, err := rueidisaside.NewClient(rueidisaside.ClientOption{ClientOption: rueidis.ClientOption{InitAddress: []string{s.redis}}})
	if err != nil {
		return cached{}, fmt.Errorf("rueidisaside: %w", err)
	}
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			return c.Get(ctx, s.ttl, redisKey(key), func(ctx context.Context, _ string) (string, error) { return s.source.load(ctx, key) })
		},
		forget: func(ctx context.Context, key string) error { return c.Del(ctx, redisKey(key)) },
	}, nil
}

func openRistretto(s setting) (cached, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, string]{NumCounters: 10 * capacity, MaxCost: capacity, BufferItems: 64})
	if err != nil {
		return cached{}, fmt.Errorf("ristretto: %w", err)
	}
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			if v, found := c.Get(key); found {
				return v, nil
			}
			v, err := s.source.load(ctx, key)
			if err == nil {
				c.SetWithTTL(key, v, 1, s.ttl)
				c.Wait()
			}
			return v, err
		},
		forget: func(_ context.Context, key string) error { c.Del(key); return nil },
	}, nil
}

func openGolangLRU(s setting) (cached, error) {
	c := expirable.NewLRU[string, string](capacity, nil, s.ttl)
	return cached{
		get: func(ctx context.Context, key string) (string, error) {
			if v, ok := c.Get(key); ok {
				return v, nil
			}
			v, err := s.source.load(ctx, key)
			if err == nil {
				c.Add(key, v)
			}
			return v, err
		},
		forget: func(_ context.Context, key string) error { c.Remove(key); return nil },
	}, nil
}
