package verdict

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// latencyOf is nil while nothing was counted.
func latencyOf(d slo.Distribution) *report.Latency {
	if d.Count() == 0 {
		return nil
	}
	return &report.Latency{
		P50: millis(d.Quantile(0.50)), P95: millis(d.Quantile(0.95)), P99: millis(d.Quantile(0.99)),
		P999: millis(d.Quantile(0.999)), Max: millis(d.Max()),
	}
}

// phaseSummaries describes the phases that the drill reached.
func phaseSummaries(r *measure.Results) []report.PhaseSummary {
	out := []report.PhaseSummary{}
	for _, p := range measure.Phases() {
		if m, start, end, ok := r.Phase(p); ok {
			s := phaseSummary(m, end-start)
			s.Name, s.StartS, s.EndS = p.String(), secondsOf(start), secondsOf(end)
			s.InvalidationLagTierMS = tierLags(m, r.LagTiers(p))
			out = append(out, s)
		}
	}
	return out
}

func phaseSummary(m slo.Measurements, length time.Duration) report.PhaseSummary {
	ops, reads, loads := m.Operations(), m.Reads(), m.Loads()
	s := report.PhaseSummary{
		Requests: ops.Ended, Errors: ops.Bad(),
		LatencyMS: latencyOf(ops.Latency), ServiceMS: latencyOf(ops.Service), LatencyClipped: ops.Clipped,
		HitRatio: report.HitRatio{L1: ratioOf(ops.L1, ops.L1+ops.L2+ops.Source), L2: ratioOf(ops.L2, ops.L2+ops.Source)},
		Reads: report.Reads{
			Total: reads.Total(), Fresh: reads.Fresh, Stale: reads.Stale,
			Indeterminate: reads.Indeterminate, Unjudged: reads.Unjudged,
		},
	}
	if ops.Hit.N > 0 && ops.Miss.N > 0 {
		s.MissPenaltyMS = rounded((ops.Miss.Value-ops.Hit.Value)*1e3, 3)
	}
	if loads.Detail.Counted && length > 0 {
		s.SourceQPS = report.SourceQPS{
			Mean: rounded(float64(loads.Total)/length.Seconds(), 2),
			Peak: rounded(float64(loads.Peak), 2),
		}
		if widest := int64(loads.Widest.Width); loads.Detail.Width {
			s.StampedeMax = &widest
		}
		if loads.Detail.PerKey {
			s.RedundantLoads = &loads.Redundant
		}
	}
	if reads.Staleness.Count() > 0 {
		s.StalenessMS = tail(reads.Staleness.Quantile(0.99).Seconds(), reads.Staleness.Max().Seconds())
	}
	if lag := m.Lag(""); lag.Missing == "" {
		s.InvalidationLagMS = tailOf(lag.Low)
	}
	return s
}

// tierLags describes a phase's invalidation lag from inside, per tier that reported.
func tierLags(m slo.Measurements, tiers []string) map[string]report.TierLag {
	out := map[string]report.TierLag{}
	for _, tier := range tiers {
		lag := m.Lag(tier)
		out[tier] = report.TierLag{Commits: int64(len(lag.High)), Untold: lag.Open, Tail: tailOf(lag.High)}
	}
	return out
}

// tailOf shows the tail of seconds in ascending order, at least one.
func tailOf(sorted []float64) report.Tail {
	n := len(sorted)
	return tail(sorted[min(int(0.99*float64(n)), n-1)], sorted[n-1])
}

func tail(p99, most float64) report.Tail {
	return report.Tail{P99: rounded(p99*1e3, 3), Max: rounded(most*1e3, 3)}
}

func ratioOf(hits, tries int64) *float64 {
	if tries == 0 {
		return nil
	}
	return rounded(float64(hits)/float64(tries), 6)
}

// breakdown counts steady, fault and recovery together by label; cut says that rows were left out.
func breakdown(r *measure.Results) (out []report.BreakdownRow, cut bool) {
	rows, complete := r.Breakdown()
	for _, row := range rows {
		shown := report.BreakdownRow{Labels: row.Labels, Requests: row.Requests, LatencyMS: latencyOf(row.Latency)}
		shown.Stale, shown.HitRatio = ratioOf(row.Stale, row.Judged), ratioOf(row.Hits, row.Tries)
		out = append(out, shown)
	}
	return out, !complete
}

func oracleSummary(f *oracle.Findings) report.OracleSummary {
	return report.OracleSummary{
		Writes: int64(f.Writes), Acknowledged: int64(f.Acknowledged), UnknownWrites: int64(f.UnknownWrites),
		LostWrites: int64(f.LostWrites), Rollbacks: int64(f.Rollbacks), Leaks: int64(f.Leaks),
		Corruptions: int64(f.Corruptions), DirtyReads: int64(f.DirtyReads), FalseRejections: int64(f.FalseRejections),
		SessionViolations: int64(f.SessionViolations), StaleIncidents: int64(f.StaleIncidents),
		Unjudged: int64(f.Unjudged), UnjudgedKeys: int64(f.UnjudgedKeys), UndecidedKeys: int64(f.UndecidedKeys),
		Opportunities: wide(f.Opportunities), Violations: wide(f.Violations),
	}
}

// wide is never nil, so that JSON shows {} and not null.
func wide(m map[string]int) map[string]int64 {
	out := make(map[string]int64, len(m))
	for k, n := range m {
		out[k] = int64(n)
	}
	return out
}
