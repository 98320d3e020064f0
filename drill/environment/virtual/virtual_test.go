package virtual

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = `
version: 1
target:
  reference:
    regions: {eu: 2, us: 2}
    source: {servers: 20, service_time: 10ms, write_time: 2ms}
    families:
      page: {class: bounded, within: 1s, ttl: 1s, vary: [tenant], writes: through}
      price: {class: strong, ttl: 30s, service_time: 2ms, vary: [tenant]}
workload:
  rate: 300/s
  tenants: 2
  mix:
    page:  {share: 60%, keys: 30, zipf: 1, writes: 5%}
    price: {share: 40%, keys: 10, writes: 5%}
phases: {warmup: 300ms, steady: 1s, fault: 1500ms, recovery: 1500ms}
slo:
  steady: ["errors < 1%"]
  fault: ["errors < 5%"]
  always: ["lost_writes == 0", "violations == 0", "leaks == 0"]
scenarios:
  restart: {faults: [{redis.restart: {region: eu, down: 300ms}}]}
  expiry:  {faults: [{keys.expire: {family: page, share: 100%}}]}
  delay:   {faults: [{invalidation.delay: {by: 800ms, for: 1s}}]}
  split:   {faults: [{region.split: {between: [eu, us], for: 1s}}]}
`

func drilled(t *testing.T, sc scenarios.Scenario, p service.Policy, seed uint64, sham bool) report.Drill {
	return drilledWith(t, sc, environment.Options{Policy: p, Seed: seed}, sham)
}

func drilledWith(t *testing.T, sc scenarios.Scenario, where environment.Options, sham bool) (out report.Drill) {
	synctest.Test(t, func(t *testing.T) {
		res, err := drill.RunIn(t.Context(), sc, Open, where, drill.Options{Policy: where.Policy.Name, Seed: where.Seed, Sham: sham})
		require.NoError(t, err)
		out = res.Scenario
	})
	return out
}

func TestWholeDrills(t *testing.T) {
	suite, err := scenarios.Parse("small", []byte(small))
	require.NoError(t, err)
	for _, sc := range suite.Scenarios {
		for seed := range min(2, seeds(t)) {
			good := drilled(t, sc, suite.Policies["recommended"], seed, false)
			require.Equal(t, slo.Pass, good.Outcome, "%s, seed %d: %s", sc.Name, seed, good.Why)
			require.NotEmpty(t, good.Faults[0].Evidence)
			sham := drilled(t, sc, suite.Policies["recommended"], seed, true)
			require.Equal(t, slo.Pass, sham.Outcome, "sham of %s: %s", sc.Name, sham.Why)
			bad := drilled(t, sc, suite.Policies["naive"], seed, false)
			if sc.Name == "delay" || sc.Name == "split" {
				require.Equal(t, slo.Fail, bad.Outcome, "%s, seed %d: %s", sc.Name, seed, bad.Why)
				require.Positive(t, bad.Oracle.Violations["strong"])
			}
		}
	}
}
