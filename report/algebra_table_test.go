package report

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/targets"
	"github.com/stretchr/testify/require"
)

var (
	everyOutcome = []Outcome{Pass, Fail, Unknown}
	everyOp      = []Op{Less, LessEqual, Greater, GreaterEqual, Equal}
)

// The limit is 2. Every shape of a range against every comparison.
func TestDecideOverEveryShapeOfRange(t *testing.T) {
	for _, c := range []struct {
		name                      string
		known                     Range
		less, most, more, atLeast Outcome
		equal                     Outcome
	}{
		{"below", Range{0, 1}, Pass, Pass, Fail, Fail, Fail},
		{"exactly below", Exactly(1), Pass, Pass, Fail, Fail, Fail},
		{"up to the limit", Range{1, 2}, Unknown, Pass, Fail, Unknown, Unknown},
		{"the limit", Exactly(2), Fail, Pass, Fail, Pass, Pass},
		{"straddling", Range{1, 3}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"from the limit", Range{2, 3}, Fail, Unknown, Unknown, Pass, Unknown},
		{"above", Range{3, 4}, Fail, Fail, Pass, Pass, Fail},
		{"exactly above", Exactly(3), Fail, Fail, Pass, Pass, Fail},
		{"open from below", Range{1, inf}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"open from the limit", Range{2, inf}, Fail, Unknown, Unknown, Pass, Unknown},
		{"open from above", Range{3, inf}, Fail, Fail, Pass, Pass, Fail},
		{"anything", Range{-inf, inf}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"nothing", Nothing(), Unknown, Unknown, Unknown, Unknown, Unknown},
		{"half of nothing", Range{1, math.NaN()}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"the other half", Range{math.NaN(), 1}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"ends exchanged", Range{1, 0}, Unknown, Unknown, Unknown, Unknown, Unknown},
	} {
		want := map[Op]Outcome{Less: c.less, LessEqual: c.most, Greater: c.more, GreaterEqual: c.atLeast, Equal: c.equal}
		for _, op := range everyOp {
			require.Equal(t, want[op], c.known.Decide(op, 2), "%s %s 2", c.name, op)
			require.Equal(t, Unknown, c.known.Decide(op, math.NaN()), "%s %s nothing", c.name, op)
		}
	}
}

func TestOutcomesTakenBack(t *testing.T) {
	for _, o := range everyOutcome {
		require.Equal(t, o, o.unlessBlind(false))
		require.Equal(t, o, o.unlessExcused(false))
	}
	for _, c := range []struct{ o, blind, excused Outcome }{
		{Pass, Unknown, Pass}, {Fail, Fail, Unknown}, {Unknown, Unknown, Unknown},
	} {
		require.Equal(t, c.blind, c.o.unlessBlind(true), "%s, blind", c.o)
		require.Equal(t, c.excused, c.o.unlessExcused(true), "%s, excused", c.o)
	}
}

// Every combination of up to three objectives, safety or not, in a drill that is void or not, against
// the rule of precedence said the other way round: by what there is, and not step by step.
func TestDrillOutcomeOverEveryTriple(t *testing.T) {
	var every []Verdict
	for _, o := range everyOutcome {
		every = append(every, Verdict{o, false}, Verdict{o, true})
	}
	check := func(vs ...Verdict) {
		n := map[Verdict]int{}
		for _, v := range vs {
			n[v]++
		}
		for _, void := range []bool{false, true} {
			want := Pass
			switch {
			case n[Verdict{Fail, true}] > 0:
				want = Fail
			case void, len(vs) == 0, n[Verdict{Unknown, true}]+n[Verdict{Unknown, false}] > 0:
				want = Unknown
			case n[Verdict{Fail, false}] > 0:
				want = Fail
			}
			require.Equal(t, want, DrillOutcome(void, vs), "void %v, %+v", void, vs)
		}
	}
	check()
	for _, a := range every {
		check(a)
		for _, b := range every {
			check(a, b)
			for _, c := range every {
				check(a, b, c)
			}
		}
	}
}

func TestSuiteOutcomeOverEveryTriple(t *testing.T) {
	for _, a := range everyOutcome {
		require.Equal(t, a, SuiteOutcome([]Outcome{a}))
		for _, b := range everyOutcome {
			for _, c := range everyOutcome {
				want := Pass
				switch n := map[Outcome]bool{a: true, b: true, c: true}; {
				case n[Fail]:
					want = Fail
				case n[Unknown]:
					want = Unknown
				}
				require.Equal(t, want, SuiteOutcome([]Outcome{a, b, c}), "%s %s %s", a, b, c)
			}
		}
	}
}

