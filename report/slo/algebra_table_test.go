package slo

import (
	"math"
	"testing"

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
		{"open from below", Range{1, math.Inf(1)}, Unknown, Unknown, Unknown, Unknown, Unknown},
		{"open from the limit", Range{2, math.Inf(1)}, Fail, Unknown, Unknown, Pass, Unknown},
		{"open from above", Range{3, math.Inf(1)}, Fail, Fail, Pass, Pass, Fail},
		{"anything", Range{-math.Inf(1), math.Inf(1)}, Unknown, Unknown, Unknown, Unknown, Unknown},
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
		require.Equal(t, o, o.UnlessBlind(false))
		require.Equal(t, o, o.UnlessExcused(false))
	}
	for _, c := range []struct{ o, blind, excused Outcome }{
		{Pass, Unknown, Pass}, {Fail, Fail, Unknown}, {Unknown, Unknown, Unknown},
	} {
		require.Equal(t, c.blind, c.o.UnlessBlind(true), "%s, blind", c.o)
		require.Equal(t, c.excused, c.o.UnlessExcused(true), "%s, excused", c.o)
	}
}

// Every combination of up to three objectives, safety or not, in a drill that is void or not,
// against the rule of precedence in another form: by what there is, and not step by step.
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
			case void, len(vs) == 0:
				want = Unknown
			case n[Verdict{Fail, false}] > 0:
				want = Fail
			case n[Verdict{Unknown, true}]+n[Verdict{Unknown, false}] > 0:
				want = Unknown
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
