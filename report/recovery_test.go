package report

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cachedrill/cachedrill/targets"
	"github.com/stretchr/testify/require"
)

// drillWithRecovery has 3 s steady, 1 s fault, and a heal at 4 s, all at 2,000/s: a bucket of recovery
// is half a second.
func drillWithRecovery(t *testing.T, length time.Duration, edit func(sinceHeal time.Duration, i int, op *targets.Operation), objectives ...string) *feed {
	t.Helper()
	f := newFeed(t, objectives...)
	f.Mark(Steady, 0)
	f.Mark(Fault, 3*time.Second)
	f.ops(0, 3*time.Second, 2000, nil)
	f.ops(3*time.Second, 4*time.Second, 2000, failing)
	f.Mark(Recovery, 4*time.Second)
	f.Mark(Audit, 4*time.Second+length)
	f.ops(4*time.Second, 4*time.Second+length, 2000, func(i int, op *targets.Operation) {
		if edit != nil {
			edit(op.Due-4*time.Second, i, op)
		}
	})
	f.finish(findings{}, 4*time.Second+length)
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
		want   Outcome
		known  Range
	}{
		{"good at once", 4 * time.Second, nil, "< 3s", Pass, Exactly(0)},
		{"slow for 1.2s", 4 * time.Second, slowUntil(1200 * ms), "< 3s", Pass, Range{1, 1.5}},
		{"slow for 1.2s, limit within the last bad bucket", 4 * time.Second, slowUntil(1200 * ms), "< 1.2s", Unknown, Range{1, 1.5}},
		{"slow for 1.2s, limit before it", 4 * time.Second, slowUntil(1200 * ms), "< 1s", Fail, Range{1, 1.5}},
		{"never", 4 * time.Second, slowUntil(time.Hour), "< 3s", Fail, Range{3.5, math.Inf(1)}},
		{"never, and the window ends before the limit", 2 * time.Second, slowUntil(time.Hour), "< 3s", Unknown, Range{1.5, math.Inf(1)}},
		{"good for too short at the end", 4 * time.Second, slowUntil(3200 * ms), "< 4s", Unknown, Range{3, math.Inf(1)}},
		{"good for just long enough", 4 * time.Second, slowUntil(2900 * ms), "< 4s", Pass, Range{2.5, 3}},
		{"a window shorter than the hold", 800 * ms, nil, "< 3s", Unknown, Range{0, math.Inf(1)}},
		{"good, then bad again", 6 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at >= 3*time.Second && at < 3500*ms {
				failing(i, op)
			}
		}, "< 3s", Fail, Range{3, 3.5}},
		{"1% slow is what a p99 allows", 4 * time.Second, func(_ time.Duration, i int, op *targets.Operation) {
			if i%100 == 0 {
				taking(200*ms)(i, op)
			}
		}, "< 3s", Pass, Exactly(0)},
		{"5% slow is not", 4 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at < time.Second && i%20 == 0 {
				taking(200*ms)(i, op)
			}
		}, "< 3s", Pass, Range{0.5, 1}},
		{"a single failure among thousands is no relapse", 4 * time.Second, func(_ time.Duration, i int, op *targets.Operation) {
			if i == 6000 {
				failing(i, op)
			}
		}, "< 1s", Pass, Exactly(0)},
		{"fast failures are not recovery", 4 * time.Second, func(at time.Duration, i int, op *targets.Operation) {
			if at < 2*time.Second {
				failing(i, op)
			}
		}, "< 3s", Pass, Range{1.5, 2}},
		{"no operation at all", 0, nil, "< 3s", Unknown, Nothing()},
	} {
		t.Run(c.name, func(t *testing.T) {
			expr := "recovery_time " + c.limit
			f := drillWithRecovery(t, c.length, c.edit, steady, "recovery: "+expr)
			known, _, why := f.agg.recovered.assess(c.length)
			if math.IsNaN(c.known.Low) {
				require.True(t, math.IsNaN(known.Low))
			} else {
				require.Equal(t, c.known, known)
			}
			s := Evaluate(f.Recorder, Drill{Faults: []FaultRun{{Name: "f", Injected: 3 * time.Second, Evidence: "seen"}}})
			row := rowOf(t, s, expr)
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			if row.Outcome == Unknown {
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

// A criterion looks only at the operations of its labels.
func TestRecoveryHonoursLabels(t *testing.T) {
	slowWrites := func(_ time.Duration, i int, op *targets.Operation) {
		if i%2 == 0 {
			op.Kind = targets.Write
			taking(time.Second)(i, op)
		}
	}
	f := drillWithRecovery(t, 3*time.Second, slowWrites, "steady: p99{kind=read} < 120ms")
	known, _, _ := f.agg.recovered.assess(3 * time.Second)
	require.Equal(t, Exactly(0), known)
	f = drillWithRecovery(t, 3*time.Second, slowWrites, "steady: p99{kind=write} < 120ms")
	known, evidence, _ := f.agg.recovered.assess(3 * time.Second)
	require.Equal(t, math.Inf(1), known.High)
	require.Contains(t, evidence, "p99{kind=write} < 120ms")
}

// A bucket in which everything could have been bad unnoticed proves no recovery; a bad bucket behind it
// says all the same when recovery can't have been.
func TestRecoveryNeedsOperationsToTell(t *testing.T) {
	steady := func(r *recovery) {
		for i := range 3000 {
			due := time.Duration(i) * ms
			r.observe(&targets.Operation{Due: due, Returned: due + ms}, &Labels{Family: "product", Kind: "read"}, Steady, 0)
		}
	}
	// play has 1,000 operations a second for 4 s; every rare-th is of family price, from and to given times.
	play := func(r *recovery, rare int, from, to time.Duration, bad func(time.Duration) bool) {
		for i := range 4000 {
			due := time.Duration(i) * ms
			op := &targets.Operation{Due: due, Returned: due + ms}
			if bad != nil && bad(due) {
				op.Outcome = targets.Failed
			}
			at := Labels{Family: "product", Kind: "read"}
			if rare > 0 && i%rare == 0 && due >= from && due < to {
				at.Family = "price"
			}
			r.observe(op, &at, Recovery, 0)
		}
	}
	early := func(at time.Duration) bool { return at < 1500*ms }
	for _, c := range []struct {
		name      string
		objective string
		play      func(*recovery)
		want      Range
		why       string
	}{
		{"enough everywhere", "p99{family=product, kind=read} < 120ms", func(r *recovery) { play(r, 3, 0, 4*time.Second, nil) }, Exactly(0), ""},
		{"labels without operations", "p99{family=price} < 120ms", func(r *recovery) { play(r, 0, 0, 0, nil) }, Range{0, inf},
			"too few operations of p99{family=price} < 120ms to tell good from bad: 0 in 0s to 1s after the heal"},
		{"labels without operations in a part", "p99{family=price} < 120ms", func(r *recovery) { play(r, 3, 0, 2*time.Second, nil) }, Range{0, inf},
			"0 in 2s to 3s after the heal"},
		{"hardly any of a median", "p50{family=price} < 120ms", func(r *recovery) { play(r, 200, 0, 4*time.Second, nil) }, Range{0, inf}, "5 in 0s to 1s"},
		{"just enough of a median", "p50{family=price} < 120ms", func(r *recovery) { play(r, 100, 0, 4*time.Second, nil) }, Exactly(0), ""},
		{"too few up to the last bad bucket only", "p50{family=price} < 120ms", func(r *recovery) { play(r, 10, 2*time.Second, 4*time.Second, early) }, Range{1, 2}, ""},
		{"bad, and too few behind it", "p50{family=price} < 120ms", func(r *recovery) { play(r, 10, 0, 2*time.Second, early) }, Range{1, inf}, "0 in 2s to 3s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecovery(grouped(t, "steady: "+c.objective))
			steady(r)
			for i := range 300 { // so that the objective itself is what is tolerated
				r.observe(&targets.Operation{Due: 1, Returned: 2}, &Labels{Family: "price", Kind: "read"}, Steady, time.Duration(i))
			}
			c.play(r)
			known, _, why := r.assess(4 * time.Second)
			require.Equal(t, c.want, known)
			if c.why == "" {
				require.Empty(t, why)
			}
			require.Contains(t, why, c.why)
		})
	}
}

// What is left over at the end of the window is judged together with the bucket before it.
func TestAShortLastBucketIsNoBucket(t *testing.T) {
	f := drillWithRecovery(t, 3050*ms, nil, "steady: p99{family=product, kind=read} < 120ms")
	buckets := f.agg.recovered.buckets(3050 * ms)
	require.Len(t, buckets, 6)
	require.Equal(t, 2500*ms, buckets[5].from)
	require.Equal(t, 3050*ms, buckets[5].to)
	require.EqualValues(t, 1100, buckets[5].by[0].n)
	known, _, why := f.agg.recovered.assess(3050 * ms)
	require.Equal(t, Exactly(0), known)
	require.Empty(t, why)
	require.Len(t, drillWithRecovery(t, 50*ms, nil).agg.recovered.buckets(50*ms), 1, "unless there is none before it")
}

// Of services that are as good after the heal as before, hardly any is told that it relapsed.
func TestRecoveryRarelyAccusesAServiceThatIsWell(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	late := 0
	const runs = 60
	for range runs {
		r := newRecovery(grouped(t, "steady: p99 < 120ms", "steady: errors < 1%"))
		op := func(due time.Duration) *targets.Operation {
			o := &targets.Operation{Due: due, Returned: due + ms}
			if rng.Float64() < 0.004 {
				o.Returned = due + 300*ms
			}
			if rng.Float64() < 0.002 {
				o.Outcome = targets.Failed
			}
			return o
		}
		for i := range 6000 {
			r.observe(op(time.Duration(i)*ms/2), &Labels{}, Steady, 0)
		}
		for i := range 10000 {
			r.observe(op(time.Duration(i)*ms/2), &Labels{}, Recovery, 0)
		}
		if known, _, _ := r.assess(5 * time.Second); known != Exactly(0) {
			late++
		}
	}
	require.LessOrEqual(t, late, runs/20)
}

func TestRecoveryMemoryIsPerTimeNotPerOperation(t *testing.T) {
	r := newRecovery(nil)
	for i := range 100_000 {
		due := time.Duration(i) * 10 * time.Microsecond
		r.observe(&targets.Operation{Due: due, Returned: due}, &Labels{}, Recovery, 0)
	}
	require.Len(t, r.slices, 10)
	require.Len(t, r.buckets(time.Second), 10, "100,000/s: a bucket is one grain")
}

func rowOf(t *testing.T, s Scenario, expr string) SLO {
	t.Helper()
	for _, r := range s.SLOs {
		if r.Expr == expr {
			return r
		}
	}
	require.Fail(t, "no such objective", expr)
	return SLO{}
}

// A burst in which the machine itself was late is no proof against the target, nor for it.
func TestADisturbedBucketProvesNothing(t *testing.T) {
	objective := parsed(t, "p99 < 120ms")
	burst := func(late time.Duration, excuse bool) (Range, string) {
		r := newRecovery([]Grouped{{GroupSteady, objective}})
		r.excuse = excuse
		at := Labels{}
		for i := range 4000 {
			due := time.Duration(i) * ms
			op := targets.Operation{Due: due, Sent: due, Returned: due + 5*ms}
			if i >= 1500 && i < 1600 {
				op.Sent += late
				op.Returned += 200 * ms
			}
			r.observe(&op, &at, Steady, 0)
			r.observe(&op, &at, Recovery, 0)
		}
		r.steady[0].bad = 0
		known, _, why := r.assess(4 * time.Second)
		return known, why
	}
	known, _ := burst(0, true)
	require.Equal(t, Range{1, 2}, known, "the target's own: proven")
	known, why := burst(50*ms, true)
	require.Equal(t, Range{0, 2}, known)
	require.Contains(t, why, "disturbed from 1s to 2s after the heal")
	known, _ = burst(50*ms, false)
	require.Equal(t, Range{1, 2}, known, "waiting for a worker is waiting for the target")
}
