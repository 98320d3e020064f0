package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metric describes one metric for people; docs/operations.md shows them all. Each has the label
// region, too.
type Metric struct {
	Name    string
	Type    string // counter, gauge or histogram
	Labels  []string
	Help    string
	buckets []float64
}

// Buckets in seconds: an answer from memory takes less than the first, one from Redis about a
// millisecond or less.
var (
	readBuckets = []float64{1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	workBuckets = []float64{5e-4, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	lagBuckets  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	readers     = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
)

var (
	readsTotal = Metric{Name: "cachedrill_reads_total", Type: "counter", Labels: []string{"family", "tier"},
		Help: "Reads that were answered, by where the answer came from: l1 (the worker's memory), l2 (Redis), source."}
	tenantReads = Metric{Name: "cachedrill_tenant_reads_total", Type: "counter", Labels: []string{"tenant", "tier"},
		Help: "The same, of the tenants that were named to be counted; all others together are other."}
	readErrors = Metric{Name: "cachedrill_read_errors_total", Type: "counter", Labels: []string{"family", "reason"},
		Help: "Reads without an honest answer in time: shed, refused, timeout, canceled (the reader gave up), failed."}
	readSeconds = Metric{Name: "cachedrill_read_duration_seconds", Type: "histogram", Labels: []string{"family", "tier"}, buckets: readBuckets,
		Help: "How long answered reads took, inside the cache."}
	staleTotal = Metric{Name: "cachedrill_stale_serves_total", Type: "counter", Labels: []string{"family", "reason"},
		Help: "Copies served within their bound which a better one was wanted for: refresh (being renewed), spare (past its TTL, the source fails), doubted (a message may have been missed)."}
	loadsTotal = Metric{Name: "cachedrill_source_loads_total", Type: "counter", Labels: []string{"family", "kind", "outcome"},
		Help: "Questions to the source, retries included: load (a value) and check (its version). shed was not asked, refused found the source's queue full."}
	loadSeconds = Metric{Name: "cachedrill_source_load_duration_seconds", Type: "histogram", Labels: []string{"family", "kind"}, buckets: workBuckets,
		Help: "How long the source took, whatever the outcome."}
	flightReaders = Metric{Name: "cachedrill_flight_readers", Type: "histogram", buckets: readers,
		Help: "Readers who shared one look past the worker's memory: the width of a stampede that single-flight caught."}
	leaseWaits = Metric{Name: "cachedrill_lease_waits_total", Type: "counter", Labels: []string{"family"},
		Help: "Looks that waited for another worker's load of the same name."}
	refreshesTotal = Metric{Name: "cachedrill_refreshes_total", Type: "counter", Labels: []string{"family", "outcome"},
		Help: "Background refreshes; skipped: too many were under way."}
	writesTotal = Metric{Name: "cachedrill_writes_total", Type: "counter", Labels: []string{"family", "kind", "outcome"},
		Help: "Changes, put and delete: ok (committed at the source), not_applied (without effect), unknown."}
	writeSeconds = Metric{Name: "cachedrill_write_duration_seconds", Type: "histogram", Labels: []string{"family", "kind"}, buckets: workBuckets,
		Help: "How long changes took, whatever the outcome."}
	lagSeconds = Metric{Name: "cachedrill_invalidation_lag_seconds", Type: "histogram", Labels: []string{"via"}, buckets: lagBuckets,
		Help: "From the commit at the source until older copies were dropped: relay (from the region's Redis), bus (from the worker's memory)."}
	breakerOpen = Metric{Name: "cachedrill_redis_breaker_open", Type: "gauge",
		Help: "1 while the circuit breaker keeps the worker from asking Redis."}
	breakerOpenings = Metric{Name: "cachedrill_redis_breaker_openings_total", Type: "counter",
		Help: "Times that the circuit breaker before Redis opened."}
	gapsTotal = Metric{Name: "cachedrill_bus_gaps_total", Type: "counter",
		Help: "Times that the worker found that it may have missed messages of the bus."}
	purgesTotal = Metric{Name: "cachedrill_purges_total", Type: "counter",
		Help: "Purges that the worker's memory heard of."}
	policyInfo = Metric{Name: "cachedrill_policy_info", Type: "gauge", Labels: []string{"policy"},
		Help: "1 for the policy that the cache follows."}
)

// What a [Ledger] tells.
var (
	requestsTotal = Metric{Name: "cachedrill_requests_total", Type: "counter",
		Help: "Reads and changes that ended, whatever came of them: what costs are for a million of."}
	redisMemory = Metric{Name: "cachedrill_redis_memory_bytes", Type: "gauge",
		Help: "used_memory of the region's Redis. Every process of the region tells the same: take the max. Absent while Redis does not tell."}
	crossRegionBytes = Metric{Name: "cachedrill_cross_region_bytes_total", Type: "counter",
		Help: "Bytes between this process and what it uses in other regions, both ways, encryption included."}
	costTotal = Metric{Name: "cachedrill_cost_total", Type: "counter", Labels: []string{"reason", "currency"},
		Help: "What this process's use of things costs, by the list of prices: requests, source_loads, cross_region."}
	redisCostTotal = Metric{Name: "cachedrill_redis_cost_total", Type: "counter", Labels: []string{"currency"},
		Help: "What the memory of the region's Redis costs. Every process of the region tells the same: take the max."}
	budgetLimit = Metric{Name: "cachedrill_budget_limit", Type: "gauge", Labels: []string{"budget"},
		Help: "How much may be used: redis_memory_bytes, cross_region_bytes_per_million_requests."}
	budgetExceeded = Metric{Name: "cachedrill_budget_exceeded", Type: "gauge", Labels: []string{"budget"},
		Help: "1 while more is used than the budget has, else 0; absent while nothing tells."}
)

// Table lists every metric.
var Table = []Metric{readsTotal, tenantReads, readErrors, readSeconds, staleTotal, loadsTotal, loadSeconds, flightReaders, leaseWaits,
	refreshesTotal, writesTotal, writeSeconds, lagSeconds, breakerOpen, breakerOpenings, gapsTotal, purgesTotal, policyInfo,
	requestsTotal, redisMemory, crossRegionBytes, costTotal, redisCostTotal, budgetLimit, budgetExceeded}

// builder makes collectors of a region.
type builder struct {
	region string
	all    []prometheus.Collector
}

func (b *builder) counter(m Metric) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help, ConstLabels: b.labels()}, m.Labels)
	b.all = append(b.all, v)
	return v
}

func (b *builder) gauge(m Metric) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help, ConstLabels: b.labels()}, m.Labels)
	b.all = append(b.all, v)
	return v
}

func (b *builder) histogram(m Metric) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, ConstLabels: b.labels(), Buckets: m.buckets}, m.Labels)
	b.all = append(b.all, v)
	return v
}

func (b *builder) labels() prometheus.Labels { return prometheus.Labels{"region": b.region} }
