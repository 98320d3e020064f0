package service

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cachedrill/cachedrill/reference"
)

// generation is the cache that a [Process] has under one policy, until the policy is switched.
type generation struct {
	policy      Policy
	cache       Cache
	invalidator Invalidator
	redis       connections

	users refCount

	end   context.CancelFunc
	beats sync.WaitGroup
}

// newGeneration makes a cache whose memory is empty, and which is subscribed to the bus before
// anything is put there.
func newGeneration(ctx context.Context, cfg ProcessConfig, observer reference.Observer, by Policy) (*generation, error) {
	if err := by.checkPools(cfg.Spec.Pools); err != nil {
		return nil, err
	}
	redis, err := connect(cfg, by.Policy)
	if err != nil {
		return nil, err
	}
	g := &generation{policy: by, redis: redis}
	families := cfg.Spec.families()
	shared, pools := redis.stores()
	if g.invalidator, err = by.Design.invalidator(cfg.Region, by.Policy, families, shared, pools); err != nil {
		return nil, errors.Join(fmt.Errorf("making the invalidator: %w", err), redis.close())
	}
	g.cache, err = by.Design.make(ctx, reference.Config{Region: cfg.Region, Policy: by.Policy, Families: families, Source: cfg.Source,
		Shared: shared, Pools: pools, L1Size: cfg.L1Size, Observer: observer})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the cache: %w", err), redis.close())
	}
	life, cancel := context.WithCancel(context.Background())
	g.end = cancel
	if b, ok := g.invalidator.(heartbeater); ok && cfg.Feed != nil {
		g.beats.Go(func() { b.Heartbeat(life) })
	}
	return g, nil
}

func (g *generation) leave() { g.users.leave() }

// close ends the generation after its last user.
func (g *generation) close() error {
	<-g.users.drained()
	g.end()
	g.beats.Wait()
	g.cache.Close()
	return g.redis.close()
}
