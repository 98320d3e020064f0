package verdict

import (
	"slices"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// accusing gives the oracle's accusations without the stale reads that no objective holds against
// the target: what a class allows, and no limit forbids, is a measurement. rows are the judged
// objectives, those that were written first and in their order.
func accusing(r *measure.Results, rows []report.SLO) []oracle.Accusation {
	type missed struct {
		slo.Objective
		includes func(*oracle.Accusation) bool
	}
	var all []missed
	for i, g := range r.Objectives() {
		if rows[i].Outcome == slo.Fail {
			all = append(all, missed{g.Objective, r.Includes(g.Group, g.Objective)})
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Oracle().Accusations), func(a oracle.Accusation) bool {
		return a.Kind == "stale" && !slices.ContainsFunc(all, func(m missed) bool { return m.Accuses(a.Low) && m.includes(&a) })
	})
}
