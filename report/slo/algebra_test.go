package slo

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		low, high float64
		op        Op
		limit     float64
		want      Outcome
	}{
		{1, 1, Less, 2, Pass}, {2, 2, Less, 2, Fail}, {3, 3, Less, 2, Fail}, {1, 3, Less, 2, Unknown}, {1, 2, Less, 2, Unknown}, {2, 3, Less, 2, Fail},
		{2, 2, LessEqual, 2, Pass}, {1, 2, LessEqual, 2, Pass}, {2, 3, LessEqual, 2, Unknown}, {3, 4, LessEqual, 2, Fail},
		{3, 3, Greater, 2, Pass}, {2, 3, Greater, 2, Unknown}, {2, 2, Greater, 2, Fail}, {1, 2, Greater, 2, Fail},
		{2, 3, GreaterEqual, 2, Pass}, {1, 3, GreaterEqual, 2, Unknown}, {0, 1, GreaterEqual, 2, Fail},
		{2, 2, Equal, 2, Pass}, {1, 3, Equal, 2, Unknown}, {2, 3, Equal, 2, Unknown}, {3, 4, Equal, 2, Fail}, {0, 1, Equal, 2, Fail},
		{0, math.Inf(1), Less, 2, Unknown}, {2, math.Inf(1), Less, 2, Fail}, {2.5, math.Inf(1), Greater, 2, Pass},
		{nan, nan, Less, 2, Unknown}, {1, nan, Less, 2, Unknown}, {nan, 1, Less, 2, Unknown}, {1, 1, Less, nan, Unknown},
		{1, 1, "??", 2, Fail},
	} {
		require.Equal(t, c.want, Range{c.low, c.high}.Decide(c.op, c.limit), "%+v", c)
	}
}

// A pass or a fail means the same for every value that the range leaves possible.
func TestDecideHoldsForEveryPossibleValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(0, 10).Draw(t, "low")
		high := low + rapid.Float64Range(0, 10).Draw(t, "more")
		v := low + rapid.Float64Range(0, 1).Draw(t, "part")*(high-low)
		op := rapid.SampledFrom([]Op{Less, LessEqual, Greater, GreaterEqual, Equal}).Draw(t, "op")
		limit := rapid.SampledFrom([]float64{low, high, v, rapid.Float64Range(0, 20).Draw(t, "limit")}).Draw(t, "which")
		switch out := (Range{low, high}).Decide(op, limit); {
		case out == Pass && !op.Holds(v, limit), out == Fail && op.Holds(v, limit):
			t.Fatalf("[%g, %g] %s %g is %s, but %g is possible", low, high, op, limit, out, v)
		case out == Unknown && low == high:
			t.Fatalf("exactly %g %s %g is unknown", low, op, limit)
		}
	})
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		proven, maybe, total int64
		op                   Op
		limit                float64
		want                 Outcome
	}{
		{2, 0, 100, Less, 0.01, Fail}, {0, 0, 100, Less, 0.01, Pass}, {0, 2, 100, Less, 0.01, Unknown}, {2, 5, 100, Less, 0.01, Fail},
		{1, 0, 100, LessEqual, 0.01, Pass}, {0, 1, 100, LessEqual, 0.01, Pass}, {0, 0, 0, Less, 0.01, Unknown}, {0, 0, 0, Greater, 0.01, Unknown},
		{90, 0, 100, Greater, 0.8, Pass}, {70, 20, 100, Greater, 0.8, Unknown}, {70, 5, 100, Greater, 0.8, Fail},
		{0, 0, 100, Equal, 0, Pass}, {0, 1, 100, Equal, 0, Unknown}, {1, 0, 100, Equal, 0, Fail},
	} {
		require.Equal(t, c.want, Share(c.proven, c.maybe, c.total).Decide(c.op, c.limit), "%+v", c)
	}
}

func TestDrillOutcomeOverEveryPair(t *testing.T) {
	perf := func(o Outcome) Verdict { return Verdict{o, false} }
	safe := func(o Outcome) Verdict { return Verdict{o, true} }
	for _, c := range []struct {
		a, b Verdict
		want Outcome
	}{
		{perf(Pass), perf(Pass), Pass}, {perf(Pass), perf(Fail), Fail}, {perf(Pass), perf(Unknown), Unknown},
		{perf(Fail), perf(Fail), Fail}, {perf(Fail), perf(Unknown), Fail}, {perf(Unknown), perf(Unknown), Unknown},
		{perf(Pass), safe(Pass), Pass}, {perf(Pass), safe(Fail), Fail}, {perf(Pass), safe(Unknown), Unknown},
		{perf(Fail), safe(Pass), Fail}, {perf(Fail), safe(Fail), Fail}, {perf(Fail), safe(Unknown), Fail},
		{perf(Unknown), safe(Pass), Unknown}, {perf(Unknown), safe(Fail), Fail}, {perf(Unknown), safe(Unknown), Unknown},
		{safe(Pass), safe(Pass), Pass}, {safe(Pass), safe(Fail), Fail}, {safe(Pass), safe(Unknown), Unknown},
		{safe(Fail), safe(Fail), Fail}, {safe(Fail), safe(Unknown), Fail}, {safe(Unknown), safe(Unknown), Unknown},
	} {
		require.Equal(t, c.want, DrillOutcome(false, []Verdict{c.a, c.b}), "%+v", c)
		require.Equal(t, c.want, DrillOutcome(false, []Verdict{c.b, c.a}), "%+v reversed", c)
		void := Unknown
		if c.a == safe(Fail) || c.b == safe(Fail) {
			void = Fail
		}
		require.Equal(t, void, DrillOutcome(true, []Verdict{c.a, c.b}), "%+v void", c)
		require.Equal(t, void, DrillOutcome(true, []Verdict{c.b, c.a}), "%+v void, reversed", c)
	}
	require.Equal(t, Unknown, DrillOutcome(false, nil))
	require.Equal(t, Unknown, DrillOutcome(true, nil))
}

func TestSuiteOutcomeOverEveryPair(t *testing.T) {
	for _, c := range []struct{ a, b, want Outcome }{
		{Pass, Pass, Pass}, {Pass, Fail, Fail}, {Pass, Unknown, Unknown},
		{Fail, Fail, Fail}, {Fail, Unknown, Fail}, {Unknown, Unknown, Unknown},
	} {
		require.Equal(t, c.want, SuiteOutcome([]Outcome{c.a, c.b}), "%+v", c)
		require.Equal(t, c.want, SuiteOutcome([]Outcome{c.b, c.a}), "%+v reversed", c)
	}
	require.Equal(t, Unknown, SuiteOutcome(nil))
}

func TestOutcomeText(t *testing.T) {
	for o, want := range map[Outcome]struct {
		text string
		exit int
	}{Pass: {"pass", 0}, Fail: {"fail", 1}, Unknown: {"unknown", 3}} {
		text, err := o.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want.text, string(text))
		var back Outcome
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, o, back)
		require.Equal(t, want.exit, o.ExitCode())
	}
	var zero Outcome
	require.Equal(t, Unknown, zero)
	require.Error(t, zero.UnmarshalText([]byte("passed")))
}
