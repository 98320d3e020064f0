package verdict

import (
	"slices"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
)

// admitPremises takes back what presumes something that does not hold, and says whether there was
// anything to take back. Before the load a premise that does not hold only makes answers count for
// less: what is proven all the same stands, and that nothing was proven says nothing. One that was
// seen broken during the drill takes with it what was proven by then.
func (in *Input) admitPremises(row *report.SLO, o slo.Objective, accusations []oracle.Accusation) bool {
	def := o.Definition()
	for _, p := range in.Premises {
		if p.Held || !slices.Contains(def.Presumed(), p.Name) || p.BrokenS == nil && p.Instead != "" {
			continue
		}
		if family := o.Labels["family"]; family != "" && p.Family != "" && family != p.Family {
			continue
		}
		if row.Outcome == slo.Fail {
			if p.BrokenS == nil {
				continue
			}
			if a := in.standing(def, accusations); a != nil {
				row.Evidence = a.Text
				continue
			}
		}
		withhold(row, p.Reason())
		return true
	}
	return false
}

// standing gives an accusation that proves a miss of a metric and rests on nothing broken; nil:
// none does.
func (in *Input) standing(m *slo.Metric, accusations []oracle.Accusation) *oracle.Accusation {
	for i, a := range accusations {
		if slices.Contains(m.Accusations, a.Kind) && !in.withdrawn(a) {
			return &accusations[i]
		}
	}
	return nil
}

// withdrawn says whether an accusation rests on a premise that was seen broken during the drill.
func (in *Input) withdrawn(a oracle.Accusation) bool {
	for _, p := range in.Premises {
		if p.Held || p.BrokenS == nil || p.Family != "" && p.Family != a.Family {
			continue
		}
		for _, m := range slo.Metrics() {
			if slices.Contains(m.Accusations, a.Kind) && slices.Contains(m.Presumed(), p.Name) {
				return true
			}
		}
	}
	return false
}

// standingOnly gives the accusations that stand, and how many were withdrawn.
func (in *Input) standingOnly(all []oracle.Accusation) (standing []oracle.Accusation, withdrawn int64) {
	standing = slices.DeleteFunc(slices.Clone(all), in.withdrawn)
	return standing, int64(len(all) - len(standing))
}
