package reference_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// switching is a cache whose policy can be switched while the service runs.
type switching struct {
	config    reference.Config // but for its Policy and Shared
	redisAddr string

	mu    sync.RWMutex // held for reading while the cache is used
	cache *reference.Cache
	close func() error // of the cache's client
}

// follow has a new cache take the old one's place, when no request uses that any more. After an
// error nothing has changed.
func (s *switching) follow(ctx context.Context, p policy.Policy) error {
	client := reference.NewClient(s.redisAddr, p)
	cfg := s.config
	cfg.Policy, cfg.Shared = p, store.NewRedis(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := reference.New(ctx, cfg)
	if err != nil {
		_ = client.Close()
		return err
	}
	if s.cache != nil {
		s.cache.Close()
		_ = s.close()
	}
	s.cache, s.close = next, client.Close
	return nil
}

func (s *switching) get(ctx context.Context, n key.Name) (reference.Answer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cache.Get(ctx, n)
}

// A policy is for the life of a cache. To follow another, make another cache: its memory is empty,
// Redis is as it was. Writes must hold the lock as reads do: none may be under way while the caches
// change places.
func Example_switchPolicy() {
	redis, err := miniredis.Run()
	if err != nil {
		log.Panic(err)
	}
	defer redis.Close()
	database, err := source.NewModel(source.ModelConfig{Servers: 10})
	if err != nil {
		log.Panic(err)
	}
	defer database.Close()
	n := key.Name{Family: "product", ID: "17"}
	database.Seed(n, []byte("a red chair"), "")

	ctx := context.Background()
	s := &switching{redisAddr: redis.Addr(), config: reference.Config{Region: "eu", Source: database,
		Families: []reference.Family{{
			Schema:   key.Schema{Family: "product", Version: 1},
			Contract: policy.Family{Class: policy.Eventual, TTL: time.Minute},
		}}}}
	before := policy.Recommended()
	after, err := before.Without("l1") // docs/policies.md says what each control is good for
	if err != nil {
		log.Panic(err)
	}
	for _, p := range []policy.Policy{before, after, before} {
		if err := s.follow(ctx, p); err != nil {
			log.Panic(err)
		}
		for range 2 {
			a, err := s.get(ctx, n)
			if err != nil {
				log.Panic(err)
			}
			fmt.Printf("l1 %v: %s from %s\n", p.Controls.Has(policy.L1), a.Value, a.Tier)
		}
	}
	s.cache.Close()
	_ = s.close()
	// Output:
	// l1 true: a red chair from source
	// l1 true: a red chair from l1
	// l1 false: a red chair from l2
	// l1 false: a red chair from l2
	// l1 true: a red chair from l2
	// l1 true: a red chair from l1
}
