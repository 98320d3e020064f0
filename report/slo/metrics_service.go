package slo

import (
	"fmt"
	"math"
)

var (
	errors = Metric{Name: "errors", Unit: UnitRatio, Labels: perOperation, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleOperation},
		Doc:   "operations that did not end ok (failed, or a write of unknown outcome), of all that ended",
		Shape: Shape{Timed: true}, Measure: errorShare, Whole: errorsOfWhole}
	goodput = Metric{Name: "goodput", Unit: UnitRate, Labels: perOperation, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleOperation},
		Doc:   "operations due in the phase that ended ok, per second of the phase",
		Shape: Shape{Timed: true}, Measure: goodRate}

	unreadable = Metric{Name: "unreadable", Unit: UnitRatio, Labels: perCacheRead, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc: "answers to reads that had a good status and could not be understood, of all answers to reads; without an " +
			"objective about it a drill with 1% of them or more is void",
		Measure: unreadableShare, Whole: unreadableOfWhole}

	burn99   = budgetBurn("budget_burn.99", "99%", 0.99)
	burn999  = budgetBurn("budget_burn.999", "99.9%", 0.999)
	burn9995 = budgetBurn("budget_burn.9995", "99.95%", 0.9995)
	burn9999 = budgetBurn("budget_burn.9999", "99.99%", 0.9999)

	recoveryTime = Metric{Name: "recovery_time", Unit: UnitDuration, Groups: onlyRecovery, Presumes: nothing,
		Doc:   "from the observed heal to the first moment after which errors and latency stay within the steady objectives",
		Shape: Shape{Timed: true, UpperOnly: true}, Measure: timeToRecover, Whole: onlyGrows}
)

func budgetBurn(name, objective string, target float64) Metric {
	return Metric{Name: name, Unit: UnitBudget, Labels: perOperation, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleOperation},
		Doc: "error budget burn of a " + objective + " objective: the share of operations that did not end ok, as a multiple of " +
			"what the objective allows, within 95% bounds; 1x spends the budget exactly",
		Shape: Shape{Target: target, Timed: true}, Measure: burn}
}

func errorShare(from Measurements, _ Objective) Measurement {
	ops := from.Operations()
	if ops.Ended == 0 {
		return noOperation(from)
	}
	m := Measurement{Known: Share(ops.Bad(), 0, ops.Ended)}
	m.Observed = fmt.Sprintf("%s (%s of %s operations)", FormatPercent(m.Known.Low), FormatCount(ops.Bad()), FormatCount(ops.Ended))
	if ops.FirstBad.Text != "" {
		m.Where, m.Evidence = ops.FirstBad.Region, "first: "+ops.FirstBad.Text
	}
	return m
}

func unreadableShare(from Measurements, _ Objective) Measurement {
	a := from.Operations().Answers
	if a.Total == 0 {
		return noOperation(from)
	}
	m := Measurement{Known: Share(a.Unreadable, 0, a.Total)}
	m.Observed = fmt.Sprintf("%s (%s of %s answers)", FormatPercent(m.Known.Low), FormatCount(a.Unreadable), FormatCount(a.Total))
	if a.First.Text != "" {
		m.Where, m.Evidence = a.First.Region, "first: "+a.First.Text
	}
	return m
}

func goodRate(from Measurements, _ Objective) Measurement {
	ops, length := from.Operations(), from.Scope().Length
	if ops.Ended == 0 || length <= 0 {
		return noOperation(from)
	}
	rate := float64(ops.OK) / length.Seconds()
	return Measurement{
		Known:    Exactly(rate),
		Observed: FormatRate(rate),
		Evidence: fmt.Sprintf("%s of %s operations ended ok in %s", FormatCount(ops.OK), FormatCount(ops.Ended), FormatDuration(length)),
	}
}

// burn measures how fast the error budget of an objective over weeks burns: the share of operations
// that did not end ok, as a multiple of the share that the objective allows. 1x spends the budget
// exactly; 14.4x, for an hour, 2% of a month's.
//
// The operations seen are samples of the many that such a time would bring, so the share is known
// within one-sided 95% bounds each way only.
func burn(from Measurements, o Objective) Measurement {
	ops := from.Operations()
	m := errorShare(from, o) // for its evidence
	if ops.Ended == 0 {
		return m
	}
	allowed := 1 - o.Definition().Target
	share := shareBounds(ops.Bad(), ops.Ended)
	m.Known = Range{share.Low / allowed, share.High / allowed}
	m.Observed = fmt.Sprintf("%sx (%s of %s operations, %s allowed)",
		FormatDecimal(float64(ops.Bad())/float64(ops.Ended)/allowed, 2), FormatCount(ops.Bad()), FormatCount(ops.Ended), FormatPercent(allowed))
	m.Why = fmt.Sprintf("%s operations bound it to %sx..%sx with 95%% confidence each way, and the limit lies between",
		FormatCount(ops.Ended), FormatDecimal(m.Known.Low, 2), FormatDecimal(m.Known.High, 2))
	return m
}

func timeToRecover(from Measurements, _ Objective) Measurement {
	r := from.Recovery()
	m := Measurement{Known: r.Known, Evidence: r.Evidence, Why: r.Why}
	switch {
	case math.IsNaN(r.Known.Low):
		return m
	case math.IsInf(r.Known.High, 1):
		m.Observed = "over " + FormatSeconds(r.Known.Low)
	default:
		m.Observed = FormatSeconds(r.Known.High)
	}
	if m.Why == "" {
		m.Why = fmt.Sprintf("it ended between %s and %s, and the limit lies between", FormatSeconds(r.Known.Low), FormatSeconds(r.Known.High))
	}
	return m
}
