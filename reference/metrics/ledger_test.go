package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/metrics"
)

// ledger is one in which everything was reported.
func ledger(before func()) *metrics.Ledger {
	l := metrics.NewLedger(metrics.LedgerConfig{Region: "eu", Currency: "EUR", Reasons: []string{"requests", "source_loads"},
		Budgets: map[string]float64{"redis_memory_bytes": 2e9}, Before: before})
	l.Requests(3)
	l.Crossed(700)
	l.Cost("source_loads", 0.25)
	l.RedisCost(0.5)
	l.RedisMemory(1e6, true)
	l.Exceeded("redis_memory_bytes", true, true)
	return l
}

// gathered is everything that is gathered, as text.
func gathered(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&b, f)
		require.NoError(t, err)
	}
	require.NotEmpty(t, b.String())
	return b.String()
}

func TestALedgerTellsWhatItWasTold(t *testing.T) {
	asked := 0
	l := ledger(func() { asked++ })
	text := gathered(t, l)
	require.Equal(t, 1, asked)
	for _, line := range []string{
		`cachedrill_requests_total{region="eu"} 3`,
		`cachedrill_cross_region_bytes_total{region="eu"} 700`,
		`cachedrill_cost_total{currency="EUR",reason="requests",region="eu"} 0`,
		`cachedrill_cost_total{currency="EUR",reason="source_loads",region="eu"} 0.25`,
		`cachedrill_redis_cost_total{currency="EUR",region="eu"} 0.5`,
		`cachedrill_redis_memory_bytes{region="eu"} 1e+06`,
		`cachedrill_budget_limit{budget="redis_memory_bytes",region="eu"} 2e+09`,
		`cachedrill_budget_exceeded{budget="redis_memory_bytes",region="eu"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	l.Exceeded("redis_memory_bytes", false, true)
	require.Contains(t, gathered(t, l), `cachedrill_budget_exceeded{budget="redis_memory_bytes",region="eu"} 0`)
}

// What is not known is not reported: no zero stands for it.
func TestALedgerIsSilentAboutWhatItDoesNotKnow(t *testing.T) {
	l := ledger(nil)
	l.RedisMemory(0, false)
	l.Exceeded("redis_memory_bytes", false, false)
	text := gathered(t, l)
	require.NotContains(t, text, "cachedrill_redis_memory_bytes")
	require.NotContains(t, text, "cachedrill_budget_exceeded")
	bare := metrics.NewLedger(metrics.LedgerConfig{Region: "eu"})
	bare.Cost("requests", 1)
	bare.RedisCost(1)
	require.NotContains(t, gathered(t, bare), "cost_total", "there are no prices")
}

func TestCountsAreWhatPrometheusIsTold(t *testing.T) {
	m := all()
	for range 3 {
		m.Read(reference.ReadEvent{Family: "product", Tenant: "acme", Tier: reference.TierL1, Outcome: reference.Done, Took: time.Millisecond})
	}
	m.Read(reference.ReadEvent{Family: "product", Tenant: "x", Tier: reference.TierSource, Outcome: reference.Done, Took: 20 * time.Millisecond})
	m.Read(reference.ReadEvent{Family: "product", Outcome: reference.TimedOut})
	m.Load(reference.LoadEvent{Family: "product", Outcome: reference.Done})
	m.Load(reference.LoadEvent{Family: "product", Outcome: reference.Failed})
	m.Load(reference.LoadEvent{Family: "product", Outcome: reference.Shed})
	m.Load(reference.LoadEvent{Family: "product", Check: true, Outcome: reference.Done})
	m.Stale("product", reference.StaleIfError)
	m.LeaseWait("product")
	m.Refresh("product", reference.Skipped)
	m.Write(reference.WriteEvent{Family: "product", Outcome: reference.Unknown})
	m.Write(reference.WriteEvent{Family: "product", Delete: true, Outcome: reference.Done})
	m.Lag("product", reference.PathBus, 3*time.Millisecond)
	m.Lag("product", reference.PathBus, time.Hour)
	m.Shared(5)
	m.Breaker(false)
	m.Breaker(true)
	m.Breaker(false)
	m.Gap()

	c := m.Counts()
	f := c.Families["product"]
	require.Equal(t, metrics.Answers{L1: 3, Source: 1}, f.Answers)
	require.EqualValues(t, 1, f.Failed)
	require.InDelta(t, 3*time.Millisecond, f.HitTook, 1e3)
	require.InDelta(t, 20*time.Millisecond, f.MissTook, 1e3)
	require.EqualValues(t, 2, f.Loads, "a question that was not put is none")
	require.EqualValues(t, 1, f.Checks)
	require.EqualValues(t, 1, f.Stale[reference.StaleIfError])
	require.EqualValues(t, 0, f.Stale[reference.StaleAfterGap])
	require.EqualValues(t, 1, f.LeaseWaits)
	require.EqualValues(t, 1, f.Refreshes[reference.Skipped])
	require.EqualValues(t, 2, f.Changes)
	require.Equal(t, map[string]metrics.Answers{"acme": {L1: 3}, "other": {Source: 1}}, c.Tenants)
	require.EqualValues(t, 1, c.Openings)
	require.EqualValues(t, 1, c.Gaps)
	bus := c.Lag[reference.PathBus]
	require.Len(t, bus.Counts, len(bus.Upper))
	for i, n := range bus.Counts {
		last := i == len(bus.Counts)-1
		want := map[bool]int64{true: 1}[last || bus.Upper[i] == .005]
		require.Equal(t, want, n, "up to %v", bus.Upper[i])
	}
	require.InDelta(t, 3600.003, bus.Sum, 1e-6)
	require.EqualValues(t, 5, c.Flights.Sum)
	require.Zero(t, c.Families["price"].L1)
	require.Contains(t, gathered(t, m), `cachedrill_redis_breaker_openings_total{region="eu"} 1`)
}

// What the documentation asks Prometheus for is there.
func TestDocumentedQueriesAreOfMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range metrics.Table {
		known[m.Name] = true
		if m.Type == "histogram" {
			for _, suffix := range []string{"_sum", "_count", "_bucket"} {
				known[m.Name+suffix] = true
			}
		}
	}
	page, err := os.ReadFile(docs)
	require.NoError(t, err)
	asked := 0
	for i, block := range strings.Split(string(page), "```") {
		if language, _, _ := strings.Cut(block, "\n"); i%2 == 0 || language != "promql" && language != "yaml" {
			continue
		}
		for _, name := range regexp.MustCompile(`cachedrill_\w+`).FindAllString(block, -1) {
			require.True(t, known[name], name)
			asked++
		}
	}
	require.Greater(t, asked, 15)
}
