package virtual

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

// The Redis of the pages goes away; prices are critical, and asked of Redis at every read, since no
// worker has memory.
const placed = `
version: 1
policies:
  no-memory: {preset: recommended, without: [l1]}
target:
  reference:
    regions: {eu: 2}
    pools: [critical]
    source: {servers: 20, service_time: 10ms, write_time: 2ms}
    families:
      page: {class: bounded, within: 20s, ttl: 20s}
      price: {class: bounded, within: 20s, ttl: 20s, pool: critical}
workload:
  rate: 300/s
  mix:
    page:  {share: 60%, keys: 30, zipf: 1, writes: 1%}
    price: {share: 40%, keys: 10, writes: 1%}
phases: {warmup: 300ms, steady: 1s, fault: 2s, recovery: 21s}   # copies live for 20s
slo:
  fault: ["hit_ratio{tier=l2, family=price} > 80%", "errors < 5%"]
scenarios:
  page-redis-away: {faults: [{redis.restart: {region: eu, down: 1500ms}}]}
  price-redis-away:
    faults: [{redis.restart: {region: eu, pool: critical, down: 1500ms}}]
    slo: {fault: ["hit_ratio{tier=l2, family=page} > 80%"]}
  prices-expire: {faults: [{keys.expire: {pattern: "*", pool: critical}}]}
`

func TestPlacesFailEachByItself(t *testing.T) {
	suite, err := scenarios.Parse("placed", []byte(placed))
	require.NoError(t, err)
	hits := func(s report.Drill, family string) report.SLO {
		for _, o := range s.SLOs {
			if strings.HasPrefix(o.Expr, "hit_ratio") && strings.Contains(o.Expr, "family="+family) {
				return o
			}
		}
		t.Fatalf("no objective about %s: %v", family, s.SLOs)
		return report.SLO{}
	}
	for seed := range min(2, seeds(t)) {
		own, err := suite.Scenario("page-redis-away")
		require.NoError(t, err)
		s := drilled(t, own, suite.Policies["no-memory"], seed, false)
		require.Equal(t, slo.Pass, s.Outcome, "%s %v", s.Why, missed(s, false))
		require.Equal(t, slo.Pass, hits(s, "price").Outcome)

		place, err := suite.Scenario("price-redis-away")
		require.NoError(t, err)
		s = drilled(t, place, suite.Policies["no-memory"], seed, false)
		require.Equal(t, slo.Pass, hits(s, "page").Outcome)
		require.Equal(t, slo.Fail, hits(s, "price").Outcome, "that one is away")
		require.Contains(t, s.Faults[0].Name, "pool: critical")

		expire, err := suite.Scenario("prices-expire")
		require.NoError(t, err)
		s = drilled(t, expire, suite.Policies["no-memory"], seed, false)
		require.Contains(t, s.Faults[0].Evidence, "10 of 10 keys", "those of the pool, and no page")

		// With both families in one place, the same fault takes both.
		together, err := scenarios.Parse("together", []byte(strings.NewReplacer(", pool: critical", "", "    pools: [critical]\n", "").Replace(placed[:strings.Index(placed, "  price-redis-away")])))
		require.NoError(t, err)
		s = drilled(t, together.Scenarios[0], together.Policies["no-memory"], seed, false)
		require.Equal(t, slo.Fail, hits(s, "price").Outcome, "%s", s.Why)
	}
}
