// Package metrics shows what the reference cache does to Prometheus.
//
// Its labels are bounded: regions, families, tiers, outcomes, and those tenants that were asked for
// by name. A key is never a label.
package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cachedrill/cachedrill/reference"
)

// Config says what is counted apart.
type Config struct {
	Region   string
	Families []string // as the caches have them; what is reported of others is left out
	// Tenants are those who are counted by name; all others are counted together as "other". None:
	// tenants aren't counted.
	Tenants []string
}

// Metrics is an observer of one or more caches of a region, and a Prometheus collector. It is safe
// for concurrent use.
type Metrics struct {
	families map[string]*family
	tenants  map[string]*byTier
	others   *byTier // nil: tenants aren't counted

	lag     map[reference.Path]prometheus.Observer
	shared  prometheus.Observer
	breaker prometheus.Gauge
	opened  prometheus.Counter
	purges  prometheus.Counter
	gaps    prometheus.Counter
	policy  *prometheus.GaugeVec

	all []prometheus.Collector
}

var (
	_ reference.Observer   = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// byTier counts reads by where their answer came from.
type byTier struct{ l1, l2, source prometheus.Counter }

func (b *byTier) of(t reference.Tier) prometheus.Counter {
	switch t {
	case reference.TierL1:
		return b.l1
	case reference.TierL2:
		return b.l2
	}
	return b.source
}

// family is everything that is counted of one, ready to be counted.
type family struct {
	reads     byTier
	took      map[reference.Tier]prometheus.Observer
	tookL1    prometheus.Observer // the same of memory, without a look into a map
	errors    map[reference.Outcome]prometheus.Counter
	stale     map[reference.StaleReason]prometheus.Counter
	loads     [2]map[reference.Outcome]prometheus.Counter // of values, of checks
	loadTook  [2]prometheus.Observer
	waits     prometheus.Counter
	refreshes map[reference.Outcome]prometheus.Counter
	writes    [2]map[reference.Outcome]prometheus.Counter // puts, deletes
	writeTook [2]prometheus.Observer
}

var (
	loadKinds  = [2]string{"load", "check"}
	writeKinds = [2]string{"put", "delete"}
)

// New makes the metrics of a region. Every series is there from the beginning, with zero, so that
// rates see the first event.
func New(cfg Config) *Metrics {
	b := builder{region: cfg.Region}
	m := &Metrics{
		families: map[string]*family{}, tenants: map[string]*byTier{}, lag: map[reference.Path]prometheus.Observer{},
		shared:  b.histogram(flightReaders).WithLabelValues(),
		breaker: b.gauge(breakerOpen).WithLabelValues(),
		opened:  b.counter(breakerOpenings).WithLabelValues(),
		purges:  b.counter(purgesTotal).WithLabelValues(),
		gaps:    b.counter(gapsTotal).WithLabelValues(),
		policy:  b.gauge(policyInfo),
	}
	reads, took, failed := b.counter(readsTotal), b.histogram(readSeconds), b.counter(readErrors)
	stale, waits, refreshes := b.counter(staleTotal), b.counter(leaseWaits), b.counter(refreshesTotal)
	loads, loadTook := b.counter(loadsTotal), b.histogram(loadSeconds)
	writes, writeTook := b.counter(writesTotal), b.histogram(writeSeconds)
	for _, name := range cfg.Families {
		f := &family{
			reads:  tiers(reads, name),
			took:   map[reference.Tier]prometheus.Observer{},
			errors: counters(failed, reference.LoadOutcomes[1:], name),
			stale:  counters(stale, reference.StaleReasons, name),
			waits:  waits.WithLabelValues(name), refreshes: counters(refreshes, reference.RefreshOutcomes, name),
		}
		for _, t := range reference.Tiers {
			f.took[t] = took.WithLabelValues(name, string(t))
		}
		f.tookL1 = f.took[reference.TierL1]
		for i := range 2 {
			f.loads[i] = counters(loads, reference.LoadOutcomes, name, loadKinds[i])
			f.loadTook[i] = loadTook.WithLabelValues(name, loadKinds[i])
			f.writes[i] = counters(writes, reference.WriteOutcomes, name, writeKinds[i])
			f.writeTook[i] = writeTook.WithLabelValues(name, writeKinds[i])
		}
		m.families[name] = f
	}
	lag := b.histogram(lagSeconds)
	for _, p := range reference.Paths {
		m.lag[p] = lag.WithLabelValues(string(p))
	}
	if tenants := b.counter(tenantReads); len(cfg.Tenants) > 0 {
		for _, t := range append(slices.Clone(cfg.Tenants), otherTenants) {
			c := tiers(tenants, t)
			m.tenants[t] = &c
		}
		m.others = m.tenants[otherTenants]
	}
	m.all = b.all
	return m
}

const otherTenants = "other"

func tiers(v *prometheus.CounterVec, label string) byTier {
	of := func(t reference.Tier) prometheus.Counter { return v.WithLabelValues(label, string(t)) }
	return byTier{of(reference.TierL1), of(reference.TierL2), of(reference.TierSource)}
}

// counters makes one for each value of the last label.
func counters[T ~string](v *prometheus.CounterVec, values []T, labels ...string) map[T]prometheus.Counter {
	all := map[T]prometheus.Counter{}
	for _, value := range values {
		all[value] = v.WithLabelValues(append(slices.Clone(labels), string(value))...)
	}
	return all
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(out)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(out)
	}
}

