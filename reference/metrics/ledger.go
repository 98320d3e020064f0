package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// LedgerConfig says what a [Ledger] has lines for.
type LedgerConfig struct {
	Region   string
	Currency string             // of the costs; "": there are no prices, and no costs are reported
	Reasons  []string           // of costs of the process's own
	Budgets  map[string]float64 // limits, by name
	// Before is called before everything is reported, so that it is up to date; may be nil. It may
	// call the ledger.
	Before func()
}

// Ledger shows what a process uses, what that costs, and which budgets are exceeded. It is a
// Prometheus collector, and safe for concurrent use. Its owner reports what is used; it does no
// sums.
type Ledger struct {
	cfg      LedgerConfig
	requests prometheus.Counter
	crossed  prometheus.Counter
	costs    *prometheus.CounterVec // nil without prices
	redis    prometheus.Counter     // what its memory costs; nil without prices
	exceeded *prometheus.GaugeVec
	always   []prometheus.Collector

	mu     sync.Mutex
	memory prometheus.Gauge
	known  bool // memory is known
}

var _ prometheus.Collector = (*Ledger)(nil)

// NewLedger makes the ledger of a process.
func NewLedger(cfg LedgerConfig) *Ledger {
	b := builder{region: cfg.Region}
	l := &Ledger{cfg: cfg, requests: b.counter(requestsTotal).WithLabelValues(), crossed: b.counter(crossRegionBytes).WithLabelValues()}
	if cfg.Currency != "" {
		l.costs = b.counter(costTotal)
		for _, r := range cfg.Reasons {
			l.costs.WithLabelValues(r, cfg.Currency)
		}
		l.redis = b.counter(redisCostTotal).WithLabelValues(cfg.Currency)
	}
	limits := b.gauge(budgetLimit)
	for name, limit := range cfg.Budgets {
		limits.WithLabelValues(name).Set(limit)
	}
	l.exceeded = b.gauge(budgetExceeded)
	l.always = b.all
	b.all = nil
	l.memory = b.gauge(redisMemory).WithLabelValues()
	return l
}

// Describe implements [prometheus.Collector].
func (l *Ledger) Describe(out chan<- *prometheus.Desc) {
	for _, c := range l.always {
		c.Describe(out)
	}
	l.memory.Describe(out)
}

// Collect implements [prometheus.Collector].
func (l *Ledger) Collect(out chan<- prometheus.Metric) {
	if l.cfg.Before != nil {
		l.cfg.Before()
	}
	for _, c := range l.always {
		c.Collect(out)
	}
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known {
		l.memory.Collect(out)
	}
}

// Requests adds requests that ended.
func (l *Ledger) Requests(n float64) { l.requests.Add(n) }

// Crossed adds bytes that crossed regions.
func (l *Ledger) Crossed(bytes float64) { l.crossed.Add(bytes) }

// Cost adds to what the process's use of something costs.
func (l *Ledger) Cost(reason string, amount float64) {
	if l.costs != nil {
		l.costs.WithLabelValues(reason, l.cfg.Currency).Add(amount)
	}
}

// RedisCost adds to what the memory of Redis costs.
func (l *Ledger) RedisCost(amount float64) {
	if l.redis != nil {
		l.redis.Add(amount)
	}
}

// RedisMemory says how much Redis uses; known is false while it does not say.
func (l *Ledger) RedisMemory(bytes int64, known bool) {
	l.memory.Set(float64(bytes))
	l.mu.Lock()
	l.known = known
	l.mu.Unlock()
}

// Exceeded says whether a budget is; known is false while nothing tells.
func (l *Ledger) Exceeded(budget string, exceeded, known bool) {
	if !known {
		l.exceeded.DeleteLabelValues(budget)
		return
	}
	l.exceeded.WithLabelValues(budget).Set(float64(index(exceeded)))
}