// possible gives every objective on a metric that may be written: each group, comparison, and set of
// one label or none, with limits that are easy to keep and hard to keep.
func possible(t *testing.T, m MetricDoc) []Grouped {
	t.Helper()
	limits := map[Unit][]string{
		UnitCount: {"0", "1000000"}, UnitDuration: {"1us", "100s"}, UnitRatio: {"0%", "50%", "100%"},
		UnitRate: {"0/s", "1000000/s"}, UnitBudget: {"0x", "1x", "100x"},
		UnitBytes: {"0B", "1GiB"}, UnitMoney: {"0", "0.001", "1000000"},
	}[m.Unit]
	require.NotEmpty(t, limits, "no limits for metrics in %s", m.Unit)
	labels := []string{""}
	for _, l := range m.Labels {
		labels = append(labels, "{"+l+"="+elsewhere[l]+"}")
	}
	var out []Grouped
	for _, group := range m.Groups {
		for _, op := range everyOp {
			for _, l := range labels {
				for _, limit := range limits {
					o, err := ParseObjective(fmt.Sprintf("%s%s %s %s", m.Name, l, op, limit))
					if err != nil {
						continue // an equal duration, and the like
					}
					require.Nil(t, o.CheckGroup(group))
					out = append(out, Grouped{group, o})
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

// samplesSuffice are the metrics for which whatever was counted could have shown a miss by itself. All
// others, and those to come, need an opportunity that the oracle or the source noted.
var samplesSuffice = map[string]bool{
	"p50": true, "p95": true, "p99": true, "p999": true, "max": true, "errors": true, "goodput": true,
	"hit_ratio": true, "miss_penalty": true, "source_qps.mean": true, "source_qps.peak": true,
	"redundant_loads": true, "recovery_time": true,
	"budget_burn.99": true, "budget_burn.999": true, "budget_burn.9995": true, "budget_burn.9999": true,
}

// everyPossible gives the objectives of every metric that can be measured.
func everyPossible(t *testing.T) []Grouped {
	t.Helper()
	var out []Grouped
	for _, m := range Metrics() {
		out = append(out, possible(t, m)...)
	}
	return out
}

func TestNoObjectivePassesWithoutSamples(t *testing.T) {
	every := everyPossible(t)
	for reached := Warmup; reached < phaseCount; reached++ {
		r := NewRecorder(RecorderConfig{Objectives: every})
		for p := Steady; p <= reached; p++ {
			r.Mark(p, time.Duration(p)*2*time.Second)
		}
		r.finish(findings{}, time.Duration(reached+1)*2*time.Second)
		for _, g := range every {
			requireUnknown(t, r, g)
		}
		require.NotEqual(t, Pass, Evaluate(r, Drill{LoadsCounted: true}).Outcome)
	}
}

// Plenty was counted, and nothing of it could have shown a miss: or it was of other labels.
func TestNoObjectivePassesWithoutOpportunity(t *testing.T) {
	every := everyPossible(t)
	r := NewRecorder(RecorderConfig{Objectives: every, Classes: map[string]string{"product": "bounded"}})
	f := feed{Recorder: r}
	for p := Warmup; p < Audit; p++ {
		from := time.Duration(p) * 2 * time.Second
		if p > Warmup {
			f.Mark(p, from)
		}
		f.ops(from, from+2*time.Second, 1000, func(i int, op *targets.Operation) {
			if i%50 == 0 {
				op.Reply.Tier = targets.TierSource
				f.Load(targets.Load{Key: op.Key, Region: "eu", Arrived: op.Due, Done: op.Returned, Version: 1})
			}
			f.judge(verdict{op: *op})
		})
	}
	f.Mark(Audit, 8*time.Second)
	f.finish(findings{
		writes: 9, acknowledged: 9,
		lags: []lag{{unique.Make("product"), unique.Make("eu"), 3 * time.Second, 0}, {unique.Make("product"), unique.Make("eu"), 5 * time.Second, 0}, {unique.Make("product"), unique.Make("eu"), 7 * time.Second, 0}},
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
func requireUnknown(t *testing.T, r *Recorder, g Grouped) {
	t.Helper()
	row := judge(&r.agg, &Drill{LoadsCounted: true}, g.Group, g.Objective)
	require.NotEqual(t, Pass, row.Outcome, "%s: %s, observed %q", g.Group, row.Expr, row.Observed)
	if row.Outcome == Unknown {
		require.NotEmpty(t, row.Why, "%s: %s", g.Group, row.Expr)
	}
}
