package verdict

import (
	"fmt"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

const (
	rising  = 3   // standard deviations by which a share must have grown
	notable = 0.1 // share of loads from which on an effect is named
)

// grew says whether a share is larger in the second sample by more than chance explains: a
// two-sample z-test.
func grew(k1, n1, k2, n2 int64) bool {
	if n1 == 0 || n2 == 0 {
		return false
	}
	p1, p2 := float64(k1)/float64(n1), float64(k2)/float64(n2)
	p := float64(k1+k2) / float64(n1+n2)
	se := math.Sqrt(p * (1 - p) * (1/float64(n1) + 1/float64(n2)))
	return p2-p1 > rising*se && p2 > p1
}

// stateOf names the state at the end of a time after a fault.
func stateOf(a measure.Aftermath) report.RecoverySummary {
	known := a.Recovery.Known
	switch {
	case math.IsNaN(known.Low):
		return report.RecoverySummary{State: report.RecoveryUnknown, Evidence: a.Recovery.Why}
	case !math.IsInf(known.High, 1):
		return report.RecoverySummary{State: report.Recovered}
	case !a.Directed:
		return report.RecoverySummary{State: report.RecoveryUnknown,
			Evidence: "the window is too short, or has too few operations, to show a direction"}
	}
	first, second := a.First, a.Second
	ratios := fmt.Sprintf("from the third to the last quarter of the window %s to %s of operations ended ok, and %s to %s were hits",
		slo.FormatPercent(shareOf(first.OK, first.Ended)), slo.FormatPercent(shareOf(second.OK, second.Ended)),
		slo.FormatPercent(shareOf(first.Hits, first.Ended)), slo.FormatPercent(shareOf(second.Hits, second.Ended)))
	// Hits count of all operations, not of those that ended well: failed reads name no tier.
	if grew(first.Hits, first.Ended, second.Hits, second.Ended) || grew(first.OK, first.Ended, second.OK, second.Ended) {
		return report.RecoverySummary{State: report.Recovering, Evidence: "still bad when the window ended, and rising: " + ratios}
	}
	s := report.RecoverySummary{State: report.Stuck, Evidence: "bad to the end, and not rising: " + ratios}
	both := first
	both.Add(second)
	s.SustainedBy = effects(&both)
	return s
}

// effects names what feeds the failure, as counted at the source.
func effects(p *measure.Span) (out []string) {
	if p.Loads == 0 {
		return nil
	}
	n := float64(p.Loads)
	if share := float64(p.Abandoned) / n; share > notable {
		out = append(out, fmt.Sprintf("abandoned fills: %s of %s loads were given up by their caller, and served all the same", slo.FormatPercent(share), slo.FormatCount(p.Loads)))
	}
	if share := float64(p.Retried) / n; share > notable {
		out = append(out, fmt.Sprintf("retries: %s of %s loads were retries", slo.FormatPercent(share), slo.FormatCount(p.Loads)))
	}
	if p.Queued > p.Worked {
		out = append(out, fmt.Sprintf("queueing: loads waited %s on average at the source before they were served or given up",
			slo.FormatDuration(p.Queued/time.Duration(p.Loads))))
	}
	return out
}

func shareOf(k, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}

// recoverySummary sums up what became of the service after the heal, and after its load was
// lowered. It is nil when there was no recovery phase.
func recoverySummary(r *measure.Results) *report.RecoverySummary {
	healed, ok := r.AfterHeal()
	if !ok {
		return nil
	}
	s := stateOf(healed)
	if s.State == report.Recovered {
		s.Evidence = healed.Recovery.Evidence
	}
	if dipped, lasted, ok := r.AfterDip(); ok {
		again := stateOf(dipped)
		s.Dip = &report.DipSummary{ForS: secondsOf(lasted), State: again.State, Evidence: again.Evidence}
	}
	return &s
}

// recoverySeconds is the upper bound of the time of recovery; nil when it is not known.
func recoverySeconds(r *measure.Results) *float64 {
	a, ok := r.AfterHeal()
	if !ok || math.IsNaN(a.Recovery.Known.High) {
		return nil
	}
	return rounded(a.Recovery.Known.High, 3)
}
