package report

import "slices"

// Unit says what a metric counts in, and so which limits fit it.
type Unit uint8

// The units of metrics and limits.
const (
	UnitCount    Unit = iota // whole numbers: 2
	UnitDuration             // us, ms, s; kept in seconds
	UnitRatio                // 0%..100%; kept as 0..1
	UnitRate                 // 800/s; kept as events per second
	UnitTimes                // 3x: times the steady mean; limits of source_qps.* only
	UnitBudget               // 14.4x: times the error budget
	UnitBytes                // 500MB, 2GiB; kept in bytes
	UnitMoney                // 0.35: in the currency of the suite's prices
)

// String gives the unit as documentation shows it.
func (u Unit) String() string {
	switch u {
	case UnitCount:
		return "count"
	case UnitDuration:
		return "duration"
	case UnitRatio:
		return "ratio"
	case UnitRate:
		return "rate"
	case UnitTimes:
		return "times steady"
	case UnitBudget:
		return "times budget"
	case UnitBytes:
		return "bytes"
	case UnitMoney:
		return "money"
	}
	return "invalid"
}

// Group says when an objective must hold.
type Group string

// The groups of objectives. Under always, performance is judged from the first moment of steady to
// the end of recovery, and safety over the whole drill, warmup and audit included.
const (
	GroupSteady   Group = "steady"
	GroupFault    Group = "fault"
	GroupRecovery Group = "recovery"
	GroupAlways   Group = "always"
)

// Groups lists the groups in the order of a drill.
func Groups() []Group { return []Group{GroupSteady, GroupFault, GroupRecovery, GroupAlways} }

// MetricDoc describes one metric for documentation and completion.
type MetricDoc struct {
	Name   string
	Unit   Unit
	Labels []string // labels that narrow it
	Groups []Group  // groups that may hold it
	Safety bool     // a proven miss fails the drill, whatever else happened
	Doc    string
}

type metric struct {
	MetricDoc
	quantile float64 // of percentiles, 0..1
	target   float64 // of budget_burn.*: the share of operations that must end ok, 0..1
}

// timed says that a slow machine makes the metric worse, whatever the target does.
func (m metric) timed() bool {
	switch m.Name {
	case "max", "errors", "goodput", "miss_penalty", "recovery_time":
		return true
	}
	return m.target > 0 || isLag(m.Name) || m.quantile > 0 && !isStaleness(m.Name)
}

var (
	perOperation = []string{"endpoint", "family", "class", "tenant", "region", "kind"}
	perAnswer    = []string{"endpoint", "family", "class", "tenant", "region", "tier", "kind"}
	perRead      = []string{"family", "class", "tenant", "region", "tier"}
	perCacheRead = []string{"family", "class", "tenant", "region"}
	perLoad      = []string{"family", "class", "tenant", "region"}
	perLag       = []string{"family", "class", "tier"}
	perRegion    = []string{"region"}

	anyGroup     = Groups()
	onlyRecovery = []Group{GroupRecovery}
	onlyAlways   = []Group{GroupAlways}
)

