package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Cache is one worker's cache, of whichever design. [reference.Cache] is one.
type Cache interface {
	Get(ctx context.Context, n key.Name) (reference.Answer, error)
	// GetBypass reads from the source, past every tier; audit marks it as no part of the workload.
	GetBypass(ctx context.Context, n key.Name, audit bool) (reference.Answer, error)
	// An error of Put and Delete that is [source.ErrNotApplied] guarantees that nothing was
	// changed.
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
	// Prewarm fills the shared tier; see [reference.Cache.Prewarm].
	Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error
	Close()
}

// Invalidator carries commits into a region's caches. Apply is called again until it succeeds, and
// may be called again for the same commit, in any order.
type Invalidator interface {
	Apply(ctx context.Context, e invalidation.Event) error
}

// Design is a way to build caches. A nil field stands for the reference cache's.
type Design struct {
	Cache       func(ctx context.Context, cfg reference.Config) (Cache, error)
	Invalidator func(region string, p policy.Policy, families []reference.Family, shared store.Store) Invalidator
}

// Policy is how the service's caches behave: their controls, and their design.
type Policy struct {
	policy.Policy
	Design Design // the zero value is the reference cache
}

// Presets are the policies that every suite can build upon by name.
func Presets() map[string]Policy {
	all := map[string]Policy{}
	for name, preset := range policy.Presets {
		all[name] = Policy{Policy: preset()}
	}
	return all
}

func (d Design) make(ctx context.Context, cfg reference.Config) (Cache, error) {
	if d.Cache != nil {
		return d.Cache(ctx, cfg)
	}
	return reference.NewPools(ctx, cfg)
}

func (d Design) invalidator(region string, p policy.Policy, families []reference.Family, shared store.Store, at map[string]reference.Pool) (Invalidator, error) {
	if d.Invalidator != nil {
		return d.Invalidator(region, p, families, shared), nil
	}
	into, err := reference.NewPoolsInvalidator(p, families, shared, at)
	if err != nil {
		return nil, err
	}
	return Reference{into}, nil
}

// checkPools refuses pools for a cache that has one Redis.
func (p Policy) checkPools(pools []string) error {
	if len(pools) > 0 && (p.Design.Cache != nil || p.Design.Invalidator != nil) {
		return fmt.Errorf("policy %s is another kind of cache, which knows no pools (%s)", p.Name, strings.Join(pools, ", "))
	}
	return nil
}

// Reference is the reference cache's [Invalidator].
type Reference struct{ Into *reference.Invalidator }

// Apply implements [Invalidator].
func (r Reference) Apply(ctx context.Context, e invalidation.Event) error {
	return r.Into.Apply(ctx, e.Name, e.Version, e.At)
}

// Pool is the pool of a family: events of one pool do not wait for those of another.
func (r Reference) Pool(family string) string { return r.Into.Pool(family) }

// Heartbeat keeps publishing the bus's high-water mark to the region's workers, until ctx ends.
func (r Reference) Heartbeat(ctx context.Context) { r.Into.Heartbeat(ctx) }
