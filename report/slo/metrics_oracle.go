package slo

import (
	"fmt"
	"math"
)

var (
	violations = Metric{Name: "violations", Unit: UnitCount, Labels: perRead, Groups: anyGroup, Safety: true, Presumes: ofOrder, Accusations: []string{"violation"}, Needs: Needs{Samples: SampleRead},
		Doc:     "reads proven older than their consistency class allows",
		Measure: classViolations}
	lostWrites = Metric{Name: "lost_writes", Unit: UnitCount, Groups: onlyAlways, Safety: true, Presumes: ofSurvival, Accusations: []string{"lost write"},
		Doc: "acknowledged writes that are missing from the source's history at the end",
		Measure: func(from Measurements, _ Objective) Measurement {
			f := from.Oracle()
			return found(f, f.LostWrites, f.Opportunities["lost_writes"], "no acknowledged write was checked at the source", "lost write")
		}}
	rollbacks = Metric{Name: "rollbacks", Unit: UnitCount, Groups: onlyAlways, Safety: true, Presumes: ofSurvival, Accusations: []string{"rollback"},
		Doc: "writes that were seen, or in the source's history, without having been acknowledged, and are gone " +
			"(acknowledged ones are lost writes)",
		Measure: func(from Measurements, _ Objective) Measurement {
			f := from.Oracle()
			// The same look at the source's history finds both kinds missing.
			chances := max(f.Opportunities["rollbacks"], f.Opportunities["lost_writes"])
			return found(f, f.Rollbacks, chances, "no write was checked at the source", "rollback")
		}}
	leaks = Metric{Name: "leaks", Unit: UnitCount, Groups: onlyAlways, Safety: true, Presumes: ofValues, Accusations: []string{"leak"},
		Doc: "reads answered with another tenant's, locale's, currency's or variant's value",
		Measure: func(from Measurements, _ Objective) Measurement {
			f := from.Oracle()
			return found(f, f.Leaks, f.Opportunities["leaks"],
				"no answer named the owner of its value, or no other key could be mixed up with it", "leak")
		}}
	corruptions = Metric{Name: "corruptions", Unit: UnitCount, Groups: onlyAlways, Safety: true, Presumes: ofContent, Accusations: []string{"corruption", "dirty read"},
		Doc: "reads whose value fails its own certificate, could not exist yet, or that the source had not committed; " +
			"and keys that a fault left unreadable",
		Measure: func(from Measurements, _ Objective) Measurement {
			f := from.Oracle()
			// A value that was never committed is as wrong as a damaged one; the report counts them
			// apart as well.
			chances := max(f.Opportunities["corruptions"], f.Opportunities["dirty_reads"])
			return found(f, f.Corruptions+f.DirtyReads, chances, "no answer carried a value that certifies itself", "corruption", "dirty read")
		}}
	falseRejections = Metric{Name: "false_rejections", Unit: UnitCount, Groups: onlyAlways, Safety: true, Presumes: ofValues, Accusations: []string{"false rejection"},
		Doc: "writes that the target reported without effect and that were seen or committed all the same",
		Measure: func(from Measurements, _ Objective) Measurement {
			f := from.Oracle()
			return found(f, f.FalseRejections, f.Opportunities["false_rejections"], "no write failed with a promise of no effect", "false rejection")
		}}
)

// found measures what the oracle counts over the whole drill. blind says what it means that nothing
// could have shown one, and kinds are of the accusations that are evidence.
func found(f Findings, n, chances int64, blind string, kinds ...string) Measurement {
	m := Measurement{Known: Exactly(float64(n)), Observed: FormatCount(n)}
	if chances == 0 {
		m.Blind = blind
	}
	return m.with(f.Accused(kinds...))
}

func classViolations(from Measurements, _ Objective) Measurement {
	r, f, s := from.Reads(), from.Oracle(), from.Scope()
	n := r.Violations
	if s.WholeDrill() {
		n = max(n, f.Violations)
	}
	m := Measurement{Known: Exactly(float64(n)), Observed: FormatCount(n)}
	if s.WholeDrill() && f.UndecidedKeys > 0 { // each may hide one, at least
		m.Known.High = math.Inf(1)
		m.Why = fmt.Sprintf("of %s strong keys it was not decided whether some order of the writes explains all reads",
			FormatCount(f.UndecidedKeys))
	}
	if r.CanViolate == 0 && !(s.WholeDrill() && f.Opportunities["violations"] > 0) {
		m.Blind = "no read could have exposed a violation " + s.During()
	}
	if n > 0 {
		return m.with(r.Breach)
	}
	return m
}
