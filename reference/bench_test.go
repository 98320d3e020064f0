package reference

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// benched is a kind of key as a real one has it: two dimensions, of which the tenant leads.
var (
	benched = Family{
		Schema:   key.Schema{Family: "product", Version: 1, Vary: []key.Dimension{key.Tenant, key.Locale}},
		Contract: policy.Family{Class: policy.Bounded, Within: time.Hour, TTL: time.Hour},
	}
	benchedName = key.Name{Family: "product", ID: "4711", Tenant: "acme", Locale: "de"}
)

// benchedCache is one worker's cache that holds one value, in every tier that the policy has.
func benchedCache(t testing.TB, p policy.Policy, shared store.Store) *Cache {
	began := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 1, Now: func() int64 { return int64(time.Since(began)) }})
	require.NoError(t, err)
	m.Seed(benchedName, make([]byte, 200), "s")
	c, err := New(context.Background(), Config{Region: "eu", Policy: p, Families: []Family{benched}, Source: m, Shared: shared})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Get(context.Background(), benchedName)
	require.NoError(t, err)
	return c
}

func memoryOnly(t testing.TB) *Cache {
	return benchedCache(t, policy.Recommended(), store.NewMemory().Client(straight{}, store.Patience{}))
}

// otterHit is what an L1 hit is measured against: an otter cache with expiry as ours has it, and
// one reading of the clock.
func otterHit(t testing.TB) func() {
	c, err := otter.New(&otter.Options[string, *l1.Copy]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryWriting[string, *l1.Copy](time.Hour),
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.StopAllGoroutines() })
	k, err := benched.Schema.Build(benchedName)
	require.NoError(t, err)
	c.Set(k, &l1.Copy{})
	began := time.Now()
	return func() {
		if _, ok := c.GetIfPresent(k); !ok || time.Since(began) < 0 {
			t.Fatal("no hit")
		}
	}
}

// hit reads the name of the benchmarks, which must be in the tier.
func hit(t testing.TB, c *Cache, tier Tier) func() {
	ctx := context.Background()
	return func() {
		if a, err := c.Get(ctx, benchedName); err != nil || a.Tier != tier {
			t.Fatal(a.Tier, err)
		}
	}
}

// sideBySide measures two things in turn, chunk by chunk, so that both meet the same machine. It
// reports the median time of a call of each, and the median of the ratios of neighbours.
func sideBySide(b *testing.B, chunk int, ours, base func()) {
	time1 := func(fn func()) float64 {
		began := time.Now()
		for range chunk {
			fn()
		}
		return float64(time.Since(began).Nanoseconds()) / float64(chunk)
	}
	time1(ours)
	time1(base)
	var a, z, ratio []float64
	b.ResetTimer()
	for done := 0; done < b.N || len(a) < 3; done += 2 * chunk {
		var x, y float64
		if len(a)%2 == 0 { // who goes first takes turns too
			x, y = time1(ours), time1(base)
		} else {
			y, x = time1(base), time1(ours)
		}
		a, z, ratio = append(a, x), append(z, y), append(ratio, x/y)
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op") // the mean of both says nothing
	b.ReportMetric(median(a), "ours-ns")
	b.ReportMetric(median(z), "base-ns")
	b.ReportMetric(median(ratio), "ratio")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// An L1 hit against an otter hit and one reading of the clock; the target is a ratio of 1.5.
func BenchmarkL1Hit(b *testing.B) {
	sideBySide(b, 1000, hit(b, memoryOnly(b), TierL1), otterHit(b))
}

// BenchmarkL1HitAlone is for profiles: go test -run '^$' -bench L1HitAlone -cpuprofile cpu.out
// ./reference
func BenchmarkL1HitAlone(b *testing.B) {
	get := hit(b, memoryOnly(b), TierL1)
	b.ReportAllocs()
	for b.Loop() {
		get()
	}
}

// An L2 hit against a bare GET of the same bytes through a client with the same options; the target
// is a ratio of 1.25.
func BenchmarkL2Hit(b *testing.B) {
	addr := redistest.Start(b, redis.Options{}).Addr
	get, bare := l2Hit(b, addr)
	sideBySide(b, 100, get, bare)
}

// BenchmarkL2HitAlone is for profiles.
func BenchmarkL2HitAlone(b *testing.B) {
	get, bare := l2Hit(b, redistest.Start(b, redis.Options{}).Addr)
	for name, fn := range map[string]func(){"cache": get, "get": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fn()
			}
		})
	}
}

func l2Hit(b testing.TB, addr string) (get, bare func()) {
	p := sharedOnly(b)
	ours, theirs := NewClient(addr, p), NewClient(addr, p)
	b.Cleanup(func() { ours.Close(); theirs.Close() })
	k, err := benched.Schema.Build(benchedName)
	require.NoError(b, err)
	ctx := context.Background()
	return hit(b, benchedCache(b, p, store.NewRedis(ours)), TierL2), func() {
		if raw, err := theirs.Get(ctx, k).Bytes(); err != nil || len(raw) < 200 {
			b.Fatal(len(raw), err)
		}
	}
}

// sharedOnly is the recommended policy without memory in the workers.
func sharedOnly(t testing.TB) policy.Policy {
	p, err := policy.Recommended().Without("l1")
	require.NoError(t, err)
	return p
}

var commandCalls = regexp.MustCompile(`(?m)^cmdstat_([^:]+):calls=(\d+),`)

// commands counts what a Redis was asked, by command, since its counters were reset.
func commands(t *testing.T, c *redis.Client) map[string]int {
	info, err := c.Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	calls := map[string]int{}
	for _, m := range commandCalls.FindAllStringSubmatch(info, -1) {
		calls[m[1]], err = strconv.Atoi(m[2])
		require.NoError(t, err)
	}
	delete(calls, "config|resetstat")
	delete(calls, "info")
	return calls
}

// A hit in Redis is one GET and nothing else: one round trip.
func TestL2HitIsOneRoundTrip(t *testing.T) {
	addr := redistest.Start(t, redis.Options{}).Addr
	p := sharedOnly(t)
	client := NewClient(addr, p)
	defer client.Close()
	c := benchedCache(t, p, store.NewRedis(client))
	get := hit(t, c, TierL2)
	get()
	require.NoError(t, client.ConfigResetStat(t.Context()).Err())
	const hits = 100
	for range hits {
		get()
	}
	require.Equal(t, map[string]int{"get": hits}, commands(t, client))
}
