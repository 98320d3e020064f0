package reference

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// placeTally counts what a cache tells of.
type placeTally struct {
	NopObserver
	mu     sync.Mutex
	tiers  map[Tier]int
	opened atomic.Int64
	gaps   atomic.Int64
}

func (o *placeTally) Read(s ReadEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tiers == nil {
		o.tiers = map[Tier]int{}
	}
	o.tiers[s.Tier]++
}

func (o *placeTally) Breaker(open bool) {
	if open {
		o.opened.Add(1)
	}
}

func (o *placeTally) Gap() { o.gaps.Add(1) }

func (o *placeTally) reads() map[Tier]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.tiers
	o.tiers = nil
	return out
}

// listing and stock are eventual, so that nothing but copies and messages decides what they answer.
var (
	listing = Family{Schema: key.Schema{Family: "listing", Version: 1}, Contract: policy.Family{Class: policy.Eventual, TTL: time.Minute}}
	stock   = Family{Schema: key.Schema{Family: "stock", Version: 1}, Contract: policy.Family{Class: policy.Eventual, TTL: time.Minute}, Pool: "critical"}
)

// town is a worker with a family in the region's own Redis and one in a pool, and an observer on
// each.
type town struct {
	t           *testing.T
	source      *source.Model
	own, pool   *redis.Client
	into        *Invalidator
	cache       *Pools
	unimportant *placeTally
	critical    *placeTally
}

const townNames = 20

// newTown makes one; the critical family is in the region's own Redis where apart is false.
func newTown(t *testing.T, p policy.Policy, own, pool *redis.Client, apart bool) *town {
	start := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 100, Now: func() int64 { return int64(time.Since(start)) + int64(time.Hour) }})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	w := &town{t: t, source: m, own: own, pool: pool, unimportant: &placeTally{}, critical: &placeTally{}}
	families := []Family{listing, stock}
	if !apart {
		families[1].Pool = ""
		w.critical = w.unimportant
	}
	at := map[string]Pool{"critical": {Shared: store.NewRedis(pool), Observer: w.critical}}
	w.into, err = NewPoolsInvalidator(p, families, store.NewRedis(own), at)
	require.NoError(t, err)
	w.cache, err = NewPools(t.Context(), Config{Region: "eu", Policy: p, Families: families, Source: m, Shared: store.NewRedis(own), Pools: at, Observer: w.unimportant})
	require.NoError(t, err)
	t.Cleanup(w.cache.Close)
	for i := range townNames {
		for _, f := range families {
			m.Seed(key.Name{Family: f.Schema.Family, ID: strconv.Itoa(i)}, []byte("v1"), "s")
		}
	}
	return w
}

// sweep reads every name of a family once.
func (w *town) sweep(family string) {
	for i := range townNames {
		_, err := w.cache.Get(w.t.Context(), key.Name{Family: family, ID: strconv.Itoa(i)})
		require.NoError(w.t, err)
	}
}

func (w *town) fill() {
	w.sweep("listing")
	w.sweep("stock")
	w.unimportant.reads()
	w.critical.reads()
}