// Policy says which policy the caches follow from now on. Nothing else does: call it at the start,
// and after a switch.
func (m *Metrics) Policy(name string) {
	m.policy.Reset()
	m.policy.WithLabelValues(name).Set(1)
}

// Read implements [reference.Observer], and so do the other methods.
func (m *Metrics) Read(r reference.ReadEvent) {
	f, ok := m.families[r.Family]
	if !ok {
		return
	}
	if r.Outcome != reference.Done {
		f.errors[r.Outcome].Inc()
		return
	}
	f.reads.of(r.Tier).Inc()
	if r.Tier == reference.TierL1 {
		f.tookL1.Observe(r.Took.Seconds())
	} else if h, ok := f.took[r.Tier]; ok {
		h.Observe(r.Took.Seconds())
	}
	if m.others == nil {
		return
	}
	t, ok := m.tenants[r.Tenant]
	if !ok {
		t = m.others
	}
	t.of(r.Tier).Inc()
}

// Stale counts.
func (m *Metrics) Stale(family string, why reference.StaleReason) {
	if f, ok := m.families[family]; ok {
		f.stale[why].Inc()
	}
}

// Load counts.
func (m *Metrics) Load(l reference.LoadEvent) {
	f, ok := m.families[l.Family]
	if !ok {
		return
	}
	f.loads[index(l.Check)][l.Outcome].Inc()
	if l.Outcome != reference.Shed {
		f.loadTook[index(l.Check)].Observe(l.Took.Seconds())
	}
}

func index(second bool) int {
	if second {
		return 1
	}
	return 0
}

// Lag counts.
func (m *Metrics) Lag(_ string, via reference.Path, lag time.Duration) {
	m.lag[via].Observe(lag.Seconds())
}

// Shared counts.
func (m *Metrics) Shared(readers int) { m.shared.Observe(float64(readers)) }

// LeaseWait counts.
func (m *Metrics) LeaseWait(family string) {
	if f, ok := m.families[family]; ok {
		f.waits.Inc()
	}
}

// Breaker sets, and counts when it opens.
func (m *Metrics) Breaker(open bool) {
	m.breaker.Set(float64(index(open)))
	if open {
		m.opened.Inc()
	}
}

// Purge counts.
func (m *Metrics) Purge() { m.purges.Inc() }

// Gap counts.
func (m *Metrics) Gap() { m.gaps.Inc() }

// Refresh counts.
func (m *Metrics) Refresh(family string, o reference.Outcome) {
	if f, ok := m.families[family]; ok {
		f.refreshes[o].Inc()
	}
}

// Write counts.
func (m *Metrics) Write(w reference.WriteEvent) {
	f, ok := m.families[w.Family]
	if !ok {
		return
	}
	f.writes[index(w.Delete)][w.Outcome].Inc()
	f.writeTook[index(w.Delete)].Observe(w.Took.Seconds())
}
