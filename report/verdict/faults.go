package verdict

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
)

// FaultRun is what became of one planned fault. Offsets of 0 mean never.
type FaultRun struct {
	Name     string
	Injected time.Duration
	Healed   time.Duration // seen healed
	Evidence string        // that it bit; empty when nothing proves it
	Problem  string        // what went wrong with injecting or healing it; empty when nothing did
	Unneeded bool          // the drill was halted before the fault was due
	Unproven string        // why there is no evidence, and what would do; empty when that is not known
}

// unprovenReason names the first fault that went wrong, or of which nothing proves that it bit.
func unprovenReason(faults []FaultRun) string {
	for _, f := range faults {
		switch {
		case f.Unneeded:
		case f.Problem != "":
			return "fault " + f.Name + " " + f.Problem + report.NotJudged
		case f.Injected == 0:
			return "fault " + f.Name + " was never injected" + report.NotJudged
		case f.Evidence == "" && f.Unproven != "":
			return "fault " + f.Name + " left no evidence: " + f.Unproven + report.NotJudged
		case f.Evidence == "":
			return "fault " + f.Name + " left no evidence" + report.NotJudged
		}
	}
	return ""
}

func faultSummaries(runs []FaultRun) []report.FaultSummary {
	out := make([]report.FaultSummary, 0, len(runs))
	for _, f := range runs {
		s := report.FaultSummary{Name: f.Name, Evidence: f.Evidence, Problem: cmp.Or(f.Problem, f.Unproven)}
		if f.Injected > 0 {
			s.InjectedS = rounded(f.Injected.Seconds(), 6)
		}
		if f.Healed > 0 {
			s.HealedS = rounded(f.Healed.Seconds(), 6)
		}
		out = append(out, s)
	}
	return out
}

// recent is how long after its heal a fault is still named beside an accusation.
const recent = 5 * time.Second

// beside names the faults that were active at an offset, and those healed not long before.
func beside(faults []FaultRun, at time.Duration) []string {
	out := []string{}
	for _, f := range faults {
		if strings.HasPrefix(f.Name, "sham") {
			continue // it broke nothing
		}
		switch {
		case f.Injected <= 0, f.Injected > at:
		case f.Healed <= 0:
			out = append(out, fmt.Sprintf("%s %ss.. (never seen healed)", f.Name, slo.FormatDecimal(f.Injected.Seconds(), 2)))
		case at <= f.Healed:
			out = append(out, fmt.Sprintf("%s %ss..%ss", f.Name, slo.FormatDecimal(f.Injected.Seconds(), 2), slo.FormatDecimal(f.Healed.Seconds(), 2)))
		case at-f.Healed <= recent:
			out = append(out, fmt.Sprintf("%s %ss..%ss (healed %s before)", f.Name, slo.FormatDecimal(f.Injected.Seconds(), 2),
				slo.FormatDecimal(f.Healed.Seconds(), 2), slo.FormatSeconds((at-f.Healed).Seconds())))
		}
	}
	return out
}

// withFaults names the faults beside each accusation.
func withFaults(all []report.Accusation, faults []FaultRun) []report.Accusation {
	out := make([]report.Accusation, 0, len(all))
	for _, a := range all {
		a.Faults = beside(faults, a.At())
		out = append(out, a)
	}
	return out
}
