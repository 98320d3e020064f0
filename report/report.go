package report

import (
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
)

// Schema names the version of the JSON form of a [Report]. Fields are added under the same name;
// when one changes its meaning or goes, the number rises.
const Schema = "cachedrill.report/1"

// Report is what one run concluded: the contract that other tools build on. A field that is a
// pointer is null when there was no data for it. Offsets count from the start of their drill. Every
// field has a comment, and that of a number names its unit: docs/report.md is made of them.
type Report struct {
	Schema      string      `json:"schema"`      // version of this form, see [Schema]
	Version     string      `json:"version"`     // version of cachedrill
	Seed        uint64      `json:"seed"`        // seed of the run's operations, an identifier
	Started     time.Time   `json:"started"`     // start of the run, RFC 3339
	Outcome     slo.Outcome `json:"outcome"`     // outcome of the run: pass, fail or unknown
	Environment Environment `json:"environment"` // where the run took place
	Scenarios   []Drill     `json:"scenarios"`   // the drills, in the order in which they ran
}

// Environment is where a run took place.
type Environment struct {
	Redis string `json:"redis"` // where the Redis came from and its version, e.g. "process 7.2.5"
	CPUs  int    `json:"cpus"`  // number of CPUs that the program could use
	Go    string `json:"go"`    // version of Go that built the program
}

// Drill is one run of a scenario. It is wide because its fields are the keys
// of report.json.
type Drill struct {
	Name        string      `json:"name"`                  // name of the scenario
	Description string      `json:"description,omitempty"` // why the scenario exists
	Target      string      `json:"target"`                // the system under test
	Policy      string      `json:"policy"`                // name of the policy that the target ran
	Outcome     slo.Outcome `json:"outcome"`               // outcome of the drill: pass, fail or unknown
	Why         string      `json:"why"`                   // the outcome in one line; empty when it is pass
	// Number of attempts at the drill. It is left out when there was one.
	Attempts int `json:"attempts,omitempty"`
	// Recovery time after the fault, in s.
	RecoveryS *float64 `json:"recovery_s"`
	// How the service stood after the heal. It is left out when there was no recovery phase.
	Recovery   *RecoverySummary `json:"recovery,omitempty"`
	Operations Operations       `json:"operations"` // what was asked of the target
	Phases     []PhaseSummary   `json:"phases"`     // the phases that the drill reached, in order
	Breakdown  []BreakdownRow   `json:"breakdown"`  // steady, fault and recovery together, by label
	// Whether rows were left out of the breakdown.
	BreakdownCut bool `json:"breakdown_cut,omitempty"`
	// What the caches of all regions counted themselves. It is left out where the target has no
	// such counts.
	Cache *CacheFigures `json:"cache,omitempty"`
	// What a million requests cost. It is left out without prices, and where what was used is not
	// known.
	Cost   *CostSummary   `json:"cost,omitempty"`
	Faults []FaultSummary `json:"faults"` // the planned faults, injected or not
	SLOs   []SLO          `json:"slos"`   // the objectives, those that hold always at the end
	Oracle OracleSummary  `json:"oracle"` // what the oracle concluded about the whole drill
	// How many superseding writes were visible everywhere within each of a ladder of windows, seen
	// from outside. It is left out where no read could have seen a stale one.
	Consistency []Consistency `json:"consistency,omitempty"`
	// The windows within which given shares of the superseding writes were visible everywhere.
	ConsistentWithin []ConsistentWithin `json:"consistent_within,omitempty"`
	// The earliest accusations of each kind and the stalest read, with their evidence. The numbers
	// under oracle count all.
	Accusations []Accusation `json:"accusations"`
	// What the verdict presumes of the target, and what was seen of it. It is left out where
	// nothing had to be asked.
	Premises []Premise `json:"premises,omitempty"`
	// Number of accusations that were withdrawn: a premise that they rest on was seen broken.
	Withdrawn int64 `json:"withdrawn,omitempty"`
	// The course of the drill, window by window.
	Timeline []TimelinePoint `json:"timeline,omitempty"`
	// What a reader should know of how the drill went.
	Notes     []string        `json:"notes,omitempty"`
	Generator GeneratorResult `json:"generator"` // how well the load was generated
}

// Operations describes what was asked of the target. Planned is Sent and Withheld together.
type Operations struct {
	Planned int64 `json:"planned"` // number of operations that were due
	Sent    int64 `json:"sent"`    // number of operations that were sent
	// Number of operations that were deliberately not sent, lest the order of a key's changes
	// become unknown.
	Withheld int64  `json:"withheld,omitempty"`
	Digest   string `json:"digest"` // digest of what was sent, in order of sequence
}

