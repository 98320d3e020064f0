package slo

import (
	"fmt"
	"math"
)

// Outcome of an objective, a drill or a suite. The zero value is Unknown: an undecided
// one is not a pass.
type Outcome uint8

// The three outcomes.
const (
	Unknown Outcome = iota
	Pass
	Fail
)

// String gives the outcome as reports show it: "pass", "fail" or "unknown".
func (o Outcome) String() string {
	switch o {
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	}
	return "unknown"
}

// MarshalText gives the outcome as reports show it.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what [Outcome.MarshalText] wrote and refuses anything else.
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, known := range []Outcome{Unknown, Pass, Fail} {
		if string(text) == known.String() {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("reading an outcome: %q is none of pass, fail, unknown", text)
}

// ExitCode is the process's answer for the outcome of a suite: 0 pass, 1 fail, 3 unknown.
func (o Outcome) ExitCode() int {
	switch o {
	case Pass:
		return 0
	case Fail:
		return 1
	}
	return 3
}

// Range is what is known of a quantity: it lies between Low and High, both included. High may be
// +Inf. The zero Range is the exact value 0; a Range with a NaN end knows nothing.
type Range struct{ Low, High float64 }

// Exactly is the Range of a quantity that was counted or timed without doubt.
func Exactly(v float64) Range { return Range{v, v} }

// Nothing is the Range of a quantity of which nothing is known.
func Nothing() Range { return Range{math.NaN(), math.NaN()} }

// Known says whether anything is known.
func (r Range) Known() bool { return !math.IsNaN(r.Low) && !math.IsNaN(r.High) }

// Share is what is known of the share of a kind among total, when proven are proven to be of that
// kind and indeterminate may be. A total of 0 knows nothing.
func Share(proven, indeterminate, total int64) Range {
	if total <= 0 {
		return Nothing()
	}
	n := float64(total)
	return Range{float64(proven) / n, float64(proven+indeterminate) / n}
}

// Decide compares what is known with a limit: Pass when every value of the range satisfies the
// comparison, Fail when none does, else Unknown. This is the only place where a measurement becomes
// an outcome.
func (r Range) Decide(op Op, limit float64) Outcome {
	if math.IsNaN(r.Low) || math.IsNaN(r.High) || r.Low > r.High || math.IsNaN(limit) {
		return Unknown
	}
	low, high := op.Holds(r.Low, limit), op.Holds(r.High, limit)
	if op == Equal {
		switch {
		case low && high:
			return Pass
		case limit < r.Low || limit > r.High:
			return Fail
		}
		return Unknown
	}
	// The other comparisons are monotone: what holds at both ends holds between them.
	switch {
	case low && high:
		return Pass
	case !low && !high:
		return Fail
	}
	return Unknown
}

// UnlessBlind takes a pass back where nothing could have shown a miss. A proven miss needs no
// opportunity.
func (o Outcome) UnlessBlind(blind bool) Outcome {
	if blind && o == Pass {
		return Unknown
	}
	return o
}

// UnlessExcused takes a miss back that something else than the target may have caused. What passed
// in spite of it passed all the more.
func (o Outcome) UnlessExcused(excused bool) Outcome {
	if excused && o == Fail {
		return Unknown
	}
	return o
}

// Verdict is one objective's outcome as the precedence of a drill sees it.
type Verdict struct {
	Outcome Outcome
	Safety  bool
}

// DrillOutcome combines the objectives of a drill. The first that applies: a proven safety
// violation fails it, whatever else happened; a drill that is void as a whole (saturated generator,
// fault without evidence, ...) is unknown; a missed performance objective fails it; anything
// unknown makes it unknown; else it passed. What could not be judged does not un-prove another
// objective's miss: it only keeps the rest from passing. A drill in which nothing was judged is
// unknown.
func DrillOutcome(void bool, objectives []Verdict) Outcome {
	out := Pass
	if len(objectives) == 0 {
		out = Unknown
	}
	for _, v := range objectives {
		switch {
		case v.Outcome == Fail && v.Safety:
			return Fail
		case v.Outcome == Fail:
			out = Fail
		case v.Outcome == Unknown && out == Pass:
			out = Unknown
		}
	}
	if void {
		return Unknown
	}
	return out
}

// SuiteOutcome combines drills: any fail, else any unknown, else pass. No drills is unknown.
func SuiteOutcome(drills []Outcome) Outcome {
	out := Pass
	if len(drills) == 0 {
		out = Unknown
	}
	for _, d := range drills {
		switch d {
		case Fail:
			return Fail
		case Unknown:
			out = Unknown
		}
	}
	return out
}
