package report

import (
	"fmt"
	"math"
	"time"
)

// measurement is what a drill knows about one objective's metric.
type measurement struct {
	known    Range
	observed string // for people; empty when nothing was observed
	where    string // region of the evidence
	evidence string // one line
	why      string // why the range is as wide as it is
	// blind says why nothing here could have shown a miss: then the objective can't pass. Empty when
	// something could.
	blind string
}

func nothing(why string) measurement { return measurement{known: Nothing(), why: why} }

// scope is what an objective is judged over.
type scope struct {
	agg    *aggregate
	drill  *Drill
	group  Group
	phases []Phase
	labels Labels
	cell   *cell
	length time.Duration
}

func newScope(a *aggregate, d *Drill, g Group, o Objective) (scope, string) {
	s := scope{agg: a, drill: d, group: g, phases: phasesOf(g, o.Safety()), labels: selectionLabels(o)}
	var missing []Phase
	s.cell, s.length, missing = a.view(s.labels, s.phases)
	if len(missing) == len(s.phases) {
		return s, fmt.Sprintf("the drill ended before its %s phase", missing[0])
	}
	return s, ""
}

// during names the scope in a reason.
func (s *scope) during() string {
	if s.group == GroupAlways {
		return "in this drill"
	}
	return "in this phase"
}

// contains says whether an offset lies in the phases of the scope.
func (s *scope) contains(at time.Duration) bool {
	p := s.agg.times.of(at)
	for _, mine := range s.phases {
		if p == mine {
			return true
		}
	}
	return false
}

// measure says what is known of an objective's metric in the group's phases.
func measure(a *aggregate, d *Drill, g Group, o Objective) measurement {
	s, missing := newScope(a, d, g, o)
	if missing != "" {
		return nothing(missing)
	}
	m := o.metric()
	if m.target > 0 {
		return s.burn(m.target)
	}
	switch m.Name {
	case "p50", "p95", "p99", "p999":
		return s.percentile(o, m.quantile)
	case "max":
		return s.slowest(o)
	case "errors":
		return s.errors()
	case "goodput":
		return s.goodput()
	case "hit_ratio":
		return s.hitRatio(o.Labels["tier"])
	case "miss_penalty":
		return s.missPenalty()
	case "source_qps.mean", "source_qps.peak", "stampede.max", "redundant_loads":
		return s.source(m.Name)
	case "recovery_time":
		return s.recovery()
	case "stale", "stale.proven":
		return s.stale(m.Name == "stale.proven")
	case "staleness.p99", "staleness.max":
		return s.staleness(m.quantile)
	case "invalidation_lag.p99", "invalidation_lag.p999", "invalidation_lag.max":
		return s.lag(o.Labels["tier"], m.quantile)
	case "violations":
		return s.violations()
	case "stale_incidents":
		return s.incidents()
	case "redis_memory.max":
		return s.redisMemory()
	case "cross_region_bytes":
		return s.crossRegionBytes()
	case "cost_per_million":
		return s.costPerMillion()
	}
	return s.finding(m.Name)
}

func (s *scope) percentile(o Objective, p float64) measurement {
	c := s.cell
	n := c.latency.count()
	if n == 0 {
		return nothing("no operation of these labels ended " + s.during())
	}
	corrected := c.latency.quantileRange(p)
	m := measurement{
		observed: duration(c.latency.quantile(p)),
		where:    c.slowest.region,
		evidence: "worst: " + duration(c.slowest.latency) + " " + c.slowest.String(),
		why:      fewSamples(corrected, n, p),
	}
	return s.charged(m, o, corrected, c.service.quantileRange(p).Low)
}

// charged completes a measurement of latency with what is known of the latency that the target is to
// blame for. Corrected latency, from the due time, bounds it from above: a pass needs it. Where no
// operation waited for a worker, whatever lies between due and sent is the generator's own lateness:
// then service time bounds it from below, and a miss needs the target alone to miss. Under a limit of
// workers waiting for a free one is the target's doing, and corrected latency is both bounds.
func (s *scope) charged(m measurement, o Objective, corrected Range, service float64) measurement {
	m.known = corrected
	if !s.drill.UnlimitedWorkers {
		return m
	}
	m.known.Low = min(corrected.Low, service)
	limit := o.Limit.Value
	if m.known.Decide(o.Op, limit) == Unknown && corrected.Decide(o.Op, limit) != Unknown {
		m.why = "operations were sent late by the generator, and the limit lies between"
	}
	return m
}