func clientOf(t *testing.T, s *redistest.Server, db int, p policy.Policy) *redis.Client {
	c, err := NewClientWith(ClientConfig{Addr: s.Addr, DB: db}, p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// outage kills the Redis of the unimportant family, and counts what the critical one then answers
// from, and how often its breaker opened.
func outage(t *testing.T, apart bool) (tiers map[Tier]int, opened int64) {
	p := without(t, "l1") // or memory would hide it
	w := newTown(t, p, clientOf(t, redistest.Start(t, redis.Options{}), 0, p), clientOf(t, redistest.Start(t, redis.Options{}), 0, p), apart)
	w.fill()
	_ = w.own.ShutdownNoSave(t.Context())
	require.Eventually(t, func() bool { return w.own.Ping(t.Context()).Err() != nil }, 10*time.Second, time.Millisecond)
	w.sweep("listing")
	require.Equal(t, map[Tier]int{TierSource: townNames}, w.unimportant.reads())
	require.Positive(t, w.unimportant.opened.Load())
	w.sweep("stock")
	return w.critical.reads(), w.critical.opened.Load()
}

func TestOutageOfOnePlaceIsNothingToAnother(t *testing.T) {
	tiers, opened := outage(t, true)
	require.Equal(t, map[Tier]int{TierL2: townNames}, tiers)
	require.Zero(t, opened)

	tiers, opened = outage(t, false)
	require.Equal(t, map[Tier]int{TierSource: townNames}, tiers, "in one pool both lose everything")
	require.Positive(t, opened)
}

func TestTwoDatabasesOfOneServer(t *testing.T) {
	p := without(t, "l1")
	server := redistest.Start(t, redis.Options{})
	w := newTown(t, p, clientOf(t, server, 0, p), clientOf(t, server, 1, p), true)
	w.fill()
	require.EqualValues(t, townNames, w.own.DBSize(t.Context()).Val())
	require.EqualValues(t, townNames, w.pool.DBSize(t.Context()).Val())
	require.NoError(t, w.own.FlushDB(t.Context()).Err())
	w.sweep("stock")
	require.Equal(t, map[Tier]int{TierL2: townNames}, w.critical.reads())
	w.sweep("listing")
	require.Equal(t, map[Tier]int{TierSource: townNames}, w.unimportant.reads())
}

// Two services that know nothing of each other, with the same families, in two databases of a
// server: their channels would be one, were channels called the same in both.
func TestDatabasesOfOneServerHaveTheirOwnBus(t *testing.T) {
	p := policy.Recommended()
	server := redistest.Start(t, redis.Options{})
	drops := [2]chan Invalidated{make(chan Invalidated, 10), make(chan Invalidated, 10)}
	seen := [2]*placeTally{{}, {}}
	var into [2]*Invalidator
	for db := range 2 {
		m, err := source.NewModel(source.ModelConfig{Servers: 100, Now: func() int64 { return int64(time.Hour) }})
		require.NoError(t, err)
		t.Cleanup(m.Close)
		shared := store.NewRedis(clientOf(t, server, db, p))
		into[db] = NewInvalidator(p, []Family{listing}, shared)
		c, err := New(t.Context(), Config{Region: "eu", Policy: p, Families: []Family{listing}, Source: m, Shared: shared, Observer: seen[db],
			OnInvalidated: func(d Invalidated) { drops[db] <- d }})
		require.NoError(t, err)
		t.Cleanup(c.Close)
	}
	for i := range 5 {
		for db := range 2 {
			require.NoError(t, into[db].Apply(t.Context(), key.Name{Family: "listing", ID: strconv.Itoa(db)}, uint64(i+1), 1))
		}
	}
	for db := range 2 {
		for i := range 5 {
			require.Equal(t, Invalidated{"listing:" + strconv.Itoa(db) + ":v1", uint64(i + 1)}, <-drops[db], "and none of the other's between")
		}
		require.Zero(t, seen[db].gaps.Load(), "the other's numbers look like a loss")
	}
}

// Invalidations go to each family's place, and to the memory of the cache that serves it.
func TestInvalidationsReachEveryPlace(t *testing.T) {
	p := policy.Recommended()
	server := redistest.Start(t, redis.Options{})
	w := newTown(t, p, clientOf(t, server, 0, p), clientOf(t, server, 3, p), true)
	w.fill()
	for _, family := range []string{"listing", "stock"} {
		n := key.Name{Family: family, ID: "7"}
		r, err := w.source.Store(t.Context(), n, []byte("v2"), "w", source.Caller{Region: "us"})
		require.NoError(t, err)
		require.NoError(t, w.into.Apply(t.Context(), n, r.Version, r.T0))
		require.Eventually(t, func() bool {
			a, err := w.cache.Get(t.Context(), n)
			return err == nil && string(a.Value) == "v2"
		}, 10*time.Second, time.Millisecond, family)
	}
	require.Equal(t, "critical", w.into.Pool("stock"))
	require.Empty(t, w.into.Pool("listing"))
}

// A purge finds each family in its place, and tells the workers there.
func TestPurgeGoesToEveryPlace(t *testing.T) {
	p := policy.Recommended()
	server := redistest.Start(t, redis.Options{})
	w := newTown(t, p, clientOf(t, server, 0, p), clientOf(t, server, 1, p), true)
	w.fill()
	audit, err := purge.OpenAudit(t.TempDir() + "/audit")
	require.NoError(t, err)
	defer audit.Close()
	cfg := purge.Config{Region: "eu", Policy: p, Families: PurgeFamilies([]Family{listing, stock}), Shared: store.NewRedis(w.own), Audit: audit}
	_, err = purge.New(cfg)
	require.ErrorIs(t, err, purge.ErrPool)
	cfg.Pools = map[string]store.Store{"critical": store.NewRedis(w.pool)}
	purger, err := purge.New(cfg)
	require.NoError(t, err)
	gone, err := purger.Purge(t.Context(), purge.Order{Selector: purge.Selector{Family: "stock"}, Who: "me", Why: "test"})
	require.NoError(t, err)
	require.Equal(t, townNames, gone.Removed)
	require.Eventually(t, func() bool {
		a, err := w.cache.Get(t.Context(), key.Name{Family: "stock", ID: "1"})
		return err == nil && a.Tier == TierSource
	}, 10*time.Second, time.Millisecond)
	gone, err = purger.Purge(t.Context(), purge.Order{Selector: purge.Selector{All: true}, Who: "me", Why: "test"})
	require.NoError(t, err)
	require.Equal(t, townNames+1, gone.Removed)
}

func TestPlacesThatCanNotBe(t *testing.T) {
	m, err := source.NewModel(source.ModelConfig{Servers: 1, Now: func() int64 { return 1 }})
	require.NoError(t, err)
	defer m.Close()
	memory := func() store.Store { return store.NewMemory().Client(nil, store.Patience{}) }
	together := func(f Family) Family { f.Namespace = "shop"; return f }
	for _, c := range []struct {
		says string
		cfg  Config
	}{
		{`family stock: no such pool: "critical"; the region's own Redis is the only one`, Config{Families: []Family{listing, stock}}},
		{`family stock: no such pool: "critical"; there are spare`, Config{Families: []Family{stock}, Pools: map[string]Pool{"spare": {Shared: memory()}}}},
		{"namespace shop has listing in the region's own Redis and stock in pool critical",
			Config{Families: []Family{together(listing), together(stock)}, Pools: map[string]Pool{"critical": {Shared: memory()}}}},
	} {
		c.cfg.Policy, c.cfg.Source, c.cfg.Shared = without(t, "bus"), m, memory()
		_, err := NewPools(t.Context(), c.cfg)
		require.ErrorIs(t, err, ErrPool)
		require.ErrorContains(t, err, c.says)
	}
	_, err = New(t.Context(), Config{Policy: without(t, "bus"), Source: m, Shared: memory(), Families: []Family{listing, stock}, Pools: map[string]Pool{"critical": {Shared: memory()}}})
	require.ErrorIs(t, err, ErrPool)
	require.ErrorContains(t, err, "NewPools makes caches of several")
	_, err = NewPoolsInvalidator(policy.Recommended(), []Family{stock}, memory(), nil)
	require.ErrorIs(t, err, ErrPool)
	require.ErrorIs(t, NewInvalidator(policy.Recommended(), []Family{stock}, memory()).Apply(t.Context(), key.Name{Family: "stock", ID: "1"}, 1, 1), ErrPool)
}

// Pools that share an observer have one breaker to it, which is open while any is.
func TestBreakersOfSeveralPlaces(t *testing.T) {
	var seen []bool
	all := &breakers{}
	report := func(open bool) { seen = append(seen, open) }
	a, b := &poolObserver{Observer: breakerEar{report: report}, all: all}, &poolObserver{Observer: breakerEar{report: report}, all: all}
	for _, step := range []struct {
		who  *poolObserver
		open bool
	}{{a, false}, {b, false}, {a, true}, {b, true}, {a, false}, {b, false}} {
		step.who.Breaker(step.open)
	}
	require.Equal(t, []bool{false, false, true, true, true, false}, seen)
}

type breakerEar struct {
	NopObserver
	report func(bool)
}

func (e breakerEar) Breaker(open bool) { e.report(open) }

func TestPlacedGoesToTheFamilysCache(t *testing.T) {
	p := without(t, "bus")
	w := newTown(t, p, clientOf(t, redistest.Start(t, redis.Options{}), 0, p), clientOf(t, redistest.Start(t, redis.Options{}), 0, p), true)
	ctx := context.Background()
	names := []key.Name{{Family: "listing", ID: "0"}, {Family: "stock", ID: "0"}, {Family: "stock", ID: "1"}}
	var asked []int
	require.NoError(t, w.cache.Prewarm(ctx, names, func(i int) float64 { asked = append(asked, i); return 0 }))
	require.ElementsMatch(t, []int{0, 1, 2}, asked)
	require.EqualValues(t, 1, w.own.DBSize(ctx).Val())
	require.EqualValues(t, 2, w.pool.DBSize(ctx).Val())
	require.NoError(t, w.cache.Warm(ctx, names[2], false))
	_, err := w.cache.Put(ctx, names[1], []byte("v2"), "w")
	require.NoError(t, err)
	a, err := w.cache.Get(ctx, names[1])
	require.NoError(t, err)
	require.Equal(t, "v2", string(a.Value))
	_, err = w.cache.Delete(ctx, names[0])
	require.NoError(t, err)
	a, err = w.cache.GetBypass(ctx, names[0], true)
	require.NoError(t, err)
	require.True(t, a.Absent)
	lost := key.Name{Family: "none", ID: "1"}
	for _, err := range []error{
		second(w.cache.Get(ctx, lost)), second(w.cache.GetBypass(ctx, lost, false)), second(w.cache.Delete(ctx, lost)),
		second(w.cache.Put(ctx, lost, nil, "w")), w.cache.Warm(ctx, lost, true), w.cache.Prewarm(ctx, []key.Name{lost}, nil),
	} {
		require.ErrorIs(t, err, ErrFamily)
	}
	require.ErrorIs(t, second(w.cache.Put(ctx, lost, nil, "w")), source.ErrNotApplied)
	require.NotNil(t, w.cache.At("critical"))
	require.Nil(t, w.cache.At("nowhere"))
}

func second[T any](_ T, err error) error { return err }

// Each pool has its beat: a Redis that forgot its epoch is noticed by the worker's memory of that
// pool, and by no other.
func TestEachPlaceHasItsBeat(t *testing.T) {
	p := policy.Recommended()
	server := redistest.Start(t, redis.Options{})
	w := newTown(t, p, clientOf(t, server, 0, p), clientOf(t, server, 1, p), true)
	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() { w.into.Heartbeat(ctx) })
	defer beating.Wait()
	defer cancel()
	epoch := func(c *redis.Client) string { return c.Get(t.Context(), bus.EpochKey).Val() }
	require.Eventually(t, func() bool { return epoch(w.own) != "" && epoch(w.pool) != "" }, 10*time.Second, time.Millisecond)
	require.NotEqual(t, epoch(w.own), epoch(w.pool))
	beats := w.own.Subscribe(t.Context(), bus.Channel)
	defer beats.Close()
	gaps := w.unimportant.gaps.Load()
	for range 2 { // the worker has heard a beat before the flush, or there would be nothing to miss
		_, err := beats.ReceiveMessage(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, w.pool.FlushDB(t.Context()).Err())
	require.Eventually(t, func() bool { return w.critical.gaps.Load() > 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, gaps, w.unimportant.gaps.Load())
}
