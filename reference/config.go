package reference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Config describes one worker's cache.
type Config struct {
	Region        string // any name, the same in all processes of the region
	Policy        policy.Policy
	Families      []Family
	Source        source.Source     // the one that all regions share. The cache does not close it.
	Shared        store.Store       // of the region: [store.NewRedis] of a [NewClient]. The cache does not close it.
	Pools         map[string]Pool   // beside Shared, by name; see [NewPools]
	L1Size        int               // copies kept in memory; 0: 10,000
	WriteBehind   Writer            // for families that are written behind; nil where there are none
	OnInvalidated func(Invalidated) // called when the worker's memory dropped superseded copies; may be nil
	Observer      Observer          // of what the cache decides and meets; may be nil

	// Clock is the worker's own monotonic clock, relative to any moment; nil: the process's. The
	// guarantees bear a rate that is wrong by up to a thousandth, and no jumps.
	Clock func() time.Duration
}

// Writer takes changes, as [Cache.Put] and [Cache.Delete] do.
type Writer interface {
	Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error)
	Delete(ctx context.Context, n key.Name) (source.Record, error)
}

// Invalidated says that one tier holds nothing older than a version of a name any more.
type Invalidated struct {
	Key     string // as the family's schema builds it
	Version uint64
}

// Pool is a Redis that some families have to themselves, beside the region's own: a database of its
// own, or a server. What happens to it happens to them only, and what happens to another pool is
// nothing to them.
type Pool struct {
	Shared   store.Store
	Observer Observer // of the families here; nil: the configuration's
}

// ErrPool marks a family whose pool is not configured, or whose namespace is in two pools.
var ErrPool = errors.New("no such pool")

// storeOf gives the Redis of a pool; "" is the region's own.
func (cfg Config) storeOf(pool string) (store.Store, error) {
	if pool == "" {
		return cfg.Shared, nil
	}
	if p, ok := cfg.Pools[pool]; ok && p.Shared != nil {
		return p.Shared, nil
	}
	known := "the region's own Redis is the only one"
	if len(cfg.Pools) > 0 {
		known = "there are " + strings.Join(slices.Sorted(maps.Keys(cfg.Pools)), ", ")
	}
	return nil, fmt.Errorf("%w: %q; %s", ErrPool, pool, known)
}

// store gives the Redis of a family.
func (cfg Config) store(f Family) (store.Store, error) {
	s, err := cfg.storeOf(f.Pool)
	if err != nil {
		return nil, fmt.Errorf("family %s: %w", f.Schema.Family, err)
	}
	return s, nil
}

// onlyStore gives the Redis of a cache, all of whose families must be in one pool.
func (cfg Config) onlyStore() (store.Store, error) {
	switch all := pools(cfg.Families); len(all) {
	case 0:
		return cfg.Shared, nil
	case 1:
		return cfg.store(cfg.Families[0])
	default:
		return nil, fmt.Errorf("%w for a cache of one pool: it has families in %s and in %s; NewPools makes caches of several", ErrPool,
			poolName(all[0]), poolName(all[1]))
	}
}

// pools lists the pools of families, each once, in their order.
func pools(families []Family) (all []string) {
	for _, f := range families {
		if !slices.Contains(all, f.Pool) {
			all = append(all, f.Pool)
		}
	}
	return all
}

func poolName(pool string) string {
	if pool == "" {
		return "the region's own Redis"
	}
	return "pool " + pool
}

// validate refuses a family that this configuration can't cache. classes are those of the
// namespaces so far.
func (cfg Config) validate(f Family, classes map[string]policy.Class) error {
	if err := f.Schema.Validate(); err != nil {
		return err
	}
	if err := f.Contract.Validate(); err != nil {
		return fmt.Errorf("family %s: %w", f.Schema.Family, err)
	}
	if class, known := classes[f.Namespace]; known && f.Namespace != "" && class != f.Contract.Class {
		return fmt.Errorf("family %s: %w: %s has %s and %s", f.Schema.Family, ErrMixed, f.Namespace, class, f.Contract.Class)
	}
	classes[f.Namespace] = f.Contract.Class
	if f.Contract.Writes == policy.WriteBehind && cfg.WriteBehind == nil {
		return fmt.Errorf("family %s is written behind, and the configuration has no writer for that", f.Schema.Family)
	}
	if f.Contract.Writes == policy.WriteBehind && f.Redact != nil {
		return fmt.Errorf("family %s can't be written behind: the journal would hold what is to be redacted", f.Schema.Family)
	}
	return nil
}
