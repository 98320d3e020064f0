package reference

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redistest.Main()
	redis.SetLogger(silent{}) // that Redis is away is what some tests are about
	goleak.VerifyTestMain(m)
}

var (
	product = Family{
		Schema:   key.Schema{Family: "product", Version: 1},
		Contract: policy.Family{Class: policy.Bounded, Within: time.Minute, TTL: time.Minute},
	}
	price = Family{
		Schema:   key.Schema{Family: "price", Version: 1},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Minute},
	}
	quick = Family{
		Schema:   key.Schema{Family: "quick", Version: 1},
		Contract: policy.Family{Class: policy.Bounded, Within: 100 * time.Millisecond, TTL: 100 * time.Millisecond},
	}
	brief   = key.Name{Family: "quick", ID: "1"}
	hot     = key.Name{Family: "product", ID: "17"}
	hotKey  = "product:17:v1"
	ninePro = key.Name{Family: "price", ID: "9"}
)

// gate is a source whose loads, once they have read, wait to be let go: a slow load under control.
type gate struct {
	*source.Model
	mu    sync.Mutex
	wait  chan struct{} // nil: loads pass
	read  chan source.Record
	loads int
}

func (g *gate) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	r, err := g.Model.Load(ctx, n, by)
	g.mu.Lock()
	g.loads++
	wait := g.wait
	g.mu.Unlock()
	if wait != nil {
		g.read <- r
		select {
		case <-wait:
		case <-ctx.Done():
			return source.Record{}, ctx.Err()
		}
	}
	return r, err
}

func (g *gate) shut() (open func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	g.wait = ch
	g.mu.Unlock()
	return func() { g.mu.Lock(); g.wait = nil; g.mu.Unlock(); close(ch) }
}

func (g *gate) count() int { g.mu.Lock(); defer g.mu.Unlock(); return g.loads }

type region struct {
	t      *testing.T
	redis  *miniredis.Miniredis
	source *gate
	caches []*Cache
	policy policy.Policy
	client *redis.Client
}

func newRegion(t *testing.T, p policy.Policy, workers int) *region {
	return newRegionOn(t, p, workers, nil)
}

// newRegionOn shares a store of the caller's instead of a Redis: one that answers at once, however
// busy the machine is.
func newRegionOn(t *testing.T, p policy.Policy, workers int, shared store.Store) *region {
	mr := miniredis.RunT(t)
	start := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 100, Now: func() int64 { return int64(time.Since(start)) }})
	require.NoError(t, err)
	r := &region{t: t, redis: mr, policy: p, source: &gate{Model: m, read: make(chan source.Record, 100)}}
	r.client = NewClient(mr.Addr(), p)
	t.Cleanup(func() { r.client.Close() })
	if shared == nil {
		shared = store.NewRedis(r.client)
	}
	for range workers {
		c, err := New(t.Context(), Config{Region: "eu", Policy: p, Families: []Family{product, price, quick}, Source: r.source, Shared: shared})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		r.caches = append(r.caches, c)
	}
	m.Seed(hot, []byte("v1"), "s")
	m.Seed(brief, []byte("v1"), "s")
	m.Seed(ninePro, []byte("v1"), "s")
	return r
}

func without(t *testing.T, names ...string) policy.Policy {
	p := policy.Recommended()
	for _, n := range names {
		var err error
		p, err = p.Without(n)
		require.NoError(t, err)
	}
	return p
}

func (r *region) get(worker int, n key.Name) Answer {
	r.t.Helper()
	a, err := r.caches[worker].Get(r.t.Context(), n)
	require.NoError(r.t, err)
	return a
}

func TestTiersInTurn(t *testing.T) {
	r := newRegion(t, policy.Recommended(), 2)
	require.Equal(t, TierSource, r.get(0, hot).Tier)
	require.Equal(t, TierL1, r.get(0, hot).Tier)
	require.Equal(t, TierL2, r.get(1, hot).Tier)
	require.Equal(t, TierL1, r.get(1, hot).Tier)
	require.Equal(t, TierSource, r.get(0, ninePro).Tier)
	require.Equal(t, TierL1, r.get(0, ninePro).Tier)
	require.Equal(t, TierL2, r.get(1, ninePro).Tier)
	absent, err := r.caches[0].Get(t.Context(), key.Name{Family: "product", ID: "none"})
	require.NoError(t, err)
	require.True(t, absent.Absent)
	require.Equal(t, TierSource, absent.Tier)
	absent, err = r.caches[1].Get(t.Context(), key.Name{Family: "product", ID: "none"})
	require.NoError(t, err)
	require.True(t, absent.Absent)
	require.Equal(t, TierL2, absent.Tier)
	_, err = r.caches[0].Get(t.Context(), key.Name{Family: "nope", ID: "1"})
	require.ErrorIs(t, err, ErrFamily)
}

