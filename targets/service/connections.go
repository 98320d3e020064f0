package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// connections are a process's clients of its Redises, by place; "" is the region's own.
type connections map[string]*goredis.Client

// connect connects to each Redis as a policy wants it.
func (p *Process) connect(by policy.Policy) (connections, error) {
	at := map[string]reference.ClientConfig{"": p.cfg.Redis}
	for _, place := range p.cfg.Spec.Places {
		cfg, ok := p.cfg.Places[place]
		if !ok {
			return nil, fmt.Errorf("nobody says where the Redis of place %s is", place)
		}
		at[place] = cfg
	}
	c := connections{}
	for _, place := range slices.Sorted(maps.Keys(at)) {
		for other := range c {
			if sameData(at[place], at[other]) {
				return nil, errors.Join(fmt.Errorf("%s and %s are one database (%s, number %d): what happens to one would happen to the other",
					redisName(other), redisName(place), at[place].Addr, at[place].DB), c.close())
			}
		}
		client, err := reference.NewClientWith(at[place], by)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connecting to %s: %w", redisName(place), err), c.close())
		}
		c[place] = client
	}
	return c, nil
}

func sameData(a, b reference.ClientConfig) bool { return a.Addr == b.Addr && a.DB == b.DB }

func redisName(place string) string {
	if place == "" {
		return "the region's own Redis"
	}
	return "the Redis of place " + place
}

// stores gives the stores behind the clients.
func (c connections) stores() (own store.Store, at map[string]reference.Place) {
	at = map[string]reference.Place{}
	for place, client := range c {
		if place != "" {
			at[place] = reference.Place{Shared: store.NewRedis(client)}
		}
	}
	return store.NewRedis(c[""]), at
}

// ping asks each Redis whether it answers, at once.
func (c connections) ping(ctx context.Context) map[string]error {
	var mu sync.Mutex
	said := map[string]error{}
	var all sync.WaitGroup
	for place, client := range c {
		all.Go(func() {
			err := client.Ping(ctx).Err()
			mu.Lock()
			said[place] = err
			mu.Unlock()
		})
	}
	all.Wait()
	return said
}

func (c connections) close() error {
	var errs []error
	for _, client := range c {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}
