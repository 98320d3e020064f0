package report

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cachedrill/cachedrill/targets"
	"github.com/stretchr/testify/require"
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
		want     Outcome
		observed string
	}{
		{"none bad", "budget_burn.999 < 14.4x", nil, time.Second, Pass, "0x (0 of 1,000 operations, 0.1% allowed)"},
		{"none bad of too few", "budget_burn.999 < 14.4x", nil, 200 * time.Millisecond, Unknown, "0x (0 of 200 operations, 0.1% allowed)"},
		{"enough, just", "budget_burn.999 < 14.4x", nil, 207 * time.Millisecond, Pass, ""},
		{"not quite", "budget_burn.999 < 14.4x", nil, 206 * time.Millisecond, Unknown, ""},
		{"2% bad of 0.1%", "budget_burn.999 < 14.4x", everyNth(50, targets.Failed), 5 * time.Second, Fail, "20x (100 of 5,000 operations, 0.1% allowed)"},
		{"the same of 1%", "budget_burn.99 < 14.4x", everyNth(50, targets.Failed), 5 * time.Second, Pass, "2x (100 of 5,000 operations, 1% allowed)"},
		{"unknown writes are not ok", "budget_burn.999 < 14.4x", everyNth(50, targets.Unknown), 5 * time.Second, Fail, "20x"},
		{"near the limit", "budget_burn.99 < 2x", everyNth(50, targets.Failed), 5 * time.Second, Unknown, "2x"},
		{"all bad", "budget_burn.99 < 14.4x", everyNth(1, targets.Failed), time.Second, Fail, "100x"},
		{"lower limit", "budget_burn.99 > 14.4x", everyNth(1, targets.Failed), time.Second, Pass, "100x"},
		{"of others", "budget_burn.99{family=price} < 14.4x", nil, time.Second, Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, "fault: "+c.expr)
			f.Mark(Steady, 0)
			f.Mark(Fault, 1)
			f.ops(2, 2+c.length, 1000, c.edit)
			f.finish(findings{}, 2+c.length)
			row := Evaluate(f.Recorder, Drill{}).SLOs[0]
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed, c.observed)
		})
	}
}

// A machine that was late may have caused timeouts: as for errors, a miss of the budget is then unknown.
func TestBudgetBurnOfADisturbedMachine(t *testing.T) {
	m := healthy()
	m.op = func(p Phase, _ int, op *targets.Operation) {
		if p == Fault {
			failing(0, op)
		}
	}
	m.drill.Disturbed = "late"
	require.Equal(t, Unknown, m.run(t, "fault: budget_burn.99 < 2x").SLOs[0].Outcome)
}

// The bounds hold in 95 of 100 repetitions, each way.
func TestShareBoundsCover(t *testing.T) {
	const seed, repeats = 7, 2000
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, truth := range []float64{0.001, 0.02, 0.5} {
		for _, n := range []int64{50, 400} {
			over, under := 0, 0
			for range repeats {
				k := int64(0)
				for range n {
					if rnd.Float64() < truth {
						k++
					}
				}
				r := shareBounds(k, n)
				if r.Low > truth {
					over++
				}
				if r.High < truth {
					under++
				}
			}
			// 5% of 2,000 is 100, with a standard deviation of 10.
			require.Less(t, over, 140, "seed %d, %g of %d", seed, truth, n)
			require.Less(t, under, 140, "seed %d, %g of %d", seed, truth, n)
		}
	}
	require.Equal(t, Range{0, 1 - 0.05}, Range{0, shareBounds(0, 1).High})
	require.InDelta(t, 0.05, shareBounds(1, 1).Low, 1e-9)
	require.Equal(t, 1.0, shareBounds(1, 1).High)
}

func TestNeeds(t *testing.T) {
	for expr, want := range map[string]struct {
		least int64
		of    Sample
	}{
		"p50 < 1s": {5, SampleOperation}, "p95 < 1s": {59, SampleOperation}, "p99 < 1s": {299, SampleOperation}, "p999 <= 1s": {2995, SampleOperation},
		"p99 > 1s": {1, SampleOperation}, "p50 > 1s": {5, SampleOperation}, "max < 1s": {1, SampleOperation}, "errors < 1%": {1, SampleOperation},
		"staleness.p99 < 1s": {299, SampleRead}, "stale < 1%": {1, SampleRead}, "source_qps.peak < 9/s": {1, SampleRead},
		"invalidation_lag.p99 < 1s": {299, SampleCommit}, "invalidation_lag.p999{tier=l1} < 1s": {2995, SampleCommit}, "invalidation_lag.max < 1s": {1, SampleCommit},
		"budget_burn.999 < 1x": {2995, SampleOperation}, "budget_burn.99 < 1x": {299, SampleOperation}, "budget_burn.999 < 14.4x": {207, SampleOperation},
		"budget_burn.99 > 1x": {1, SampleOperation}, "budget_burn.99 < 100x": {1, SampleOperation}, "budget_burn.99 < 0x": {1, SampleOperation},
		"lost_writes == 0": {0, SampleNone}, "recovery_time < 1s": {0, SampleNone},
	} {
		least, of := parsed(t, expr).Needs()
		require.Equal(t, want.least, least, expr)
		require.Equal(t, want.of, of, expr)
	}
}

// With as many samples as it needs, all of them good, an objective passes; with one fewer it does not.
func TestNeedsIsExact(t *testing.T) {
	for _, expr := range []string{"p50 < 1s", "p95 < 1s", "p99 < 1s", "p999 < 1s", "budget_burn.99 < 1x", "budget_burn.99 < 5x", "budget_burn.999 < 14.4x"} {
		o := parsed(t, expr)
		least, _ := o.Needs()
		for n, want := range map[int64]Outcome{least: Pass, least - 1: Unknown} {
			f := newFeed(t, "steady: "+expr)
			f.Mark(Steady, 0)
			f.ops(2, 2+time.Duration(n)*ms, 1000, nil)
			f.finish(findings{}, time.Hour)
			require.Equal(t, want, Evaluate(f.Recorder, Drill{}).SLOs[0].Outcome, "%s with %d", expr, n)
		}
	}
}