// stampede counts the source loads when readers miss one key at once on all workers.
func stampede(t *testing.T, p policy.Policy, workers, readers int) int {
	r := newRegionOn(t, p, workers, store.NewMemory().Client(straight{}, store.Patience{}))
	open := r.source.shut()
	var wg sync.WaitGroup
	for i := range workers * readers {
		wg.Go(func() { r.get(i%workers, hot) })
	}
	<-r.source.read // one load is under way; the rest has time to pile up behind it
	require.Never(t, func() bool { return p.Controls.Has(policy.FillLease) && r.source.count() > 1 }, 50*time.Millisecond, 5*time.Millisecond)
	open()
	wg.Wait()
	return r.source.count()
}

func TestStampede(t *testing.T) {
	require.Equal(t, 1, stampede(t, policy.Recommended(), 4, 16), "one load per region")
	require.Equal(t, 1, stampede(t, without(t, "single-flight"), 4, 16), "the lease alone does it too")
	require.LessOrEqual(t, stampede(t, without(t, "fill-lease"), 4, 16), 4, "one per worker")
	require.Greater(t, stampede(t, without(t, "fill-lease", "single-flight"), 4, 16), 4, "one per reader")
}

// A load that began before a write ends after it: the old value must not come back.
func slowFillAfterWrite(t *testing.T, p policy.Policy) uint64 {
	r := newRegion(t, p, 2)
	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	require.EqualValues(t, 1, (<-r.source.read).Version)
	w, err := r.caches[1].Put(t.Context(), hot, []byte("v2"), "w")
	require.NoError(t, err)
	require.EqualValues(t, 2, w.Version)
	open()
	require.EqualValues(t, 1, (<-done).Version, "the reader began before the write")
	return r.get(1, hot).Version
}

func TestSlowFillAfterWrite(t *testing.T) {
	require.EqualValues(t, 2, slowFillAfterWrite(t, policy.Recommended()))
	require.EqualValues(t, 1, slowFillAfterWrite(t, without(t, "versioned-store", "fill-lease")), "the race is real without its control")
	require.EqualValues(t, 1, slowFillAfterWrite(t, policy.Naive()))
}

func TestWriteReachesOtherWorkersOverTheBus(t *testing.T) {
	for _, c := range []struct {
		policy policy.Policy
		heard  bool
	}{{policy.Recommended(), true}, {without(t, "bus"), false}} {
		r := newRegion(t, c.policy, 2)
		r.get(0, hot)
		r.get(1, hot)
		w, err := r.caches[1].Put(t.Context(), hot, []byte("v2"), "w")
		require.NoError(t, err)
		into := NewInvalidator(c.policy, []Family{product}, store.NewRedis(r.client))
		require.NoError(t, into.Apply(t.Context(), hot, w.Version, w.T0))
		fresh := func() bool { return r.get(0, hot).Version == 2 }
		if c.heard {
			require.Eventually(t, fresh, 5*time.Second, time.Millisecond)
		} else {
			require.Never(t, fresh, 50*time.Millisecond, 5*time.Millisecond)
		}
		require.NoError(t, into.Apply(t.Context(), hot, 1, 0), "late and out of order")
		require.EqualValues(t, 2, r.get(1, hot).Version)
	}
}

// Messages are lost, and the copy's life is longer than the bound: only its age speaks against it.
func TestAgeClampHoldsWithoutMessages(t *testing.T) {
	for _, c := range []struct {
		policy policy.Policy
		tier   Tier
	}{{policy.Recommended(), TierSource}, {without(t, "age-clamp"), TierL1}} {
		r := newRegion(t, c.policy, 1)
		r.get(0, hot)
		cache := r.caches[0]
		held, ok := cache.l1.Get(hotKey)
		require.True(t, ok)
		aged := held.Entry
		aged.Meta.T0 -= int64(product.Contract.Within)
		cache.l1.Replace(hotKey, &l1.Copy{Entry: aged})
		r.redis.FlushAll()
		require.Equal(t, c.tier, r.get(0, hot).Tier)
	}
}

