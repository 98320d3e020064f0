package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

func TestBudgetBurn(t *testing.T) {
	everyNth := func(n int, o targets.Outcome) func(int, *targets.Operation) {
		return func(i int, op *targets.Operation) {
			if n > 0 && i%n == 0 {
				op.Outcome = o
			}
		}
	}
	for _, c := range []struct {
		name     string
		expr     string
		edit     func(int, *targets.Operation)
		length   time.Duration // at 1,000/s
		want     slo.Outcome
		observed string
	}{
		{"none bad", "budget_burn.999 < 14.4x", nil, time.Second, slo.Pass, "0x (0 of 1,000 operations, 0.1% allowed)"},
		{"none bad of too few", "budget_burn.999 < 14.4x", nil, 200 * time.Millisecond, slo.Unknown, "0x (0 of 200 operations, 0.1% allowed)"},
		{"enough, just", "budget_burn.999 < 14.4x", nil, 207 * time.Millisecond, slo.Pass, ""},
		{"not quite", "budget_burn.999 < 14.4x", nil, 206 * time.Millisecond, slo.Unknown, ""},
		{"2% bad of 0.1%", "budget_burn.999 < 14.4x", everyNth(50, targets.Failed), 5 * time.Second, slo.Fail, "20x (100 of 5,000 operations, 0.1% allowed)"},
		{"the same of 1%", "budget_burn.99 < 14.4x", everyNth(50, targets.Failed), 5 * time.Second, slo.Pass, "2x (100 of 5,000 operations, 1% allowed)"},
		{"unknown writes are not ok", "budget_burn.999 < 14.4x", everyNth(50, targets.Unknown), 5 * time.Second, slo.Fail, "20x"},
		{"near the limit", "budget_burn.99 < 2x", everyNth(50, targets.Failed), 5 * time.Second, slo.Unknown, "2x"},
		{"all bad", "budget_burn.99 < 14.4x", everyNth(1, targets.Failed), time.Second, slo.Fail, "100x"},
		{"lower limit", "budget_burn.99 > 14.4x", everyNth(1, targets.Failed), time.Second, slo.Pass, "100x"},
		{"of others", "budget_burn.99{family=price} < 14.4x", nil, time.Second, slo.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, "fault: "+c.expr)
			f.Mark(measure.Steady, 0)
			f.Mark(measure.Fault, 1)
			f.ops(2, 2+c.length, 1000, c.edit)
			f.Finish(oracle.Findings{}, 2+c.length)
			row := Evaluate(f.Recorder, Input{}).SLOs[0]
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed, c.observed)
		})
	}
}

// A machine that was late may have caused timeouts: as for errors, a miss of the budget is then
// unknown.
func TestBudgetBurnOfADisturbedMachine(t *testing.T) {
	m := healthy()
	m.op = func(p measure.Phase, _ int, op *targets.Operation) {
		if p == measure.Fault {
			failing(0, op)
		}
	}
	m.input.Reasons.Disturbed = "late"
	require.Equal(t, slo.Unknown, m.run(t, "fault: budget_burn.99 < 2x").SLOs[0].Outcome)
}

// With as many samples as it needs, all of them good, an objective passes; with one fewer it does
// not.
func TestNeedsIsExact(t *testing.T) {
	for _, expr := range []string{"p50 < 1s", "p95 < 1s", "p99 < 1s", "p999 < 1s", "budget_burn.99 < 1x", "budget_burn.99 < 5x", "budget_burn.999 < 14.4x"} {
		o := parsed(t, expr)
		least := o.LeastSamples()
		for n, want := range map[int64]slo.Outcome{least: slo.Pass, least - 1: slo.Unknown} {
			f := newFeed(t, "steady: "+expr)
			f.Mark(measure.Steady, 0)
			f.ops(2, 2+time.Duration(n)*ms, 1000, nil)
			f.Finish(oracle.Findings{}, time.Hour)
			require.Equal(t, want, Evaluate(f.Recorder, Input{}).SLOs[0].Outcome, "%s with %d", expr, n)
		}
	}
}
