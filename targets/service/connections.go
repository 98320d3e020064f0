package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// connections are a process's clients of its Redises, by pool; "" is the region's own Redis.
type connections map[string]*goredis.Client

// connect makes a client of each Redis of a process, with the settings of a policy.
func connect(cfg ProcessConfig, by policy.Policy) (connections, error) {
	at := map[string]reference.ClientConfig{"": cfg.Redis}
	for _, pool := range cfg.Spec.Pools {
		redis, ok := cfg.Pools[pool]
		if !ok {
			return nil, fmt.Errorf("the Redis of pool %s has no address", pool)
		}
		at[pool] = redis
	}
	c := connections{}
	for _, pool := range slices.Sorted(maps.Keys(at)) {
		for other := range c {
			if sameData(at[pool], at[other]) {
				return nil, errors.Join(fmt.Errorf("%s and %s are one database (%s, number %d): they need one each, since a fault in one must not touch the other",
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

// ping asks every Redis at the same time, and gives the error of each, by pool.
func (c connections) ping(ctx context.Context) map[string]error {
	var mu sync.Mutex
	answers := map[string]error{}
	var all sync.WaitGroup
	for pool, client := range c {
		all.Go(func() {
			err := client.Ping(ctx).Err()
			mu.Lock()
			answers[pool] = err
			mu.Unlock()
		})
	}
	all.Wait()
	return answers
}

func (c connections) close() error {
	var errs []error
	for _, client := range c {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// UsedMemory asks a Redis how many bytes it uses, and the most it used since it started. The error
// wraps [errors.ErrUnsupported] when the server has no such figures.
func UsedMemory(ctx context.Context, c *goredis.Client) (used, peak int64, err error) {
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return 0, 0, noMemory(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var to *int64
		switch name {
		case "used_memory":
			to = &used
		case "used_memory_peak":
			to = &peak
		default:
			continue
		}
		if *to, err = strconv.ParseInt(value, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("reading %s of its INFO: %w", name, err)
		}
	}
	if used == 0 {
		return 0, 0, noMemory(nil)
	}
	return used, max(used, peak), nil
}

// noMemory classifies a failed INFO: a server that answered without the figure never has it, others
// may have it later.
func noMemory(err error) error {
	var answered goredis.Error
	if err != nil && !errors.As(err, &answered) {
		return err
	}
	if err != nil && (strings.HasPrefix(err.Error(), "LOADING") || strings.HasPrefix(err.Error(), "BUSY")) {
		return err
	}
	return fmt.Errorf("its INFO has no used_memory: %w", errors.ErrUnsupported)
}
