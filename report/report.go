package report

import (
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
)

// Schema names the version of the JSON form of a [Report]. Fields are added under the same name;
// when one changes its meaning or goes, the number rises.
const Schema = "cachedrill.report/1"

// Report is what one run concluded: the contract that other tools build on. A field that is a pointer
// is null when there was no data for it. Offsets count from the start of their drill.
type Report struct {
	Schema      string      `json:"schema"`
	Version     string      `json:"version"` // of cachedrill
	Seed        uint64      `json:"seed"`
	Started     time.Time   `json:"started"`
	Outcome     slo.Outcome `json:"outcome"`
	Environment Environment `json:"environment"`
	Scenarios   []Drill     `json:"scenarios"`
}

// Environment is where a run took place.
type Environment struct {
	Redis string `json:"redis"` // where it came from and its version, e.g. "process 7.2.5"
	CPUs  int    `json:"cpus"`
	Go    string `json:"go"`
}

// Drill is one run of a scenario. It is wide because its fields are the keys
// of report.json.
type Drill struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"` // why the scenario exists
	Target      string      `json:"target"`
	Policy      string      `json:"policy"`
	Outcome     slo.Outcome `json:"outcome"`
	Why         string      `json:"why"` // the outcome in one line; empty when it is pass
	Attempts    int         `json:"attempts,omitempty"`
	RecoveryS   *float64    `json:"recovery_s"`
	// Recovery says whether the service came back; null when there was no recovery phase.
	Recovery   *RecoverySummary `json:"recovery,omitempty"`
	Operations Operations       `json:"operations"`
	Phases     []PhaseSummary   `json:"phases"`
	Breakdown  []BreakdownRow   `json:"breakdown"`
	// BreakdownCut says that rows were left out of the breakdown.
	BreakdownCut bool `json:"breakdown_cut,omitempty"`
	// Cache is what the caches of all regions counted themselves; left out where the target does not tell.
	Cache *CacheFigures `json:"cache,omitempty"`
	// Cost is left out without prices, and where what was used is not known.
	Cost   *CostSummary   `json:"cost,omitempty"`
	Faults []FaultSummary `json:"faults"`
	SLOs   []SLO          `json:"slos"`
	Oracle OracleSummary  `json:"oracle"`
	// Consistency is over superseding writes, as readers saw them from outside. It is left out where no read
	// could have seen a stale one.
	Consistency      []Consistency      `json:"consistency,omitempty"`
	ConsistentWithin []ConsistentWithin `json:"consistent_within,omitempty"`
	// Accusations are the earliest of each kind and the stalest read, with their evidence; the oracle's numbers count all.
	Accusations []Accusation `json:"accusations"`
	// Timeline is the course of the drill, window by window.
	Timeline []TimelinePoint `json:"timeline,omitempty"`
	// Notes are what a reader should know of how the drill went.
	Notes     []string        `json:"notes,omitempty"`
	Generator GeneratorResult `json:"generator"`
}

// Operations says what was asked of the target. Digest is of what was sent, in order of sequence.
// Withheld operations were due and deliberately not sent, lest the order of a key's changes become unknown;
// Planned is Sent and Withheld together.
type Operations struct {
	Planned  int64  `json:"planned"`
	Sent     int64  `json:"sent"`
	Withheld int64  `json:"withheld,omitempty"`
	Digest   string `json:"digest"`
}

// Latency in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Tail of a distribution in milliseconds.
type Tail struct {
	P99 *float64 `json:"p99"`
	Max *float64 `json:"max"`
}

// TierLag is the time in milliseconds from a superseding commit until the last place of a tier told that it
// had dropped the older copy. The tail is null where commits of which some place never told reach into it.
type TierLag struct {
	Tail
	Commits int64 `json:"commits"`
	Untold  int64 `json:"untold"`
}

// HitRatio per tier, 0..1.
type HitRatio struct {
	L1 *float64 `json:"l1"`
	L2 *float64 `json:"l2"`
}

// SourceQPS are loads that arrived at the source, per second.
type SourceQPS struct {
	Mean *float64 `json:"mean"`
	Peak *float64 `json:"peak"`
}

// Reads by the oracle's answer. Total includes reads of keys that it could not judge.
type Reads struct {
	Total         int64 `json:"total"`
	Fresh         int64 `json:"fresh"`
	Stale         int64 `json:"stale"`
	Indeterminate int64 `json:"indeterminate"`
	Unjudged      int64 `json:"unjudged"`
}