// fewSamples explains why a percentile can't be told from a limit.
func fewSamples(r Range, n int64, p float64) string {
	if need := neededSamples(p); n < need {
		return fmt.Sprintf("%s samples are too few: an upper bound on this percentile needs %s", count(n), count(need))
	}
	return fmt.Sprintf("%s samples bound it to %s..%s with 95%% confidence each way, and the limit lies between", count(n), length(r.Low), length(r.High))
}

func (s *scope) slowest(o Objective) measurement {
	c := s.cell
	if c.latency.count() == 0 {
		return nothing("no operation of these labels ended " + s.during())
	}
	m := measurement{
		observed: duration(c.latency.max),
		where:    c.slowest.region,
		evidence: c.slowest.String(),
	}
	return s.charged(m, o, Exactly(c.latency.max.Seconds()), c.service.max.Seconds())
}

func (s *scope) errors() measurement {
	c := s.cell
	bad := c.failed + c.unknown
	m := measurement{known: Share(bad, 0, c.ended)}
	if c.ended == 0 {
		return nothing("no operation of these labels ended " + s.during())
	}
	m.observed = fmt.Sprintf("%s (%s of %s operations)", percent(m.known.Low), count(bad), count(c.ended))
	if c.firstBad.set {
		m.where = c.firstBad.region
		m.evidence = "first: " + c.firstBad.String()
		if c.firstBad.err != "" {
			m.evidence += ": " + c.firstBad.err
		}
	}
	return m
}

func (s *scope) goodput() measurement {
	c := s.cell
	if c.ended == 0 || s.length <= 0 {
		return nothing("no operation of these labels ended " + s.during())
	}
	rate := float64(c.ok) / s.length.Seconds()
	return measurement{
		known:    Exactly(rate),
		observed: perSecond(rate),
		evidence: fmt.Sprintf("%s of %s operations ended ok in %s", count(c.ok), count(c.ended), duration(s.length)),
	}
}

func (s *scope) hitRatio(tier string) measurement {
	c := s.cell
	hits, tries := c.hitRatio(tier)
	if tries == 0 {
		return nothing("no read told which tier answered it " + s.during())
	}
	r := Share(hits, 0, tries)
	return measurement{
		known:    r,
		observed: fmt.Sprintf("%s (%s of %s reads)", percent(r.Low), count(hits), count(tries)),
		evidence: fmt.Sprintf("answered by l1 %s, l2 %s, source %s", count(c.l1), count(c.l2), count(c.source)),
	}
}

// enoughForMeans is how many samples make a mean's error nearly normal, whatever the distribution.
const enoughForMeans = 30

func (s *scope) missPenalty() measurement {
	hit, miss := s.cell.hit, s.cell.miss
	if hit.n == 0 || miss.n == 0 {
		return nothing(fmt.Sprintf("it needs hits and misses %s: there were %s and %s", s.during(), count(hit.n), count(miss.n)))
	}
	d := miss.mean() - hit.mean()
	m := measurement{
		observed: length(d),
		evidence: fmt.Sprintf("mean of %s misses %s, of %s hits %s", count(miss.n), length(miss.mean()), count(hit.n), length(hit.mean())),
	}
	if hit.n < enoughForMeans || miss.n < enoughForMeans {
		m.known = Range{math.Inf(-1), math.Inf(1)}
		m.why = fmt.Sprintf("%s hits and %s misses: it needs %d of each", count(hit.n), count(miss.n), enoughForMeans)
		return m
	}
	const z = 1.6448536269514722 // one-sided 95%, as for percentiles
	margin := z * math.Sqrt(hit.meanVariance()+miss.meanVariance())
	m.known = Range{d - margin, d + margin}
	m.why = fmt.Sprintf("it lies within %s..%s with 95%% confidence each way, and the limit between", length(d-margin), length(d+margin))
	return m
}

func (s *scope) recovery() measurement {
	known, evidence, why := s.agg.recovered.assess(s.length)
	m := measurement{known: known, evidence: evidence, why: why}
	switch {
	case math.IsNaN(known.Low):
		return m
	case math.IsInf(known.High, 1):
		m.observed = "over " + length(known.Low)
	default:
		m.observed = length(known.High)
	}
	if m.why == "" {
		m.why = fmt.Sprintf("it ended between %s and %s, and the limit lies between", length(known.Low), length(known.High))
	}
	return m
}
