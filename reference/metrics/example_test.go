package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Metrics are the Observer of a region's caches, and are shown by promhttp. Tenants are counted
// apart only where they are named.
func Example() {
	m := metrics.New(metrics.Config{Region: "eu", Families: []string{"product"}, Tenants: []string{"acme"}})
	m.Policy(policy.Recommended().Name)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)

	_ = reference.Config{Observer: m} // of reference.New; from then on the cache tells of what it does:
	m.Read(reference.ReadEvent{Family: "product", Tenant: "acme", Tier: reference.TierL1, Outcome: reference.Done})

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "cachedrill_tenant_reads_total") || strings.HasPrefix(line, "cachedrill_policy_info") {
			fmt.Print(line)
		}
	}
	// Output:
	// cachedrill_policy_info{policy="recommended",region="eu"} 1
	// cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="l1"} 1
	// cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="l2"} 0
	// cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="source"} 0
	// cachedrill_tenant_reads_total{region="eu",tenant="other",tier="l1"} 0
	// cachedrill_tenant_reads_total{region="eu",tenant="other",tier="l2"} 0
	// cachedrill_tenant_reads_total{region="eu",tenant="other",tier="source"} 0
}
