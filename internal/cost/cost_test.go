package cost

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCost(t *testing.T) {
	p := Prices{Currency: "EUR", PerMillionRequests: 0.5, PerMillionSourceLoads: 2, PerGBHourRedisMemory: 0.03, PerGBCrossRegion: 0.02}
	u := Usage{Requests: 3e6, SourceLoads: 1e5, RedisByteSeconds: 2e9 * 7200, CrossRegionBytes: 5e9}
	require.InDelta(t, 1.5+0.2+0.12+0.1, p.Cost(u), 1e-12)
	require.InDelta(t, 1.5, p.Price(Requests)*u.Of(Requests), 1e-12)
	require.InDelta(t, 0.2, p.Price(SourceLoads)*u.Of(SourceLoads), 1e-12)
	require.InDelta(t, 0.12, p.Price(RedisMemory)*u.Of(RedisMemory), 1e-12)
	require.InDelta(t, 0.1, p.Price(CrossRegion)*u.Of(CrossRegion), 1e-12)
	require.Zero(t, Prices{}.Cost(u))
	require.Zero(t, p.Cost(Usage{}))
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]float64{
		"0B": 0, "17B": 17, "2kB": 2000, "1.5MB": 1.5e6, "2 GB": 2e9, "1TB": 1e12, "1KiB": 1024, "2MiB": 2 << 20, "1GiB": 1 << 30, "1TiB": 1 << 40,
	} {
		got, err := Bytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "2", "GB", "-1GB", "2Gb", "2gb", "NaNB", "InfGB", "1e30B", "2 GB x"} {
		_, err := Bytes(text)
		require.Error(t, err, text)
	}
}

func TestInBytes(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0B", 900: "900B", 1000: "1kB", 999_600: "1MB", 1_250_000: "1.25MB", 12_340_000: "12.3MB", 123_400_000: "123MB", 2e9: "2GB", 5e15: "5000TB",
	} {
		require.Equal(t, want, InBytes(v))
	}
}

func TestABudgetIsForAtMostItsLimit(t *testing.T) {
	b := Budget{Limit: 100}
	require.Equal(t, Within, b.Judge(100))
	require.Equal(t, Exceeded, b.Judge(math.Nextafter(100, 101)))
}

func TestParse(t *testing.T) {
	l, err := Parse("prices.yaml", []byte(`
prices: {currency: EUR, per_million_requests: 0.1, per_million_source_loads: 0.2, per_gb_hour_redis_memory: 0.3, per_gb_cross_region: 0.4}
budgets:
  redis_memory_bytes: {limit: 2GB, owner: {team: shop, contact: "#shop"}, alert: "#shop-oncall"}
  cross_region_bytes_per_million_requests: {limit: 500MB, alert: ines}
`))
	require.NoError(t, err)
	require.Equal(t, &Prices{"EUR", 0.1, 0.2, 0.3, 0.4}, l.Prices)
	require.Equal(t, []Budget{
		{RedisMemoryBytes, 2e9, Owner{"shop", "#shop"}, "#shop-oncall"},
		{CrossRegionBytesPerMillion, 5e8, Owner{}, "ines"},
	}, l.Budgets)
	l, err = Parse("prices.yaml", []byte("budgets: {}"))
	require.NoError(t, err)
	require.Nil(t, l.Prices)
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for src, want := range map[string]string{
		"prices: {per_gb_cross_region: 1}":                        "prices.yaml:1:10: the prices need a currency",
		"prices: {currency: EUR}":                                 ": nothing has a price",
		"prices: {currency: EUR, per_gb_crossregion: 1}":          `did you mean "per_gb_cross_region"?`,
		"prices: {currency: EUR, per_gb_cross_region: -1}":        "per_gb_cross_region as a number of at least 0",
		"budgets: {redis_memory_bytes: {limit: 2, alert: a}}":     "expected the limit as an amount of bytes",
		"budgets: {redis_memory_bytes: {alert: a}}":               "a budget needs a limit",
		"budgets: {redis_memory_bytes: {limit: 2GB}}":             "whom it tells",
		"budgets: {redis_memory: {limit: 2GB, alert: a}}":         "known: cross_region_bytes_per_million_requests, redis_memory_bytes",
		"budgets: {cross_region_bytes_per_million_requests: 5GB}": "as a mapping",
		"price: {}": `unknown field in the list of prices`,
	} {
		_, err := Parse("prices.yaml", []byte(src))
		require.ErrorContains(t, err, want, src)
	}
}