// joinLateLoad has a reader come to a load that read longer ago than the bound, and counts the
// loads.
func joinLateLoad(t *testing.T, p policy.Policy) int {
	r := newRegion(t, p, 1)
	open := r.source.shut()
	var wg sync.WaitGroup
	read := func() { r.get(0, brief) }
	wg.Go(read)
	first := <-r.source.read
	require.Eventually(t, func() bool {
		return r.caches[0].clock.Now()-first.T0 > int64(quick.Contract.Within)
	}, 5*time.Second, time.Millisecond)
	wg.Go(read)
	open()
	wg.Wait()
	return r.source.count()
}

// A reader that joins a load must not get a value that was read too long before it came.
func TestJoiningALoadThatReadTooLongAgo(t *testing.T) {
	require.Equal(t, 2, joinLateLoad(t, policy.Recommended()))
	joined := false
	for range 20 { // whether the second reader joins in time is a race
		joined = joined || joinLateLoad(t, without(t, "age-clamp")) == 1
	}
	require.True(t, joined, "without its control the old value is served")
}

// What somebody else put under our key, or an older format of ours, must not make the key
// unreadable.
func TestForeignEntryIsReplaced(t *testing.T) {
	for _, garbage := range []string{"x", "somebody else's value, zzzzzzzzzzzzzzzzzzzzz, longer than a header of ours is, really"} {
		r := newRegion(t, policy.Recommended(), 2)
		require.NoError(t, r.redis.Set(hotKey, garbage))
		require.Equal(t, TierSource, r.get(0, hot).Tier)
		require.Equal(t, TierL2, r.get(1, hot).Tier, "the fill took its place")
		require.NoError(t, r.redis.Set(hotKey, garbage))
		w, err := r.caches[0].Put(t.Context(), hot, []byte("v2"), "w")
		require.NoError(t, err)
		raw, err := r.redis.Get(hotKey)
		require.NoError(t, err)
		floor, err := entry.Decode([]byte(raw))
		require.NoError(t, err, "the floor took its place")
		require.Equal(t, w.Version, floor.Meta.Version)
	}
}

func TestRedisAway(t *testing.T) {
	r := newRegion(t, policy.Recommended(), 2)
	r.redis.Close()
	began := time.Now()
	for i := range 2 {
		require.Equal(t, TierSource, r.get(i, hot).Tier)
		require.Equal(t, TierL1, r.get(i, hot).Tier, "what was found lives in memory")
	}
	_, err := r.caches[0].Put(t.Context(), hot, []byte("v2"), "w")
	require.NoError(t, err, "the source took the write")
	require.EqualValues(t, 2, r.get(0, hot).Version)
	require.Less(t, time.Since(began), 5*time.Second, "no waiting for client defaults")
	require.NoError(t, r.redis.Restart())
	require.Eventually(t, func() bool {
		_, err := r.caches[1].Get(t.Context(), key.Name{Family: "product", ID: fmt.Sprint(time.Now().UnixNano())})
		return err == nil && r.redis.Exists("lease:x") == false && r.client.Ping(t.Context()).Err() == nil
	}, 10*time.Second, 10*time.Millisecond)
}

func TestFailedLoadGivesTheLeaseBack(t *testing.T) {
	r := newRegion(t, policy.Recommended(), 1)
	ctx, cancel := context.WithCancel(t.Context())
	open := r.source.shut()
	defer open()
	failed := make(chan error, 1)
	go func() {
		o, err := r.caches[0].op(hot)
		if err == nil {
			_, err = r.caches[0].fetch(ctx, o, lookup{})
		}
		failed <- err
	}()
	<-r.source.read
	require.True(t, r.redis.Exists(l2.LeaseKey(hotKey)))
	cancel()
	require.Error(t, <-failed)
	require.False(t, r.redis.Exists(l2.LeaseKey(hotKey)))
}

func TestRefreshInTheBackground(t *testing.T) {
	r := newRegion(t, policy.Recommended(), 1)
	r.get(0, hot)
	cache := r.caches[0]
	held, _ := cache.l1.Get(hotKey)
	old := held.Entry
	old.Meta.FreshUntil = old.Meta.T0
	old.Meta.T0--
	cache.l1.Replace(hotKey, &l1.Copy{Entry: old})
	raw := entry.Encode(policy.Policy{}, old)
	r.redis.Set(hotKey, string(raw))
	open := r.source.shut()
	require.Equal(t, TierL1, r.get(0, hot).Tier, "the reader does not wait")
	<-r.source.read
	require.Equal(t, TierL1, r.get(0, hot).Tier)
	open()
	require.Eventually(t, func() bool {
		now, _ := cache.l1.Get(hotKey)
		return now.Meta.T0 > old.Meta.T0
	}, 5*time.Second, time.Millisecond)
	require.Equal(t, 2, r.source.count())
}