// Latency in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`  // 50th percentile, in ms
	P95  float64 `json:"p95"`  // 95th percentile, in ms
	P99  float64 `json:"p99"`  // 99th percentile, in ms
	P999 float64 `json:"p999"` // 99.9th percentile, in ms
	Max  float64 `json:"max"`  // maximum, in ms
}

// Tail of a distribution in milliseconds.
type Tail struct {
	P99 *float64 `json:"p99"` // 99th percentile, in ms
	Max *float64 `json:"max"` // maximum, in ms
}

// TierLag is the time in milliseconds from a superseding commit until the last holder of a tier
// reported that it had dropped the older copy. The tail is null where commits that some holder
// never reported reach into it.
type TierLag struct {
	Tail
	Commits int64 `json:"commits"` // number of superseding commits that the tier had to report
	Untold  int64 `json:"untold"`  // number of those commits that some holder of the tier never reported
}

// HitRatio per tier, 0..1.
type HitRatio struct {
	L1 *float64 `json:"l1"` // hits of L1 among the reads that came to it, 0..1
	L2 *float64 `json:"l2"` // hits of L2 among the reads that came to it, 0..1
}

// SourceQPS are loads that arrived at the source, per second.
type SourceQPS struct {
	Mean *float64 `json:"mean"` // mean rate of loads at the source over the phase, per second
	Peak *float64 `json:"peak"` // highest rate of loads at the source, per second
}

// Reads by the oracle's answer. Total includes reads of keys that it could not judge.
type Reads struct {
	Total         int64 `json:"total"`         // number of reads that were answered
	Fresh         int64 `json:"fresh"`         // number of reads that were proven fresh
	Stale         int64 `json:"stale"`         // number of reads that were proven stale
	Indeterminate int64 `json:"indeterminate"` // number of reads that may have been fresh or stale
	Unjudged      int64 `json:"unjudged"`      // number of reads of keys that could not be judged
}

// PhaseSummary is what happened in one phase. Staleness shows proven lower bounds. It is wide
// because its fields are keys of report.json.
type PhaseSummary struct {
	Name              string    `json:"name"`                // name of the phase
	StartS            float64   `json:"start_s"`             // offset of its start, in s
	EndS              float64   `json:"end_s"`               // offset of its end, in s
	Requests          int64     `json:"requests"`            // number of operations that ended
	Errors            int64     `json:"errors"`              // number of operations that did not end ok
	LatencyMS         *Latency  `json:"latency_ms"`          // latency from the due time
	ServiceMS         *Latency  `json:"service_ms"`          // latency from the moment of sending
	HitRatio          HitRatio  `json:"hit_ratio"`           // by the tiers that answers named
	MissPenaltyMS     *float64  `json:"miss_penalty_ms"`     // mean latency of misses minus that of hits, in ms
	SourceQPS         SourceQPS `json:"source_qps"`          // loads as counted at the source
	StampedeMax       *int64    `json:"stampede_max"`        // number of concurrent loads of one key in one region, at most
	RedundantLoads    *int64    `json:"redundant_loads"`     // number of loads beyond the first per key, version and region
	Reads             Reads     `json:"reads"`               // reads by the oracle's answer
	StalenessMS       Tail      `json:"staleness_ms"`        // proven lower bounds of the staleness of reads
	InvalidationLagMS Tail      `json:"invalidation_lag_ms"` // from a superseding commit until its last stale read
	// The lag from inside, per tier that reported when it dropped what.
	InvalidationLagTierMS map[string]TierLag `json:"invalidation_lag_tier_ms,omitempty"`
	// Number of operations slower than the histograms reach (2 minutes).
	LatencyClipped int64 `json:"latency_clipped,omitempty"`
}

// BreakdownRow counts steady, fault and recovery together for one set of labels.
type BreakdownRow struct {
	Labels    slo.Labels `json:"labels"`     // the labels of the row's operations
	Requests  int64      `json:"requests"`   // number of operations that ended
	LatencyMS *Latency   `json:"latency_ms"` // latency from the due time
	Stale     *float64   `json:"stale"`      // share of judged reads that were proven stale, 0..1
	HitRatio  *float64   `json:"hit_ratio"`  // hits of any tier among reads whose tier is known, 0..1
	// What the caches counted themselves for the labels, where the target has such counts.
	Cache *CacheFigures `json:"cache,omitempty"`
	// The most memory that the Redis of the region used, in bytes. Rows of a region have it, where
	// it is known.
	RedisMemoryMaxBytes *int64 `json:"redis_memory_max_bytes,omitempty"`
	// What crossed between regions, in bytes. Rows of a region have it, where it is known.
	CrossRegionBytes *int64 `json:"cross_region_bytes,omitempty"`
}

