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
	// An error of Put and Delete that is [source.ErrNotApplied] guarantees that nothing was changed.
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
	// Prewarm fills the shared tier; see [reference.Cache.Prewarm].
	Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error
	Close()
}

// Invalidator carries commits into a region's caches. Apply is called again until it succeeds, and may be
// called for the same commit again, in any order.
type Invalidator interface {
	Apply(ctx context.Context, e invalidation.Event) error
}

// Design is a way to build caches. What is nil is the reference cache's.
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

// checkPools refuses families in pools of their own for a cache that has one Redis.
func (p Policy) checkPools(s Spec) error {
	if len(s.Pools) > 0 && (p.Design.Cache != nil || p.Design.Invalidator != nil) {
		return fmt.Errorf("policy %s is another kind of cache, which knows no pools (%s)", p.Name, strings.Join(s.Pools, ", "))
	}
	return nil
}

// Reference is the reference cache's [Invalidator].
type Reference struct{ Into *reference.Invalidator }

// Apply implements [Invalidator].
func (r Reference) Apply(ctx context.Context, e invalidation.Event) error {
	return r.Into.Apply(ctx, e.Name, e.Version, e.At)
}

// Pool is the pool of a family: what goes there does not wait for what goes elsewhere.
func (r Reference) Pool(family string) string { return r.Into.Pool(family) }

// Heartbeat keeps telling the region's workers how much there was to hear, until ctx ends.
func (r Reference) Heartbeat(ctx context.Context) { r.Into.Heartbeat(ctx) }

// Inside keeps the whole service within the process: workers are called, not asked over HTTP, and what
// would be a network link is a wire. That is how drills run in virtual time, and at rates that HTTP
// does not reach.
type Inside struct {
	Store  func(edge string) store.Store // a region's shared tier as it is reached over an edge
	Wire   func(edge string) store.Wire  // the link between two relays
	L1Size int                           // copies kept in a worker's memory; 0: the cache's default
}

func (i *Inside) l1Size() int {
	if i == nil {
		return 0
	}
	return i.L1Size
}

// insidePeer is a relay reached over a wire.
type insidePeer struct {
	relay *invalidation.Relay
	wire  store.Wire
}

func (p insidePeer) Close() {}

func (p insidePeer) Pull(ctx context.Context, after uint64) (next uint64, events []invalidation.Event, err error) {
	if err := p.wire.Carry(ctx); err != nil {
		return 0, nil, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	if next, events, err = p.relay.Pull(ctx, after); err != nil {
		return 0, nil, err
	}
	if err := p.wire.Carry(ctx); err != nil {
		return 0, nil, fmt.Errorf("hearing of a peer's commits: %w", err)
	}
	return next, events, nil
}