// metrics describes every metric of the objective language, in the order that documentation lists them.
var metrics = []metric{
	perf("p50", UnitDuration, perAnswer, "median latency, counted from when an operation was due", 0.50),
	perf("p95", UnitDuration, perAnswer, "95th percentile of latency, counted from when an operation was due", 0.95),
	perf("p99", UnitDuration, perAnswer, "99th percentile of latency; passing needs 299 samples or more", 0.99),
	perf("p999", UnitDuration, perAnswer, "99.9th percentile of latency; passing needs 2,995 samples or more", 0.999),
	perf("max", UnitDuration, perAnswer, "longest latency seen", 0),
	perf("errors", UnitRatio, perOperation, "operations that did not end ok (failed, or a write of unknown outcome), of all that ended", 0),
	burn("budget_burn.99", "99%", 0.99),
	burn("budget_burn.999", "99.9%", 0.999),
	burn("budget_burn.9995", "99.95%", 0.9995),
	burn("budget_burn.9999", "99.99%", 0.9999),
	perf("goodput", UnitRate, perOperation, "operations due in the phase that ended ok, per second of the phase", 0),
	perf("stale", UnitRatio, perRead, "stale reads of all judged reads, three-valued: indeterminate reads may be either", 0),
	perf("stale.proven", UnitRatio, perRead, "proven stale reads of all judged reads", 0),
	inGroups(onlyAlways, perf("stale_incidents", UnitCount, nil, "maximal intervals in which one key was served proven-stale, over the whole drill", 0)),
	perf("staleness.p99", UnitDuration, perRead, "99th percentile, over all judged reads, of how long the answer had been superseded when the read began", 0.99),
	perf("staleness.max", UnitDuration, perRead, "longest time that an answer had been superseded when its read began", 0),
	safety("violations", perRead, anyGroup, "reads proven older than their consistency class allows"),
	perf("hit_ratio", UnitRatio, perRead, "hits / (hits + misses) of reads; with tier=l1 or tier=l2 of those that reached the tier, else of all tiers together", 0),
	perf("miss_penalty", UnitDuration, perCacheRead, "mean latency of reads loaded from the source minus mean latency of reads answered by a cache", 0),
	perf("source_qps.mean", UnitRate, perLoad, "loads that arrived at the source, per second of the phase", 0),
	perf("source_qps.peak", UnitRate, perLoad, "most loads that arrived at the source in one second (buckets of 1 s from the start of the phase)", 0),
	perf("stampede.max", UnitCount, perLoad, "most loads of one key from one region under way at once", 0),
	perf("redundant_loads", UnitCount, perLoad, "loads beyond the first of the same version of a key by the same region", 0),
	perf("invalidation_lag.p99", UnitDuration, perLag, "99th percentile, over superseding commits of the phase, of the time until the last stale read; with tier=l1 or tier=l2 until the last place of the tier told that it had dropped the older copy", 0.99),
	perf("invalidation_lag.p999", UnitDuration, perLag, "99.9th percentile of the same; passing needs 2,995 superseding commits or more", 0.999),
	perf("invalidation_lag.max", UnitDuration, perLag, "longest of the same", 0),
	inGroups(onlyRecovery, perf("recovery_time", UnitDuration, nil, "from the observed heal to the first moment after which errors and latency stay within the steady objectives", 0)),
	safety("lost_writes", nil, onlyAlways, "acknowledged writes that are missing from the source's history at the end"),
	safety("rollbacks", nil, onlyAlways, "writes that were seen, or in the source's history, without having been acknowledged, and are gone (acknowledged ones are lost writes)"),
	safety("leaks", nil, onlyAlways, "reads answered with another tenant's, locale's, currency's or variant's value"),
	safety("corruptions", nil, onlyAlways, "reads whose value fails its own certificate, could not exist yet, or that the source had not committed"),
	safety("false_rejections", nil, onlyAlways, "writes that the target said had no effect and that were seen or committed all the same"),
	perf("redis_memory.max", UnitBytes, perRegion, "the most memory that a Redis used (its used_memory, asked for every 100 ms; above it bounded by its used_memory_peak)", 0),
	perf("cross_region_bytes", UnitBytes, perRegion, "bytes between relays of different regions, both ways, by the region that asked; counted where the connections are made, past the proxies", 0),
	perf("cost_per_million", UnitMoney, nil, "what a million requests cost by the suite's prices: requests, loads at the source, memory of Redis, bytes that cross regions", 0),
}

func perf(name string, u Unit, labels []string, doc string, quantile float64) metric {
	return metric{MetricDoc: MetricDoc{Name: name, Unit: u, Labels: labels, Groups: anyGroup, Doc: doc}, quantile: quantile}
}

func burn(name, target string, share float64) metric {
	m := perf(name, UnitBudget, perOperation, "error budget burn of a "+target+
		" objective: the share of operations that did not end ok, as a multiple of what the objective allows, within 95% bounds; 1x spends the budget exactly", 0)
	m.target = share
	return m
}

func safety(name string, labels []string, groups []Group, doc string) metric {
	return metric{MetricDoc: MetricDoc{Name: name, Unit: UnitCount, Labels: labels, Groups: groups, Safety: true, Doc: doc}}
}

func inGroups(groups []Group, m metric) metric {
	m.Groups = groups
	return m
}

// Metrics describes every metric, in the order that documentation lists them.
func Metrics() []MetricDoc {
	out := make([]MetricDoc, 0, len(metrics))
	for _, m := range metrics {
		d := m.MetricDoc
		d.Labels, d.Groups = slices.Clone(d.Labels), slices.Clone(d.Groups)
		out = append(out, d)
	}
	return out
}

func metricNamed(name string) (metric, bool) {
	i := slices.IndexFunc(metrics, func(m metric) bool { return m.Name == name })
	if i < 0 {
		return metric{}, false
	}
	return metrics[i], true
}

// metricNames lists the metrics, for hints.
func metricNames() []string {
	var names []string
	for _, m := range metrics {
		names = append(names, m.Name)
	}
	return names
}

// ofResources says that the metric is about what was used, not about operations.
func (m metric) ofResources() bool {
	return m.Name == "redis_memory.max" || m.Name == "cross_region_bytes" || m.Name == "cost_per_million"
}