// CacheFigures is what caches counted themselves, from the beginning of steady to the end of
// recovery. What ended then counts, whenever it began; operations of the report count when they
// were due. What is about families is left out of rows of tenants, what is about regions of rows of
// families.
type CacheFigures struct {
	Reads         int64            `json:"reads"`                     // number of reads that were answered
	HitRatio      HitRatio         `json:"hit_ratio"`                 // of reads that came to the tier
	MissPenaltyMS *float64         `json:"miss_penalty_ms,omitempty"` // mean time of misses minus that of hits, in ms
	SourceLoads   *int64           `json:"source_loads,omitempty"`    // number of requests to the source for a value, retries included
	SourceChecks  *int64           `json:"source_checks,omitempty"`   // number of requests to the source for a version alone
	StaleServes   map[string]int64 `json:"stale_serves,omitempty"`    // number of stale serves by reason
	LeaseWaits    *int64           `json:"lease_waits,omitempty"`     // number of looks that waited for another worker's load
	Refreshes     map[string]int64 `json:"refreshes,omitempty"`       // number of refreshes by outcome
	Flights       *Flights         `json:"flights,omitempty"`         // looks past a worker's memory that readers share
	// From a commit until older copies were dropped, by the way in which the commit was learned of.
	InvalidationLagMS map[string]OwnLag `json:"invalidation_lag_ms,omitempty"`
	BreakerOpenings   *int64            `json:"breaker_openings,omitempty"` // number of openings of circuit breakers
	BusGaps           *int64            `json:"bus_gaps,omitempty"`         // number of gaps in the invalidation bus
}

// Flights are looks past a worker's memory that readers share.
type Flights struct {
	Looks   int64 `json:"looks"`   // number of looks
	Readers int64 `json:"readers"` // number of readers of all looks
	// Number of readers of one look, at most: the bound of a bucket. It is null above the last
	// bucket.
	WidestAtMost *float64 `json:"widest_at_most"`
}

// OwnLag is a lag in milliseconds, as the buckets of a histogram bound it.
type OwnLag struct {
	Count int64    `json:"count"` // number of measured lags
	Mean  *float64 `json:"mean"`  // mean, in ms
	// Upper bound of the 99th percentile, in ms. It is null above the last bucket.
	P99AtMost *float64 `json:"p99_at_most"`
}

// CostSummary is what a million requests cost, in all and by reason.
type CostSummary struct {
	Currency string `json:"currency"` // currency of the suite's prices
	Requests int64  `json:"requests"` // number of requests that the cost was computed from
	// Cost of a million requests, in the currency. Where only bounds are known it is the upper one.
	PerMillion float64            `json:"per_million"`
	By         map[string]float64 `json:"by"` // part of that cost by reason, in the currency
}

// FaultSummary is one fault of the timeline. Without evidence nothing proves that it bit.
type FaultSummary struct {
	Name      string   `json:"name"`              // the fault with its parameters
	InjectedS *float64 `json:"injected_s"`        // offset of the injection; null when there was none, in s
	HealedS   *float64 `json:"healed_s"`          // offset of the observed heal; null when there was none, in s
	Evidence  string   `json:"evidence"`          // what proves that it bit; empty when nothing does
	Problem   string   `json:"problem,omitempty"` // what went wrong with the injection or the heal
}

// SLO is one objective and what came of it.
type SLO struct {
	Expr     string      `json:"expr"`            // the objective as it was written
	Phase    slo.Group   `json:"phase"`           // group that it was written in: steady, fault, recovery or always
	Outcome  slo.Outcome `json:"outcome"`         // outcome of the objective: pass, fail or unknown
	Observed string      `json:"observed"`        // what was measured, for people; empty when nothing was
	Limit    string      `json:"limit"`           // comparison and its right side: "<= 2"
	Where    string      `json:"where,omitempty"` // region that the evidence is about
	Evidence string      `json:"evidence"`        // one line: which key, when, where; empty when there is none
	Why      string      `json:"why,omitempty"`   // why it is unknown
	// Number of the accusation that supports a miss, an identifier. It is left out where none does.
	Accusation int  `json:"accusation,omitempty"`
	Safety     bool `json:"safety,omitempty"`   // whether a proven miss fails the drill, whatever else happened
	Implicit   bool `json:"implicit,omitempty"` // whether it holds always and the suite does not have it
}

// Verdicts gives the outcomes of objectives as the precedence of a drill sees them.
func Verdicts(rows []SLO) []slo.Verdict {
	out := make([]slo.Verdict, len(rows))
	for i, r := range rows {
		out[i] = slo.Verdict{Outcome: r.Outcome, Safety: r.Safety}
	}
	return out
}

