package slo

import "slices"

// Premise is something that a verdict presumes of a target. It is qualified before the load, by a
// few unhurried operations, and watched during the drill. The objectives that presume one that does
// not hold are unknown.
type Premise string

// The premises.
const (
	PremiseShown    Premise = "shown"     // reads answer what was written
	PremiseMade     Premise = "made"      // a good answer to a change means that it was made
	PremiseAck      Premise = "ack"       // an acknowledgement follows the commit
	PremiseTokens   Premise = "tokens"    // tokens come back whole
	PremiseOneValue Premise = "one-value" // one answer holds one value
	PremiseVersions Premise = "versions"  // versions grow
	PremiseDistinct Premise = "distinct"  // no two changes of a key have one version
	PremiseBypass   Premise = "bypass"    // the bypass reads the source, not a copy behind it
	PremiseAbsence  Premise = "absence"   // what is not there looks as configured
	PremiseWorkers  Premise = "workers"   // all workers are asked
)

var premiseTexts = map[Premise]string{
	PremiseShown:    "reads answer what was written",
	PremiseMade:     "a good answer to a change means that it was made",
	PremiseAck:      "acknowledgements follow the commit",
	PremiseTokens:   "tokens come back whole",
	PremiseOneValue: "one answer holds one value",
	PremiseVersions: "versions grow",
	PremiseDistinct: "no two changes of a key have one version",
	PremiseBypass:   "the bypass reads the source",
	PremiseAbsence:  "what is not there looks as configured",
	PremiseWorkers:  "all workers are asked",
}

var brokenTexts = map[Premise]string{
	PremiseShown:    "reads do not answer what was written",
	PremiseMade:     "a good answer to a change does not mean that it was made",
	PremiseAck:      "acknowledgements do not follow the commit",
	PremiseTokens:   "tokens do not come back whole",
	PremiseOneValue: "one answer holds several values",
	PremiseVersions: "versions do not grow",
	PremiseDistinct: "two changes of a key may have one version",
	PremiseBypass:   "the bypass does not read the source",
	PremiseAbsence:  "what is not there does not look as configured",
	PremiseWorkers:  "not all workers are asked",
}

// Premises lists them all.
func Premises() []Premise {
	return []Premise{PremiseShown, PremiseMade, PremiseAck, PremiseTokens, PremiseOneValue, PremiseVersions,
		PremiseDistinct, PremiseBypass, PremiseAbsence, PremiseWorkers}
}

// Text says what is presumed.
func (p Premise) Text() string { return premiseTexts[p] }

// Broken says what is so where it does not hold.
func (p Premise) Broken() string { return brokenTexts[p] }

// What metrics presume. A metric that presumes nothing says so: one without a list presumes
// everything.
var (
	nothing    = []Premise{}
	ofOrder    = []Premise{PremiseShown, PremiseMade, PremiseAck, PremiseTokens, PremiseOneValue, PremiseVersions, PremiseAbsence, PremiseWorkers}
	ofSurvival = []Premise{PremiseShown, PremiseMade, PremiseAck, PremiseTokens, PremiseDistinct, PremiseBypass}
	ofValues   = []Premise{PremiseShown, PremiseTokens, PremiseOneValue}
	ofContent  = []Premise{PremiseShown, PremiseTokens, PremiseOneValue, PremiseDistinct}
)

// Presumed gives the premises that a metric rests on.
func (m *Metric) Presumed() []Premise {
	if m.Presumes == nil {
		return Premises()
	}
	return m.Presumes
}

// NeededFor names the metrics that rest on a premise, in the order of documentation.
func (all Catalogue) NeededFor(p Premise) []string {
	names := []string{}
	for _, m := range all {
		if slices.Contains(m.Presumed(), p) {
			names = append(names, m.Name)
		}
	}
	return names
}