// PhaseSummary is what happened in one phase. Staleness shows proven lower bounds. It is wide because
// its fields are keys of report.json.
type PhaseSummary struct {
	Name              string    `json:"name"`
	StartS            float64   `json:"start_s"`
	EndS              float64   `json:"end_s"`
	Requests          int64     `json:"requests"`
	Errors            int64     `json:"errors"` // operations that did not end ok
	LatencyMS         *Latency  `json:"latency_ms"`
	ServiceMS         *Latency  `json:"service_ms"`
	HitRatio          HitRatio  `json:"hit_ratio"`
	MissPenaltyMS     *float64  `json:"miss_penalty_ms"`
	SourceQPS         SourceQPS `json:"source_qps"`
	StampedeMax       *int64    `json:"stampede_max"`
	RedundantLoads    *int64    `json:"redundant_loads"`
	Reads             Reads     `json:"reads"`
	StalenessMS       Tail      `json:"staleness_ms"`
	InvalidationLagMS Tail      `json:"invalidation_lag_ms"`
	// InvalidationLagTierMS is the same from inside, per tier that told when it dropped what.
	InvalidationLagTierMS map[string]TierLag `json:"invalidation_lag_tier_ms,omitempty"`
	// LatencyClipped counts operations slower than the histograms reach (2 minutes).
	LatencyClipped int64 `json:"latency_clipped,omitempty"`
}

// BreakdownRow counts steady, fault and recovery together for one set of labels.
type BreakdownRow struct {
	Labels    slo.Labels `json:"labels"`
	Requests  int64      `json:"requests"`
	LatencyMS *Latency   `json:"latency_ms"`
	Stale     *float64   `json:"stale"` // proven stale of judged reads, 0..1
	HitRatio  *float64   `json:"hit_ratio"`
	// Cache is what the caches counted themselves, where the target tells it of what the labels say.
	Cache *CacheFigures `json:"cache,omitempty"`
	// Of rows of a region, where they are known.
	RedisMemoryMaxBytes *int64 `json:"redis_memory_max_bytes,omitempty"`
	CrossRegionBytes    *int64 `json:"cross_region_bytes,omitempty"`
}

// CacheFigures is what caches counted themselves, from the beginning of steady to the end of recovery. What ended then counts,
// whenever it began; operations of the report count when they were due. What is about families is left out of rows of tenants,
// what is about regions of rows of families.
type CacheFigures struct {
	Reads         int64            `json:"reads"`     // that were answered
	HitRatio      HitRatio         `json:"hit_ratio"` // of reads that came to the tier
	MissPenaltyMS *float64         `json:"miss_penalty_ms,omitempty"`
	SourceLoads   *int64           `json:"source_loads,omitempty"`  // asked for a value, retries included
	SourceChecks  *int64           `json:"source_checks,omitempty"` // asked for its version alone
	StaleServes   map[string]int64 `json:"stale_serves,omitempty"`  // by reason
	LeaseWaits    *int64           `json:"lease_waits,omitempty"`   // looks that waited for another worker's load
	Refreshes     map[string]int64 `json:"refreshes,omitempty"`     // by outcome
	Flights       *Flights         `json:"flights,omitempty"`
	// InvalidationLagMS is from a commit until older copies were dropped, by the way in which it was heard of.
	InvalidationLagMS map[string]OwnLag `json:"invalidation_lag_ms,omitempty"`
	BreakerOpenings   *int64            `json:"breaker_openings,omitempty"`
	BusGaps           *int64            `json:"bus_gaps,omitempty"`
}

// Flights are looks past a worker's memory that readers share.
type Flights struct {
	Looks        int64    `json:"looks"`
	Readers      int64    `json:"readers"`
	WidestAtMost *float64 `json:"widest_at_most"` // readers of one look: the bound of a bucket; null above the last
}

// OwnLag is a lag as buckets tell it, in milliseconds.
type OwnLag struct {
	Count     int64    `json:"count"`
	Mean      *float64 `json:"mean"`
	P99AtMost *float64 `json:"p99_at_most"` // the bound of a bucket; null above the last
}

// CostSummary is what a million requests cost, in all and by reason.
type CostSummary struct {
	Currency   string             `json:"currency"`
	Requests   int64              `json:"requests"`
	PerMillion float64            `json:"per_million"` // where only bounds are known, the upper
	By         map[string]float64 `json:"by"`
}

// FaultSummary is one fault of the timeline. Without evidence nothing proves that it bit.
type FaultSummary struct {
	Name      string   `json:"name"`
	InjectedS *float64 `json:"injected_s"` // null: never injected
	HealedS   *float64 `json:"healed_s"`   // null: never seen healed
	Evidence  string   `json:"evidence"`
	Problem   string   `json:"problem,omitempty"`
}

