package measure

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// drillWithRecovery has 3 s steady, 1 s fault, and a heal at 4 s, all at 2,000/s: a bucket of
// recovery is half a second.
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
	f.Finish(oracle.Findings{}, 4*time.Second+length)
	return f
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
	require.Equal(t, slo.Exactly(0), known)
	f = drillWithRecovery(t, 3*time.Second, slowWrites, "steady: p99{kind=write} < 120ms")
	known, evidence, _ := f.agg.recovered.assess(3 * time.Second)
	require.Equal(t, math.Inf(1), known.High)
	require.Contains(t, evidence, "p99{kind=write} < 120ms")
}

// A bucket in which everything could have been bad unnoticed proves no recovery; a bad bucket
// behind it says all the same when recovery can't have been.
func TestRecoveryNeedsOperationsToTell(t *testing.T) {
	steady := func(r *recovery) {
		for i := range 3000 {
			due := time.Duration(i) * ms
			r.observe(&targets.Operation{Due: due, Returned: due + ms}, &slo.Labels{Family: "product", Kind: "read"}, Steady, 0)
		}
	}
	// play has 1,000 operations a second for 4 s; every rare-th is of family price, from and to
	// given times.
	play := func(r *recovery, rare int, from, to time.Duration, bad func(time.Duration) bool) {
		for i := range 4000 {
			due := time.Duration(i) * ms
			op := &targets.Operation{Due: due, Returned: due + ms}
			if bad != nil && bad(due) {
				op.Outcome = targets.Failed
			}
			at := slo.Labels{Family: "product", Kind: "read"}
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
		want      slo.Range
		why       string
	}{
		{"enough everywhere", "p99{family=product, kind=read} < 120ms", func(r *recovery) { play(r, 3, 0, 4*time.Second, nil) }, slo.Exactly(0), ""},
		{"labels without operations", "p99{family=price} < 120ms", func(r *recovery) { play(r, 0, 0, 0, nil) }, slo.Range{Low: 0, High: math.Inf(1)},
			"too few operations of p99{family=price} < 120ms to tell good from bad: 0 in 0s to 1s after the heal"},
		{"labels without operations in a part", "p99{family=price} < 120ms", func(r *recovery) { play(r, 3, 0, 2*time.Second, nil) }, slo.Range{Low: 0, High: math.Inf(1)},
			"0 in 2s to 3s after the heal"},
		{"hardly any of a median", "p50{family=price} < 120ms", func(r *recovery) { play(r, 200, 0, 4*time.Second, nil) }, slo.Range{Low: 0, High: math.Inf(1)}, "5 in 0s to 1s"},
		{"just enough of a median", "p50{family=price} < 120ms", func(r *recovery) { play(r, 100, 0, 4*time.Second, nil) }, slo.Exactly(0), ""},
		{"too few up to the last bad bucket only", "p50{family=price} < 120ms", func(r *recovery) { play(r, 10, 2*time.Second, 4*time.Second, early) }, slo.Range{Low: 1, High: 2}, ""},
		{"bad, and too few behind it", "p50{family=price} < 120ms", func(r *recovery) { play(r, 10, 0, 2*time.Second, early) }, slo.Range{Low: 1, High: math.Inf(1)}, "0 in 2s to 3s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecovery(grouped(t, "steady: "+c.objective))
			steady(r)
			for i := range 300 { // so that the objective itself is what is tolerated
				r.observe(&targets.Operation{Due: 1, Returned: 2}, &slo.Labels{Family: "price", Kind: "read"}, Steady, time.Duration(i))
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
	require.Equal(t, slo.Exactly(0), known)
	require.Empty(t, why)
	require.Len(t, drillWithRecovery(t, 50*ms, nil).agg.recovered.buckets(50*ms), 1, "unless there is none before it")
}

// Of services that are as good after the heal as before, hardly any is found to relapse.
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
			r.observe(op(time.Duration(i)*ms/2), &slo.Labels{}, Steady, 0)
		}
		for i := range 10000 {
			r.observe(op(time.Duration(i)*ms/2), &slo.Labels{}, Recovery, 0)
		}
		if known, _, _ := r.assess(5 * time.Second); known != slo.Exactly(0) {
			late++
		}
	}
	require.LessOrEqual(t, late, runs/20)
}

func TestRecoveryMemoryIsPerTimeNotPerOperation(t *testing.T) {
	r := newRecovery(nil)
	for i := range 100_000 {
		due := time.Duration(i) * 10 * time.Microsecond
		r.observe(&targets.Operation{Due: due, Returned: due}, &slo.Labels{}, Recovery, 0)
	}
	require.Len(t, r.slices, 10)
	require.Len(t, r.buckets(time.Second), 10, "100,000/s: a bucket is one grain")
}

// A burst in which the machine itself was late is no proof against the target, nor for it.
func TestADisturbedBucketProvesNothing(t *testing.T) {
	objective := parsed(t, "p99 < 120ms")
	burst := func(late time.Duration, excuse bool) (slo.Range, string) {
		r := newRecovery([]slo.PhaseObjective{{Group: slo.GroupSteady, Objective: objective}})
		r.excuse = excuse
		at := slo.Labels{}
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
	require.Equal(t, slo.Range{Low: 1, High: 2}, known, "the target's own: proven")
	known, why := burst(50*ms, true)
	require.Equal(t, slo.Range{Low: 0, High: 2}, known)
	require.Contains(t, why, "disturbed from 1s to 2s after the heal")
	known, _ = burst(50*ms, false)
	require.Equal(t, slo.Range{Low: 1, High: 2}, known, "waiting for a worker is waiting for the target")
}

// A change that was accepted was answered, although it promises nothing.
func TestAcceptedIsNoError(t *testing.T) {
	op := targets.Operation{Request: targets.Request{Kind: targets.Write}, Outcome: targets.Accepted, Returned: ms}
	c := &cell{}
	c.observe(&op, &selection{})
	require.Equal(t, [4]int64{1, 1, 0, 0}, [4]int64{c.ended, c.ok, c.failed, c.unknown})
	require.False(t, c.firstBad.set)
	require.False(t, (&criterion{}).bad(&op))
	var tr trend
	tr.observe(&op, 0)
	require.EqualValues(t, 1, tr.spans[0].OK)
}
