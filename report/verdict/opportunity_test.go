package verdict

import (
	"fmt"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// possible gives every objective on a metric that may be written: each group, comparison, and set
// of one label or none, with limits that are easy to keep and hard to keep.
func possible(t *testing.T, m *slo.Metric) []slo.PhaseObjective {
	t.Helper()
	limits := map[slo.Unit][]string{
		slo.UnitCount: {"0", "1000000"}, slo.UnitDuration: {"1us", "100s"}, slo.UnitRatio: {"0%", "50%", "100%"},
		slo.UnitRate: {"0/s", "1000000/s"}, slo.UnitBudget: {"0x", "1x", "100x"},
		slo.UnitBytes: {"0B", "1GiB"}, slo.UnitMoney: {"0", "0.001", "1000000"},
	}[m.Unit]
	require.NotEmpty(t, limits, "no limits for metrics in %s", m.Unit)
	labels := []string{""}
	for _, l := range m.Labels {
		labels = append(labels, "{"+l+"="+elsewhere[l]+"}")
	}
	var out []slo.PhaseObjective
	for _, group := range m.Groups {
		for _, op := range []slo.Op{slo.Less, slo.LessEqual, slo.Greater, slo.GreaterEqual, slo.Equal} {
			for _, l := range labels {
				for _, limit := range limits {
					o, err := slo.ParseObjective(fmt.Sprintf("%s%s %s %s", m.Name, l, op, limit))
					if err != nil {
						continue // an equal duration, and the like
					}
					require.Nil(t, o.CheckGroup(group))
					out = append(out, slo.PhaseObjective{Group: group, Objective: o})
				}
			}
		}
	}
	require.NotEmpty(t, out, "no objective on %s can be written", m.Name)
	return out
}

// elsewhere gives for each label a value that nothing in these tests has.
var elsewhere = map[string]string{
	"endpoint": "delete basket", "family": "basket", "class": "eventual", "tenant": "t404", "region": "mars",
	"tier": targets.TierL2, "kind": "delete",
}

// samplesSuffice are the metrics for which whatever was counted could have shown a miss by itself.
// All others, and those to come, need an opportunity that the oracle or the source noted.
var samplesSuffice = map[string]bool{
	"p50": true, "p95": true, "p99": true, "p999": true, "max": true, "errors": true, "goodput": true,
	"hit_ratio": true, "miss_penalty": true, "source_qps.mean": true, "source_qps.peak": true,
	"redundant_loads": true, "recovery_time": true, "unreadable": true,
	"budget_burn.99": true, "budget_burn.999": true, "budget_burn.9995": true, "budget_burn.9999": true,
}

// everyPossible gives the objectives of every metric that can be measured.
func everyPossible(t *testing.T) []slo.PhaseObjective {
	t.Helper()
	var out []slo.PhaseObjective
	for _, m := range slo.Metrics() {
		out = append(out, possible(t, m)...)
	}
	return out
}

func TestNoObjectivePassesWithoutSamples(t *testing.T) {
	every := everyPossible(t)
	for reached := measure.Warmup; reached <= measure.Audit; reached++ {
		r := measure.NewRecorder(measure.RecorderConfig{Objectives: every})
		for p := measure.Steady; p <= reached; p++ {
			r.Mark(p, time.Duration(p)*2*time.Second)
		}
		r.Finish(oracle.Findings{}, time.Duration(reached+1)*2*time.Second)
		for _, g := range every {
			requireUnknown(t, r, g)
		}
		require.NotEqual(t, slo.Pass, Evaluate(r, Input{Loads: slo.LoadDetail{Counted: true, PerKey: true, PerLabel: true, PerSecond: true, Width: true}}).Outcome)
	}
}

// Plenty was counted, and nothing of it could have shown a miss: or it was of other labels.
func TestNoObjectivePassesWithoutOpportunity(t *testing.T) {
	every := everyPossible(t)
	r := measure.NewRecorder(measure.RecorderConfig{Objectives: every, Classes: map[string]string{"product": "bounded"}})
	f := feed{Recorder: r}
	for p := measure.Warmup; p < measure.Audit; p++ {
		from := time.Duration(p) * 2 * time.Second
		if p > measure.Warmup {
			f.Mark(p, from)
		}
		f.ops(from, from+2*time.Second, 1000, func(i int, op *targets.Operation) {
			if i%50 == 0 {
				op.Reply.Tier = targets.TierSource
				f.Load(targets.Load{Key: op.Key, Region: "eu", Arrived: op.Due, Done: op.Returned, Version: 1})
			}
			f.Judged(oracle.Judgement{Op: *op, Answer: oracle.Fresh})
		})
	}
	f.Mark(measure.Audit, 8*time.Second)
	f.Finish(oracle.Findings{
		Writes: 9, Acknowledged: 9,
		Lags: []oracle.Lag{{Family: unique.Make("product"), Region: unique.Make("eu"), Committed: 3 * time.Second, Lag: 0}, {Family: unique.Make("product"), Region: unique.Make("eu"), Committed: 5 * time.Second, Lag: 0}, {Family: unique.Make("product"), Region: unique.Make("eu"), Committed: 7 * time.Second, Lag: 0}},
	}, 10*time.Second)
	judged := 0
	for _, g := range every {
		o := g.Objective
		switch {
		case samplesSuffice[o.Metric] && len(o.Labels) == 0:
			continue
		case o.Metric == "hit_ratio" && o.Labels["tier"] != "":
			continue // l2 was asked by every read that missed l1
		}
		judged++
		requireUnknown(t, r, g)
	}
	require.Greater(t, judged, len(every)/2)
}

// requireUnknown judges one objective as if it were the only one.
func requireUnknown(t *testing.T, r *measure.Recorder, g slo.PhaseObjective) {
	t.Helper()
	in := Input{Loads: slo.LoadDetail{Counted: true, PerKey: true, PerLabel: true, PerSecond: true, Width: true}}
	row := judge(r.Results(in.circumstances()), g.Group, g.Objective)
	require.NotEqual(t, slo.Pass, row.Outcome, "%s: %s, observed %q", g.Group, row.Expr, row.Observed)
	if row.Outcome == slo.Unknown {
		require.NotEmpty(t, row.Why, "%s: %s", g.Group, row.Expr)
	}
}
