package reference_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

var eventual = []reference.Family{{
	Schema:   key.Schema{Family: "product", Version: 1},
	Contract: policy.Family{Class: policy.Eventual, TTL: time.Hour},
}}

// place is what one process of a region runs.
type place struct {
	region string
	cache  *reference.Cache
	client *goredis.Client
	into   *reference.Invalidator
	relay  *invalidation.Relay
	drops  chan reference.Invalidated
}

func newPlace(ctx context.Context, region string, database *source.Model, redisAddr string) (*place, error) {
	p := policy.Recommended()
	w := &place{region: region, client: reference.NewClient(redisAddr, p), drops: make(chan reference.Invalidated, 100)}
	shared := store.NewRedis(w.client)
	var err error
	w.cache, err = reference.New(ctx, reference.Config{Region: region, Policy: p, Families: eventual, Source: database, Shared: shared,
		OnInvalidated: func(d reference.Invalidated) { w.drops <- d }})
	if err != nil {
		return nil, err
	}
	w.into = reference.NewInvalidator(p, eventual, shared)
	w.relay = invalidation.NewRelay(invalidation.Config{Region: region, Log: database.Log(), All: true,
		Deliver: func(ctx context.Context, e invalidation.Event) error {
			return w.into.Apply(ctx, e.Name, e.Version, e.At)
		}})
	return w, nil
}

// heardOf waits until the worker's memory holds nothing older than a version.
func (w *place) heardOf(ctx context.Context, version uint64) error {
	for {
		select {
		case d := <-w.drops:
			if d.Version >= version {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Two regions with a Redis each, on one source. Two workers of eu and one of us hear of a write of
// one of them.
func Example_regions() {
	database, err := source.NewModel(source.ModelConfig{Servers: 10})
	if err != nil {
		log.Panic(err)
	}
	defer database.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	redis := map[string]*miniredis.Miniredis{"eu": miniredis.NewMiniRedis(), "us": miniredis.NewMiniRedis()}
	for _, r := range redis {
		if err := r.Start(); err != nil {
			log.Panic(err)
		}
		defer r.Close()
	}
	var places []*place
	for _, region := range []string{"eu", "eu", "us"} {
		w, err := newPlace(ctx, region, database, redis[region].Addr())
		if err != nil {
			log.Panic(err)
		}
		places = append(places, w)
	}

	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, w := range places {
		running.Go(func() { _ = w.relay.Run(life, nil) })
		running.Go(func() { w.into.Heartbeat(life) })
	}

	n := key.Name{Family: "product", ID: "17"}
	for i, value := range []string{"a red chair", "a blue chair"} {
		if _, err := places[0].cache.Put(ctx, n, []byte(value), ""); err != nil {
			log.Panic(err)
		}
		for _, w := range places {
			if err := w.heardOf(ctx, uint64(i+1)); err != nil {
				log.Panic(err)
			}
			a, err := w.cache.Get(ctx, n)
			if err != nil {
				log.Panic(err)
			}
			fmt.Printf("%s: %s\n", w.region, a.Value)
		}
	}

	end()
	running.Wait()
	for _, w := range places {
		w.cache.Close()
		_ = w.client.Close()
	}
	// Output:
	// eu: a red chair
	// eu: a red chair
	// us: a red chair
	// eu: a blue chair
	// eu: a blue chair
	// us: a blue chair
}
