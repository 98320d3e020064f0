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

// connections are a process's clients of its Redises, by pool; "" is the region's own.
type connections map[string]*goredis.Client

// connect connects to each Redis as a policy wants it.
func (p *Process) connect(by policy.Policy) (connections, error) {
	at := map[string]reference.ClientConfig{"": p.cfg.Redis}
	for _, pool := range p.cfg.Spec.Pools {
		cfg, ok := p.cfg.Pools[pool]
		if !ok {
			return nil, fmt.Errorf("nobody says where the Redis of pool %s is", pool)
		}
		at[pool] = cfg
	}
	c := connections{}
	for _, pool := range slices.Sorted(maps.Keys(at)) {
		for other := range c {
			if sameData(at[pool], at[other]) {
				return nil, errors.Join(fmt.Errorf("%s and %s are one database (%s, number %d): what happens to one would happen to the other",
					redisName(other), redisName(pool), at[pool].Addr, at[pool].DB), c.close())
			}
		}
		client, err := reference.NewClientWith(at[pool], by)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connecting to %s: %w", redisName(pool), err), c.close())
		}
		c[pool] = client
	}
	return c, nil
}

func sameData(a, b reference.ClientConfig) bool { return a.Addr == b.Addr && a.DB == b.DB }

func redisName(pool string) string {
	if pool == "" {
		return "the region's own Redis"
	}
	return "the Redis of pool " + pool
}

// stores gives the stores behind the clients.
func (c connections) stores() (own store.Store, at map[string]reference.Pool) {
	at = map[string]reference.Pool{}
	for pool, client := range c {
		if pool != "" {
			at[pool] = reference.Pool{Shared: store.NewRedis(client)}
		}
	}
	return store.NewRedis(c[""]), at
}

// ping asks each Redis whether it answers, at once.
func (c connections) ping(ctx context.Context) map[string]error {
	var mu sync.Mutex
	said := map[string]error{}
	var all sync.WaitGroup
	for pool, client := range c {
		all.Go(func() {
			err := client.Ping(ctx).Err()
			mu.Lock()
			said[pool] = err
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
