package verdict

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// drillWithRecovery has 3 s steady, 1 s fault, and a heal at 4 s, all at 2,000/s: a bucket of
// recovery is half a second.
func drillWithRecovery(t *testing.T, length time.Duration, edit func(sinceHeal time.Duration, i int, op *targets.Operation), objectives ...string) *feed {
	t.Helper()
	f := newFeed(t, objectives...)
	f.Mark(measure.Steady, 0)
	f.Mark(measure.Fault, 3*time.Second)
	f.ops(0, 3*time.Second, 2000, nil)
	f.ops(3*time.Second, 4*time.Second, 2000, failing)
	f.Mark(measure.Recovery, 4*time.Second)
	f.Mark(measure.Audit, 4*time.Second+length)
	f.ops(4*time.Second, 4*time.Second+length, 2000, func(i int, op *targets.Operation) {
		if edit != nil {
			edit(op.Due-4*time.Second, i, op)
		}
	})
	f.Finish(oracle.Findings{}, 4*time.Second+length)
	return f
}

func TestRecovery(t *testing.T) {
	slowUntil := func(end time.Duration) func(time.Duration, int, *targets.Operation) {
		return func(at time.Duration, i int, op *targets.Operation) {
			if at < end {
				taking(200*ms)(i, op)
			}
		}
	}
	steady := "steady: p99 < 120ms"
	for _, c := range []struct {
		name   string
		length time.Duration
		edit   func(time.Duration, int, *targets.Operation)
		limit  string
		want   slo.Outcome
		known  slo.Range
	}{
		{"good at once", 4 * time.Second, nil, "< 3s", slo.Pass, slo.Exactly(0)},
		{"slow for 1.2s", 4 * time.Second, slowUntil(1200 * ms), "< 3s", slo.Pass, slo.Range{Low: 1, High: 1.5}},
		{"slow for 1.2s, limit within the last bad bucket", 4 * time.Second, slowUntil(1200 * ms), "< 1.2s", slo.Unknown, slo.Range{Low: 1, High: 1.5}},
		{"slow for 1.2s, limit before it", 4 * time.Second, slowUntil(1200 * ms), "< 1s", slo.Fail, slo.Range{Low: 1, High: 1.5}},
		{"never", 4 * time.Second, slowUntil(time.Hour), "< 3s", slo.Fail, slo.Range{Low: 3.5, High: math.Inf(1)}},
		{"never, and the window ends before the limit", 2 * time.Second, slowUntil(time.Hour), "< 3s", slo.Unknown, slo.Range{Low: 1.5, High: math.Inf(1)}},
		{"good for too short at the end", 4 * time.Second, slowUntil(3200 * ms), "< 4s", slo.Unknown, slo.Range{Low: 3, High: math.Inf(1)}},
		{"good for just long enough", 4 * time.Second, slowUntil(2900 * ms), "< 4s", slo.Pass, slo.Range{Low: 2.5, High: 3}},
		{"a window shorter than the hold", 800 * ms, nil, "< 3s", slo.Unknown, slo.Range{Low: 0, High: math.Inf(1)}},
		{"good, then bad again", 6 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at >= 3*time.Second && at < 3500*ms {
				failing(i, op)
			}
		}, "< 3s", slo.Fail, slo.Range{Low: 3, High: 3.5}},
		{"1% slow is what a p99 allows", 4 * time.Second, func(_ time.Duration, i int, op *targets.Operation) {
			if i%100 == 0 {
				taking(200*ms)(i, op)
			}
		}, "< 3s", slo.Pass, slo.Exactly(0)},
		{"5% slow is not", 4 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at < time.Second && i%20 == 0 {
				taking(200*ms)(i, op)
			}
		}, "< 3s", slo.Pass, slo.Range{Low: 0.5, High: 1}},
		{"a single failure among thousands is no relapse", 4 * time.Second, func(_ time.Duration, i int, op *targets.Operation) {
			if i == 6000 {
				failing(i, op)
			}
		}, "< 1s", slo.Pass, slo.Exactly(0)},
		{"fast failures are not recovery", 4 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at < 2*time.Second {
				failing(i, op)
			}
		}, "< 3s", slo.Pass, slo.Range{Low: 1.5, High: 2}},
		{"no operation at all", 0, nil, "< 3s", slo.Unknown, slo.Nothing()},
	} {
		t.Run(c.name, func(t *testing.T) {
			expr := "recovery_time " + c.limit
			f := drillWithRecovery(t, c.length, c.edit, steady, "recovery: "+expr)
			healed, ok := f.Results(measure.Circumstances{}).AfterHeal()
			known, why := healed.Recovery.Known, healed.Recovery.Why
			if !ok {
				known, why = slo.Nothing(), "no recovery"
			}
			if math.IsNaN(c.known.Low) {
				require.True(t, math.IsNaN(known.Low))
			} else {
				require.Equal(t, c.known, known)
			}
			s := Evaluate(f.Recorder, Input{Faults: []FaultRun{{Name: "f", Injected: 3 * time.Second, Evidence: "seen"}}})
			row := rowOf(t, s, expr)
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			if row.Outcome == slo.Unknown {
				require.NotEmpty(t, row.Why)
			}
			if math.IsInf(known.High, 1) || math.IsNaN(known.High) {
				require.Nil(t, s.RecoveryS)
				require.NotEmpty(t, why)
			} else {
				require.Equal(t, known.High, *s.RecoveryS)
			}
		})
	}
}

func rowOf(t *testing.T, s report.Drill, expr string) report.SLO {
	t.Helper()
	for _, r := range s.SLOs {
		if r.Expr == expr {
			return r
		}
	}
	require.Fail(t, "no such objective", expr)
	return report.SLO{}
}
