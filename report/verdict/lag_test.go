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

// commitsAndDrops feeds n superseding commits in the fault phase, each dropped after lag by eu-0,
// and by us-0 unless untold says not.
func commitsAndDrops(f *feed, n int, lag time.Duration, untold func(int) bool) {
	for i := range n {
		at := 3*time.Second + time.Duration(i)*ms
		key := targets.Key{Family: "product", ID: string(rune('a' + i%26))}
		v := uint64(2 + i/26)
		f.Commit(targets.Commit{Key: key, Version: v, At: at})
		f.Invalidated(targets.Invalidated{Key: key, Tier: targets.TierL1, Region: "eu", Worker: "eu-0", Version: v, At: at + lag})
		if !untold(i) {
			f.Invalidated(targets.Invalidated{Key: key, Tier: targets.TierL1, Region: "us", Worker: "us-0", Version: v, At: at + lag/2})
		}
	}
	f.Commit(targets.Commit{At: 9 * time.Second}) // a seal is no commit
}

func TestObjectivesOnInsideLag(t *testing.T) {
	never := func(int) bool { return false }
	for _, c := range []struct {
		name   string
		n      int
		untold func(int) bool
		expr   string
		want   slo.Outcome
		why    string
	}{
		{"kept", 400, never, "invalidation_lag.p99{tier=l1} < 50ms", slo.Pass, ""},
		{"missed", 400, never, "invalidation_lag.p99{tier=l1} < 20ms", slo.Fail, ""},
		{"of the family", 400, never, "invalidation_lag.p99{tier=l1, family=product} < 50ms", slo.Pass, ""},
		{"of another family", 400, never, "invalidation_lag.p99{tier=l1, family=price} < 50ms", slo.Unknown, "no commit of these labels superseded anything"},
		{"of a silent tier", 400, never, "invalidation_lag.p99{tier=l2} < 50ms", slo.Unknown, "no l2 reported when it dropped superseded copies"},
		{"too few", 200, never, "invalidation_lag.p99{tier=l1} < 50ms", slo.Unknown, "200 samples are too few"},
		{"too few to pass, enough to fail", 200, never, "invalidation_lag.p99{tier=l1} < 20ms", slo.Fail, ""},
		{"too few for three nines", 400, never, "invalidation_lag.p999{tier=l1} < 50ms", slo.Unknown, "needs 2,995"},
		{"the longest", 400, never, "invalidation_lag.max{tier=l1} <= 40ms", slo.Pass, ""},
		{"some never reported", 400, func(i int) bool { return i >= 360 }, "invalidation_lag.p99{tier=l1} < 50ms", slo.Unknown, "l1 of us-0 did not report product:"},
		{"one never reported", 400, func(i int) bool { return i == 399 }, "invalidation_lag.max{tier=l1} < 50ms", slo.Unknown, "1 of 400 commits"},
		{"one never reported, and too long anyway", 400, func(i int) bool { return i == 399 }, "invalidation_lag.max{tier=l1} < 20ms", slo.Fail, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, "fault: "+c.expr)
			f.Mark(measure.Steady, time.Second)
			f.Mark(measure.Fault, 3*time.Second)
			commitsAndDrops(f, c.n, 40*ms, c.untold)
			f.Mark(measure.Recovery, 6*time.Second)
			f.Finish(oracle.Findings{}, 10*time.Second)
			s := Evaluate(f.Recorder, Input{})
			require.Equal(t, c.want, s.SLOs[0].Outcome, "%+v", s.SLOs[0])
			require.Contains(t, s.SLOs[0].Why, c.why)
			require.Contains(t, s.Phases[measure.Fault].InvalidationLagTierMS, "l1")
			require.EqualValues(t, c.n, s.Phases[measure.Fault].InvalidationLagTierMS["l1"].Commits)
			require.Empty(t, s.Phases[measure.Steady].InvalidationLagTierMS)
		})
	}
}

func TestTailOfInsideLagIsNullWhereUnknown(t *testing.T) {
	f := newFeed(t)
	f.Mark(measure.Steady, time.Second)
	f.Mark(measure.Fault, 3*time.Second)
	commitsAndDrops(f, 400, 40*ms, func(i int) bool { return i == 399 })
	f.Finish(oracle.Findings{}, 10*time.Second)
	l := Evaluate(f.Recorder, Input{}).Phases[measure.Fault].InvalidationLagTierMS["l1"]
	require.EqualValues(t, 1, l.Untold)
	require.Nil(t, l.Max)
	require.InDelta(t, 40, *l.P99, 0.001)
}
