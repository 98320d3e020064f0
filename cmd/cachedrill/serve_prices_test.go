package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/tests/program"
)

const pricesYAML = `
prices: {currency: EUR, per_million_requests: 0.40, per_million_source_loads: 2, per_gb_hour_redis_memory: 0.02, per_gb_cross_region: 0.09}
budgets:
  redis_memory_bytes: {limit: 100kB, owner: {team: catalogue, contact: "#catalogue"}, alert: "#catalogue-oncall"}
  cross_region_bytes_per_million_requests: {limit: 1TB, alert: "#catalogue-oncall"}
`

// A process on a source in another region tells what that and all else costs, and raises the alarm
// about a Redis that is too large.
func TestServeTellsWhatItCosts(t *testing.T) {
	s := program.NewShop(t)
	file := filepath.Join(s.Tmp, "prices.yaml")
	require.NoError(t, os.WriteFile(file, []byte(pricesYAML), 0o644))
	p := s.Serve(t, "--prices", file, "--source-region", "us")
	require.Contains(t, p.Output(), "in region us")
	require.Contains(t, p.Output(), "accounts costs in EUR, budget redis_memory_bytes 100kB, budget cross_region_bytes_per_million_requests 1TB")
	const requests = 40
	for i := range requests / 2 {
		at := fmt.Sprintf("%s/news/%d", p.URL, i)
		require.Equal(t, 204, program.Ask(t, "PUT", at, "x").Code)
		require.Equal(t, 200, program.Ask(t, "GET", at, "").Code)
	}
	require.EqualValues(t, requests, p.Metric(t, `cachedrill_requests_total{region="eu"}`))
	loads := p.Metric(t, `cachedrill_source_loads_total{family="news",kind="load",outcome="ok",region="eu"}`)
	require.Positive(t, loads)
	require.InEpsilon(t, requests*0.40/1e6, p.Metric(t, `cachedrill_cost_total{currency="EUR",reason="requests",region="eu"}`), 1e-9)
	require.InEpsilon(t, loads*2/1e6, p.Metric(t, `cachedrill_cost_total{currency="EUR",reason="source_loads",region="eu"}`), 1e-9)
	crossed := p.Metric(t, `cachedrill_cross_region_bytes_total{region="eu"}`)
	require.Greater(t, crossed, float64(requests/2*2*100), "every load and every change, there and back")
	require.GreaterOrEqual(t, p.Metric(t, `cachedrill_cost_total{currency="EUR",reason="cross_region",region="eu"}`), crossed*0.09/1e9)

	alarm := "Z budget redis_memory_bytes of eu is exceeded: "
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), alarm) }, time.Minute, 10*time.Millisecond)
	require.Contains(t, p.Output(), "of 100kB; alert #catalogue-oncall; owner catalogue, #catalogue")
	require.EqualValues(t, 1, p.Metric(t, `cachedrill_budget_exceeded{budget="redis_memory_bytes",region="eu"}`))
	require.EqualValues(t, 100_000, p.Metric(t, `cachedrill_budget_limit{budget="redis_memory_bytes",region="eu"}`))
	require.Greater(t, p.Metric(t, `cachedrill_redis_memory_bytes{region="eu"}`), 100_000.)
	require.NotContains(t, program.Ask(t, "GET", p.URL+"/metrics", "").Body, `budget_exceeded{budget="cross_region`, "so few requests tell nothing")
}

func TestServeRefusesWhatCannotBeAccounted(t *testing.T) {
	files := map[string]string{"prices.yaml": pricesYAML, "broken.yaml": "prices: {currency: EUR, per_gb: 1}"}
	for _, c := range []struct{ args, want string }{
		{"--prices prices.yaml", "say with --source-region where the source is"},
		{"--prices prices.yaml --source-region us", "the model is in this process"},
		{"--prices broken.yaml", `broken.yaml:1:25: "per_gb": unknown field in the prices`},
		{"--prices none.yaml", "none.yaml: no such file"},
		{"--prices prices.yaml --source-region eu --source postgres://localhost/x --metrics=false", "--metrics=false leaves out"},
	} {
		code, out, output := cli(t, files, append([]string{"serve", "--region", "eu", "--listen", "127.0.0.1:0"}, strings.Fields(c.args)...)...)
		require.Equal(t, exitUsage, code, "%s: %s", c.args, output)
		require.Empty(t, out)
		require.Contains(t, output, c.want)
	}
}
