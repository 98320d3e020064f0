package reference

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// A copy can end for its workers before Redis lets go of it, for their bounds on the source's clock
// differ. It is there then, and can't be served, or only until it has been renewed: one load all
// the same.
func TestOneLoadWhenAHotCopyIsOutlived(t *testing.T) {
	for name, change := range map[string]func(*policy.Meta){
		"over":  func(m *policy.Meta) { m.FreshUntil, m.Until, m.DropAt = m.T0, m.T0, m.T0 },
		"stale": func(m *policy.Meta) { m.FreshUntil = m.T0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 50*time.Millisecond, "l1")
			for range countRounds {
				e := f.hotAgain()
				next := e.Meta.Version + 1
				loads := f.run(func() {
					change(&e.Meta)
					require.NoError(t, f.redis.Set(t.Context(), countedHot, entry.Encode(policy.Policy{}, e), redis.KeepTTL).Err())
				}, "until hot %d", next)
				require.Equal(t, 1, loads)
			}
		})
	}
}

// slowLease is a store whose first lease is asked for only after something else has happened.
type slowLease struct {
	store.Store
	before func()
	once   sync.Once
}

func (s *slowLease) Run(ctx context.Context, script *store.Script, keys []string, args ...string) ([]string, error) {
	if script == l2.LeaseScript {
		s.once.Do(s.before)
	}
	return s.Store.Run(ctx, script, keys, args...)
}

// A worker that finds an outlived copy and asks for the lease only after another one has replaced
// that copy has nothing to load any more.
func TestAnOutlivedCopyIsReplacedOnce(t *testing.T) {
	for name, read := range map[string]func(*region, *Cache) (Answer, error){
		"read": func(r *region, c *Cache) (Answer, error) { return c.Get(r.t.Context(), hot) },
		"refresh": func(r *region, c *Cache) (Answer, error) {
			o, err := c.op(hot)
			require.NoError(r.t, err)
			return c.renew(r.t.Context(), o, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			shared := store.NewMemory().Client(straight{}, store.Patience{})
			r := newRegionOn(t, policy.Recommended(), 1, shared)
			slow := &slowLease{Store: shared}
			second, err := New(t.Context(), Config{Region: "eu", Policy: r.policy, Families: []Family{product}, Source: r.source, Shared: slow})
			require.NoError(t, err)
			t.Cleanup(second.Close)
			old := entry.Entry{Meta: policy.Meta{Kind: policy.Value, Version: 1, T0: 1, FreshUntil: 1, Until: 1, DropAt: 1}, Value: []byte("v1")}
			require.NoError(t, shared.Set(t.Context(), hotKey, entry.Encode(policy.Policy{}, old), time.Minute))
			slow.before = func() { require.Equal(t, TierSource, r.get(0, hot).Tier) }
			_, err = read(r, second)
			require.NoError(t, err)
			require.Equal(t, 1, r.source.count())
			a, err := second.Get(t.Context(), hot)
			require.NoError(t, err)
			require.Equal(t, TierL1, a.Tier, "it has the new copy")
		})
	}
}
