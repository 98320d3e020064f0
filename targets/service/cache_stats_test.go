package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// What the caches say that they asked the source for is what the source says that it was asked for,
// to the last load.
func TestLoadsAreTheSameFromBothSides(t *testing.T) {
	s := start(t, policy.Recommended())
	var loads, checks atomic.Int64
	s.OnLoad(func(l targets.Load) {
		switch {
		case l.Audit:
		case l.Check:
			checks.Add(1)
		default:
			loads.Add(1)
		}
	})
	var keys []targets.Key
	for i := range 20 {
		keys = append(keys, targets.Key{Family: "product", ID: fmt.Sprint(i), Tenant: "t1", Locale: "de"}, targets.Key{Family: "price", ID: fmt.Sprint(i), Tenant: "t1"})
	}
	require.NoError(t, s.Seed(t.Context(), keys, "run"))
	reads := int64(0)
	for range 4 {
		for i, k := range keys {
			for _, region := range []string{"eu", "us"} {
				s.ask(t, targets.Request{Key: k, Region: region})
				reads++
			}
			if i%7 == 0 {
				s.ask(t, targets.Request{Kind: targets.Write, Key: k, Region: "eu", Token: targets.NewToken("run", uint64(reads), k)})
			}
		}
	}
	require.NoError(t, s.Settle(t.Context()))
	s.ask(t, targets.Request{Key: page, Instance: targets.SourceInstance}) // an audit's read, which is not counted
	var sum targets.CacheStats
	for _, w := range s.CacheStats() {
		if w.Family == "" {
			continue
		}
		sum.L1, sum.L2, sum.Source = sum.L1+w.L1, sum.L2+w.L2, sum.Source+w.Source
		sum.Loads, sum.Checks = sum.Loads+w.Loads, sum.Checks+w.Checks
	}
	require.Equal(t, reads, sum.L1+sum.L2+sum.Source)
	require.Equal(t, loads.Load(), sum.Loads)
	require.Equal(t, checks.Load(), sum.Checks)
	require.Positive(t, sum.Checks)
	require.Greater(t, sum.Loads, int64(len(keys)/2))
	require.Less(t, sum.Loads, reads)
}

// Bytes cross where a relay asks another region's, and nowhere else.
func TestWhatRelaysPullCrossesRegions(t *testing.T) {
	s := start(t, policy.Recommended())
	before, why := s.CrossRegionBytes()
	require.Empty(t, why)
	require.Contains(t, before, "eu")
	require.Contains(t, before, "us")
	const writes, least = 50, 50 * 100 // an event is more than 100 bytes of JSON
	for i := range writes {
		s.ask(t, targets.Request{Kind: targets.Write, Key: page, Region: "eu", Token: targets.NewToken("run", uint64(i), page)})
	}
	require.NoError(t, s.Settle(t.Context()))
	after, _ := s.CrossRegionBytes()
	require.Greater(t, after["us"]-before["us"], int64(least), "us hears of what was written in eu")
	require.Greater(t, after["us"]-before["us"], 2*(after["eu"]-before["eu"]), "eu polls, and there is nothing to deliver")
	require.Positive(t, after["eu"])
}

func TestNothingCrossesOneRegion(t *testing.T) {
	n, _ := strictyaml.Parse([]byte("{regions: {eu: 1}, families: {product: {class: bounded, within: 2s, ttl: 2s}}}"))
	for _, inside := range []*InProcess{nil, {}} {
		s, err := New(Config{Spec: DecodeSpec(n), Policy: Policy{Policy: policy.Recommended()}, InProcess: inside})
		require.NoError(t, err)
		bytes, why := s.CrossRegionBytes()
		require.Equal(t, map[string]int64{"eu": 0}, bytes)
		require.Empty(t, why)
		require.NoError(t, s.Close())
	}
}

func TestUsedMemory(t *testing.T) {
	c := goredis.NewClient(&goredis.Options{Addr: redistest.Start(t, goredis.Options{}).Addr})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	before, peak, err := UsedMemory(t.Context(), c)
	require.NoError(t, err)
	require.GreaterOrEqual(t, peak, before)
	require.NoError(t, c.Set(t.Context(), "big", make([]byte, 8<<20), time.Minute).Err())
	with, peak, err := UsedMemory(t.Context(), c)
	require.NoError(t, err)
	require.Greater(t, with-before, int64(8<<20))
	require.GreaterOrEqual(t, peak, with)
	require.NoError(t, c.Del(t.Context(), "big").Err())
	after, still, err := UsedMemory(t.Context(), c)
	require.NoError(t, err)
	require.Less(t, after, with-(7<<20))
	require.GreaterOrEqual(t, still, peak, "the peak stays")
}

func TestTheEmbeddedRedisTellsNoMemory(t *testing.T) {
	node, err := redis.New(redis.Embedded, "redis@eu")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Close()) })
	require.NoError(t, node.Start(t.Context()))
	_, _, err = UsedMemory(t.Context(), node.Client())
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.NoError(t, node.Stop(t.Context()))
	_, _, err = UsedMemory(t.Context(), node.Client())
	require.Error(t, err)
	require.NotErrorIs(t, err, errors.ErrUnsupported, "one that is away may tell later")
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "drills know by it that nothing runs there")
}

// inside is a service without HTTP, on stores in memory.
func inside(t testing.TB, unobserved bool) *Service {
	n, _ := strictyaml.Parse([]byte(specYAML))
	spec := DecodeSpec(n)
	stores := map[string]*store.Memory{}
	for _, r := range spec.Regions {
		stores[r.Name] = store.NewMemory()
		stores[r.Name].Start()
	}
	s, err := New(Config{Spec: spec, Policy: Policy{Policy: policy.Recommended()}, Tenants: []string{"t1"}, Unobserved: unobserved, InProcess: &InProcess{
		Store: func(edge string) store.Store {
			_, region, _ := strings.Cut(edge, " -> redis@")
			return stores[region].Client(direct{}, store.Patience{})
		},
		Wire: func(string) store.Wire { return direct{} },
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Start(t.Context(), nil))
	s.SetEpoch(time.Now())
	require.NoError(t, s.Seed(t.Context(), []targets.Key{page, tag}, "run"))
	return s
}

type direct struct{}

func (direct) Carry(ctx context.Context) error { return ctx.Err() }
func (direct) Hears(any) bool                  { return true }

func TestRelaysWithinTheProcessSendNothing(t *testing.T) {
	bytes, why := inside(t, false).CrossRegionBytes()
	require.Nil(t, bytes)
	require.Contains(t, why, "within the process")
}

func TestNobodyCountsWhatIsNotObserved(t *testing.T) {
	s := inside(t, true)
	s.ask(t, targets.Request{Key: page, Region: "eu"})
	require.Empty(t, s.CacheStats())
}

// What observing costs a read of the service, over HTTP as in a drill and within the process.
func BenchmarkObserved(b *testing.B) {
	for _, unobserved := range []bool{true, false} {
		b.Run(map[bool]string{true: "unobserved", false: "observed"}[unobserved], func(b *testing.B) {
			s := inside(b, unobserved)
			r := targets.Request{Key: page, Region: "eu"}
			ask := func() {
				if _, err := s.Do(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
			ask()
			ask()
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
