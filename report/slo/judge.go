package slo

import (
	"fmt"
	"math"
	"time"
)

// Measurement is what a drill knows about one objective's metric.
type Measurement struct {
	Known    Range
	Observed string // for people; empty when nothing was observed
	Where    string // region of the evidence
	Evidence string // one line
	Why      string // why the range is as wide as it is
	// Blind says why nothing here could have shown a miss: then the objective can't pass. Empty
	// when something could.
	Blind string
}

// NotMeasured is the measurement of a metric of which nothing is known.
func NotMeasured(why string) Measurement { return Measurement{Known: Nothing(), Why: why} }

// Judgement is what came of an objective by what was measured, as if nothing else had happened in
// the drill.
type Judgement struct {
	Outcome  Outcome
	Observed string
	Limit    string // the comparison and its right side: "<= 2", "< 3x = 120/s"
	Where    string // region of the evidence
	Evidence string
	Why      string // why it is unknown
}

// Judge measures an objective's metric and decides.
func (o Objective) Judge(m Measurements) Judgement {
	got := o.measure(m)
	j := Judgement{
		Observed: got.Observed, Where: got.Where, Evidence: got.Evidence,
		Limit: string(o.Op) + " " + o.Limit.Text,
	}
	if cut := m.Scope().Cut; cut.Why != "" && !o.Safety() { // of safety, the audit decides
		got.Known, got.Why = o.whole(got.Known, m), cut.Why
	}
	limit := o.Limit.Value
	if o.Limit.Unit == UnitTimes && !math.IsNaN(got.Known.Low) {
		var why string
		if limit, why = o.timesSteady(m.Loads(), m.Scope().Length); why != "" {
			got.Why = why
		} else {
			j.Limit += " = " + FormatRate(limit)
		}
	}
	decided := got.Known.Decide(o.Op, limit)
	j.Outcome = decided.UnlessBlind(got.Blind != "")
	switch {
	case j.Outcome != decided:
		j.Why = got.Blind
	case j.Outcome != Unknown:
	case got.Why != "":
		j.Why = got.Why
	case got.Blind != "":
		j.Why = got.Blind
	default:
		j.Why = "nothing was measured"
	}
	return j
}

func (o Objective) measure(m Measurements) Measurement {
	if missing := m.Scope().Missing; missing != "" {
		return NotMeasured(missing)
	}
	measure := o.Definition().Measure
	if measure == nil {
		return NotMeasured("no measurement for " + o.Metric)
	}
	return measure(m, o)
}

const (
	// steadyLoads is how many loads steady state must have before multiples of its rate mean
	// anything: with 30 the rate itself is known to about a fifth.
	steadyLoads = 30
	// byChance is the probability, with no fault at all, above which a limit in times steady is no
	// test. At 1 load/s, some second of ten has three or more with 57% probability.
	byChance = 0.01
)

// timesSteady turns a limit such as 3x into a rate: times the mean rate of loads of the same labels
// in steady state. why is set when that is no test.
func (o Objective) timesSteady(l Loads, over time.Duration) (limit float64, why string) {
	if l.NoSteady || l.SteadyTime <= 0 {
		return math.NaN(), "there was no steady phase to compare with"
	}
	mean := float64(l.Steady) / l.SteadyTime.Seconds()
	if l.Steady < steadyLoads {
		return math.NaN(), fmt.Sprintf("steady had only %s loads: %s is no yardstick (it takes %d)",
			FormatCount(l.Steady), o.Limit.Text, steadyLoads)
	}
	limit = mean * o.Limit.Value
	if !o.Op.Upper() {
		return limit, ""
	}
	window, windows := over.Seconds(), 1.0
	if o.Metric == sourcePeak.Name {
		window, windows = 1, math.Max(1, math.Ceil(over.Seconds()))
	}
	most := limit * window // arrivals in one window that still keep the limit
	if o.Op == Less {
		most = math.Ceil(most) - 1
	}
	missed := 1 - math.Pow(1-poissonAbove(most, mean*window), windows)
	if missed > byChance {
		return math.NaN(), fmt.Sprintf("steady had %s: %s of it is missed by chance with %s probability",
			FormatRate(mean), o.Limit.Text, FormatPercent(missed))
	}
	return limit, ""
}
