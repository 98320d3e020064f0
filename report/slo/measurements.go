package slo

import "time"

// Measurements is what a drill measured for one objective: over the phases of its group, and for
// its labels where the method's result says so. It has a method for each kind of thing that
// metrics are made of; a metric reads one or two.
type Measurements interface {
	Scope() Scope
	Operations() Operations
	Reads() Reads
	Loads() Loads
	Lag(tier string) Lag // as a tier reported it; "" as readers saw it
	Oracle() Findings
	Recovery() Recovery
	Used(Resource) Amount
}

// Scope is what an objective is measured over.
type Scope struct {
	Group    Group
	Length   time.Duration // of its phases together
	Labelled bool          // labels narrow it
	Missing  string        // why nothing was measured at all, such as phases that the drill did not reach
	Cut      Cut           // why it is not complete
}

// During names the scope in a reason.
func (s Scope) During() string {
	if s.Group == GroupAlways {
		return "in this drill"
	}
	return "in this phase"
}

// WholeDrill says that the scope leaves out nothing.
func (s Scope) WholeDrill() bool { return s.Group == GroupAlways && !s.Labelled }

// Distribution is a number of durations.
type Distribution interface {
	Count() int64
	Max() time.Duration
	// Quantile is the value that reports show for p, 0 < p < 1. It is no basis for a verdict.
	Quantile(p float64) time.Duration
	// Bounds bounds the p-quantile of the population behind the samples, in seconds, with
	// one-sided 95% confidence each way.
	Bounds(p float64) Range
}

// Operations are what was asked of the target, by labels. It is wide because metrics are made of
// plain counts.
type Operations struct {
	Ended, OK, Failed, Unknown int64
	FirstBad                   Evidence // the earliest due operation that did not end ok

	Latency Distribution // from the due time
	Service Distribution // from when it was sent
	Slowest Evidence     // the operation with the greatest latency
	Clipped int64        // operations slower than histograms reach (2 minutes)
	// SentOnTime says that no operation waited for a free worker: what lies between due and sent is
	// the generator's own lateness, which proves nothing against the target.
	SentOnTime bool

	Answers Answers // to reads

	L1, L2, Source int64 // reads that ended ok, by the tier that answered
	Hit, Miss      Mean  // latency of those
}

// Bad is how many did not end ok.
func (o Operations) Bad() int64 { return o.Failed + o.Unknown }

// Answers are answers to reads.
type Answers struct {
	Total      int64
	Unreadable int64    // had a good status and could not be understood
	First      Evidence // the earliest due unreadable one
}

// Mean is the mean of a number of durations, in seconds.
type Mean struct {
	N        int64
	Value    float64
	Variance float64 // squared standard error of the mean; known from 2 on
}

// Evidence is what a person may look at: one line, and the region that it is about.
type Evidence struct{ Text, Region string }

// Reads are the oracle's answers about reads, by labels.
type Reads struct {
	Fresh, Stale, Indeterminate, Unjudged int64
	Violations                            int64 // proven older than their class allows

	CanBeStale, CanViolate int64 // reads that could have exposed one

	Staleness Distribution // bounds include what is not known of each read; Max is the proven one
	MaxHigh   time.Duration
	Unbounded int64    // reads whose staleness nothing limits from above
	Oldest    Evidence // the stalest read
	Breach    Evidence // the violation with the greatest staleness
}

// Total is how many there are.
func (r Reads) Total() int64 { return r.Fresh + r.Stale + r.Indeterminate + r.Unjudged }

// Maybe is how many are neither proven stale nor proven fresh.
func (r Reads) Maybe() int64 { return r.Indeterminate + r.Unjudged }

// LoadDetail is how closely loads of the source are counted. The zero value is not at all.
type LoadDetail struct {
	Counted   bool // loads are counted at all
	PerKey    bool // each names its key, so that redundant ones are known
	PerLabel  bool // each names its tenant and region
	PerSecond bool // each is known in time to say in which second it arrived
	Width     bool // each says how many loads of its key were under way, even without PerKey
}

// Loads are arrivals at the source, by labels.
type Loads struct {
	Detail     LoadDetail
	Total      int64
	Peak       int64 // most arrivals in a second
	PeakAt     time.Duration
	Widest     Stampede
	Redundant  int64
	Again      Evidence // the first redundant one
	Steady     int64    // arrivals in steady state
	SteadyTime time.Duration
	NoSteady   bool // the drill had no steady state
}

// Stampede is loads of one key under way at once.
type Stampede struct {
	Width  int // of the widest; 0: not known
	AtMost int // at least Width; more where widths are known roughly
	Key    string
	Region string
	At     time.Duration
	Cause  string // what others saw of it, one line; may be empty
}

// Lag is how long superseded versions went on being served, per superseding commit.
type Lag struct {
	Low, High []float64 // bounds in seconds, each ascending
	Open      int64     // of which the end was never seen
	Worst     Evidence
	Missing   string // why there are none
}

// Findings are what the oracle counts over the whole drill.
type Findings struct {
	LostWrites, Rollbacks, Leaks, Corruptions, DirtyReads, FalseRejections int64
	StaleIncidents, Violations                                             int64

	UndecidedKeys int64            // of strong families, without a verdict on all reads together
	Opportunities map[string]int64 // by metric: how many operations could have exposed one
	// Accused gives the gravest accusation of these kinds.
	Accused func(kinds ...string) Evidence
}

// Recovery is the time from the heal until the service was well again.
type Recovery struct {
	Known         Range // seconds
	Evidence, Why string
}

// Resource is something that is used and not counted by operations.
type Resource uint8

// The resources.
const (
	RedisMemory Resource = iota // bytes, the most at any time, of one Redis
	CrossRegion                 // bytes
	Money                       // per million requests
)

// Amount is what was used of a resource.
type Amount struct {
	Known    Range
	Currency string // of money
	Where    string // region
	Evidence string
	Why      string // why the range is as wide as it is
	Missing  string // why nothing is known; everything else is empty then
	Blind    string // why nothing could be used; may be empty
}
