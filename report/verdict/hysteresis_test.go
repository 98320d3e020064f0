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

// window plays a recovery of the given length at 100 operations/s: share says how many end ok at a
// time, and load what the source saw of each.
func window(length time.Duration, share func(at time.Duration) float64, load func(*targets.Load)) measure.Aftermath {
	rec := measure.NewRecorder(measure.RecorderConfig{})
	rec.Mark(measure.Recovery, time.Minute)
	n := int(length.Seconds() * 100)
	for i := range n {
		at := time.Duration(i) * 10 * time.Millisecond
		op := targets.Operation{Due: time.Minute + at, Reply: targets.Reply{Tier: targets.TierL2}}
		op.Seq, op.Returned = uint64(i), op.Due
		if float64(i%100)/100 >= share(at) {
			op.Outcome = targets.Failed
		}
		rec.Observe(op)
		l := targets.Load{Arrived: op.Due, Done: op.Due + 60*time.Millisecond, Queued: 10 * time.Millisecond, Attempt: 1}
		if load != nil {
			load(&l)
		}
		rec.Load(l)
	}
	rec.Finish(oracle.Findings{}, time.Minute+length)
	a, _ := rec.Results(measure.Circumstances{}).AfterHeal()
	return a
}

// ended names the state of a window in which recovery was judged as known.
func ended(a measure.Aftermath, known slo.Range) report.RecoverySummary {
	a.Recovery = slo.Recovery{Known: known, Why: "no operation"}
	return stateOf(a)
}

func TestRecoveredRecoveringStuck(t *testing.T) {
	badToTheEnd, good := slo.Range{Low: 5, High: math.Inf(1)}, slo.Exactly(1)
	flat := func(time.Duration) float64 { return 0.2 }
	up := func(at time.Duration) float64 { return 0.1 + at.Seconds()/12 }
	for name, c := range map[string]struct {
		a     measure.Aftermath
		known slo.Range
		want  report.RecoveryState
	}{
		"recovered":            {window(8*time.Second, flat, nil), good, report.Recovered},
		"stuck":                {window(8*time.Second, flat, nil), badToTheEnd, report.Stuck},
		"falling is stuck too": {window(8*time.Second, func(at time.Duration) float64 { return 0.8 - at.Seconds()/12 }, nil), badToTheEnd, report.Stuck},
		"recovering":           {window(8*time.Second, up, nil), badToTheEnd, report.Recovering},
		"too short":            {window(time.Second, flat, nil), badToTheEnd, report.RecoveryUnknown},
		"nothing":              {window(8*time.Second, flat, nil), slo.Nothing(), report.RecoveryUnknown},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, ended(c.a, c.known).State) })
	}
}

// With no trend at all, chance must not look like one: of many flat windows at most a few are taken
// for rising.
func TestChanceIsNoTrend(t *testing.T) {
	taken := 0
	for k1 := int64(0); k1 <= 400; k1++ {
		if grew(k1, 1000, k1, 1000) {
			taken++
		}
	}
	require.Zero(t, taken)
	require.False(t, grew(200, 1000, 230, 1000), "1.6 standard deviations are no trend")
	require.True(t, grew(200, 1000, 300, 1000))
	require.False(t, grew(0, 0, 5, 10), "without samples there is nothing to compare")
	require.False(t, grew(300, 1000, 200, 1000))
}

func TestSustainingEffectsAreNamed(t *testing.T) {
	flat := func(time.Duration) float64 { return 0.2 }
	badToTheEnd := slo.Range{Low: 5, High: math.Inf(1)}
	for effect, load := range map[string]func(*targets.Load){
		"abandoned fills": func(l *targets.Load) { l.Abandoned = true },
		"retries":         func(l *targets.Load) { l.Attempt = 2 },
		"queueing":        func(l *targets.Load) { l.Queued = 55 * time.Millisecond },
	} {
		s := ended(window(8*time.Second, flat, load), badToTheEnd)
		require.Len(t, s.SustainedBy, 1, effect)
		require.Contains(t, s.SustainedBy[0], effect)
	}
	require.Empty(t, ended(window(8*time.Second, flat, nil), badToTheEnd).SustainedBy)
}