// OracleSummary is what the oracle concluded about the whole drill. It is wide because its fields
// are keys of report.json.
type OracleSummary struct {
	Writes            int64 `json:"writes"`                  // number of writes that were sent
	Acknowledged      int64 `json:"acknowledged"`            // number of writes that were acknowledged
	UnknownWrites     int64 `json:"unknown_writes"`          // number of writes of unknown outcome
	LostWrites        int64 `json:"lost_writes"`             // number of acknowledged writes that are not in the source's history
	Rollbacks         int64 `json:"rollbacks"`               // number of writes that were committed or acknowledged, and are gone
	Leaks             int64 `json:"leaks"`                   // number of reads with the value of another tenant or variant
	Corruptions       int64 `json:"corruptions"`             // number of reads with a value that was never written
	DirtyReads        int64 `json:"dirty_reads"`             // number of reads with a value that was not committed by then
	FalseRejections   int64 `json:"false_rejections"`        // number of writes reported without effect that had one
	SessionViolations int64 `json:"session_violations"`      // number of reads older than their own session's writes or reads
	StaleIncidents    int64 `json:"stale_incidents"`         // number of intervals in which a key was served proven-stale
	Unjudged          int64 `json:"unjudged"`                // number of reads of keys that could not be judged
	UnjudgedKeys      int64 `json:"unjudged_keys,omitempty"` // number of keys whose reads became unjudged
	// Number of keys of strong families without a verdict on all their reads together.
	UndecidedKeys int64            `json:"undecided_keys,omitempty"`
	Opportunities map[string]int64 `json:"opportunities"` // number of occasions that could have shown a miss, by kind
	Violations    map[string]int64 `json:"violations"`    // number of reads older than their class allows, by class
}

// Consistency is how many superseding writes were read stale by no client after a window.
type Consistency struct {
	WithinMS   float64 `json:"within_ms"`  // length of the window, in ms
	Writes     int64   `json:"writes"`     // number of superseding writes
	Consistent int64   `json:"consistent"` // number of those that were visible everywhere within the window
	Share      float64 `json:"share"`      // consistent of writes, 0..1
	// Number of whole nines of the share, no more than so many writes can show.
	Nines int `json:"nines"`
}

// ConsistentWithin is the window within which a share of the writes was visible everywhere.
type ConsistentWithin struct {
	Share    float64 `json:"share"`     // share of superseding writes: 0.9, 0.99, ..., 0..1
	WithinMS float64 `json:"within_ms"` // length of the window, in ms
}

// GeneratorResult describes how well the load was generated.
type GeneratorResult struct {
	Rate       float64  `json:"rate"`          // planned rate of operations, per second
	LatenessMS Lateness `json:"lateness_ms"`   // from the due time of an operation until it was sent
	Saturated  bool     `json:"saturated"`     // whether operations were late while workers were free
	Why        string   `json:"why,omitempty"` // why it is saturated
}

// Lateness in milliseconds.
type Lateness struct {
	P50 float64 `json:"p50"` // 50th percentile, in ms
	P99 float64 `json:"p99"` // 99th percentile, in ms
	Max float64 `json:"max"` // maximum, in ms
}

// RecoveryState says how a drill stood when its recovery window ended.
type RecoveryState string

// The states. A service is stuck when the failure is sustained although its trigger is gone
// (Bronson et al. 2021, "Metastable failures in distributed systems").
const (
	Recovered       RecoveryState = "recovered"
	Recovering      RecoveryState = "recovering" // still bad at the end, with a hit ratio or goodput that rises
	Stuck           RecoveryState = "stuck"      // bad to the end, and neither rises
	RecoveryUnknown RecoveryState = "unknown"
)

// RecoverySummary is what became of the service after the heal.
type RecoverySummary struct {
	State RecoveryState `json:"state"` // recovered, recovering, stuck or unknown
	// What kept the failure up: retries, abandoned fills, queueing.
	SustainedBy []string    `json:"sustained_by,omitempty"`
	Evidence    string      `json:"evidence,omitempty"` // what the state was concluded from
	Dip         *DipSummary `json:"push,omitempty"`     // what lowering the load did; left out when it was not lowered
}

// DipSummary is what lowering the load did.
type DipSummary struct {
	ForS     float64       `json:"for_s"`              // how long the load was lowered, in s
	State    RecoveryState `json:"state"`              // state at the end of the time that followed, at full load
	Evidence string        `json:"evidence,omitempty"` // what the state was concluded from
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