// SLO is one objective and what came of it.
type SLO struct {
	Expr     string      `json:"expr"`
	Phase    slo.Group   `json:"phase"` // the group it was written in
	Outcome  slo.Outcome `json:"outcome"`
	Observed string      `json:"observed"`        // for people; empty when nothing was observed
	Limit    string      `json:"limit"`           // the comparison and its right side: "<= 2"
	Where    string      `json:"where,omitempty"` // the region that the evidence is about
	Evidence string      `json:"evidence"`        // one line: which key, when, where; empty when there is none
	Why      string      `json:"why,omitempty"`   // why it is unknown
	Safety   bool        `json:"safety,omitempty"`
	Implicit bool        `json:"implicit,omitempty"` // nobody wrote it; it holds always
}

// Verdicts gives the outcomes of objectives as the precedence of a drill sees them.
func Verdicts(rows []SLO) []slo.Verdict {
	out := make([]slo.Verdict, len(rows))
	for i, r := range rows {
		out[i] = slo.Verdict{Outcome: r.Outcome, Safety: r.Safety}
	}
	return out
}

// OracleSummary is what the oracle concluded about the whole drill. It is wide because its fields are
// keys of report.json.
type OracleSummary struct {
	Writes            int64            `json:"writes"`
	Acknowledged      int64            `json:"acknowledged"`
	UnknownWrites     int64            `json:"unknown_writes"`
	LostWrites        int64            `json:"lost_writes"`
	Rollbacks         int64            `json:"rollbacks"`
	Leaks             int64            `json:"leaks"`
	Corruptions       int64            `json:"corruptions"`
	DirtyReads        int64            `json:"dirty_reads"`
	FalseRejections   int64            `json:"false_rejections"`
	SessionViolations int64            `json:"session_violations"`
	StaleIncidents    int64            `json:"stale_incidents"`
	Unjudged          int64            `json:"unjudged"`
	UnjudgedKeys      int64            `json:"unjudged_keys,omitempty"`  // whose reads became unjudged
	UndecidedKeys     int64            `json:"undecided_keys,omitempty"` // of strong families, without a verdict on all reads together
	Opportunities     map[string]int64 `json:"opportunities"`
	Violations        map[string]int64 `json:"violations"`
}

// Consistency says how many writes nobody read stale for longer than a window.
type Consistency struct {
	WithinMS   float64 `json:"within_ms"`
	Writes     int64   `json:"writes"`
	Consistent int64   `json:"consistent"`
	Share      float64 `json:"share"` // 0..1
	Nines      int     `json:"nines"` // whole nines of the share, no more than so many writes can show
}

// ConsistentWithin is the window within which a share of the writes was consistent.
type ConsistentWithin struct {
	Share    float64 `json:"share"` // 0.9, 0.99, ...
	WithinMS float64 `json:"within_ms"`
}

// GeneratorResult says how well the load was generated. Lateness is how long after its due time an
// operation was sent.
type GeneratorResult struct {
	Rate       float64  `json:"rate"` // planned operations per second
	LatenessMS Lateness `json:"lateness_ms"`
	Saturated  bool     `json:"saturated"`
	Why        string   `json:"why,omitempty"` // why it is saturated
}

// Lateness in milliseconds.
type Lateness struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// RecoveryState says how a drill stood when its recovery window ended.
type RecoveryState string

// The states. A service is stuck when the failure is sustained although its trigger is gone (Bronson et al. 2021,
// "Metastable failures in distributed systems").
const (
	Recovered       RecoveryState = "recovered"
	Recovering      RecoveryState = "recovering" // still bad at the end, with a hit ratio or goodput that rises
	Stuck           RecoveryState = "stuck"      // bad to the end, and neither rises
	RecoveryUnknown RecoveryState = "unknown"
)

// RecoverySummary is what became of the service after the heal.
type RecoverySummary struct {
	State       RecoveryState `json:"state"`
	SustainedBy []string      `json:"sustained_by,omitempty"` // retries, abandoned fills, queueing: what kept the failure up
	Evidence    string        `json:"evidence,omitempty"`
	Dip         *DipSummary   `json:"push,omitempty"` // null: the load was not lowered
}

// DipSummary is what lowering the load did.
type DipSummary struct {
	ForS     float64       `json:"for_s"` // how long the load was lowered
	State    RecoveryState `json:"state"` // at the end of the time that followed, at full load
	Evidence string        `json:"evidence,omitempty"`
}

// NotJudged ends the reasons that took the outcome of many objectives.
const NotJudged = ": not judged"

// Conclude fills in what follows from the drills of a run: the schema and the outcome.
func (r Report) Conclude() Report {
	r.Schema = Schema
	outcomes := make([]slo.Outcome, len(r.Scenarios))
	for i, s := range r.Scenarios {
		outcomes[i] = s.Outcome
	}
	r.Outcome = slo.SuiteOutcome(outcomes)
	r.Scenarios = numbered(r.Scenarios)
	if r.Scenarios == nil {
		r.Scenarios = []Drill{}
	}
	return r
}
