package load

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestScheduleDue(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []Step
		total time.Duration
		due   []time.Duration // of all operations
	}{
		{"constant", []Step{{0, 1000}}, 4 * ms, []time.Duration{0, 1 * ms, 2 * ms, 3 * ms}},
		{"the end itself is outside", []Step{{0, 10}}, 300 * ms, []time.Duration{0, 100 * ms, 200 * ms}},
		{"a begun interval counts", []Step{{0, 10}}, 201 * ms, []time.Duration{0, 100 * ms, 200 * ms}},
		{"spike", []Step{{0, 10}, {200 * ms, 40}, {250 * ms, 10}}, 400 * ms,
			[]time.Duration{0, 100 * ms, 200 * ms, 225 * ms, 250 * ms, 350 * ms}},
		{"fractions are carried over", []Step{{0, 15}, {100 * ms, 10}}, 300 * ms,
			// one and a half operations in the first step: the third is due half an interval into
			// the next
			[]time.Duration{0, 66666666, 150 * ms, 250 * ms}},
		{"many short steps of a low rate", []Step{{0, 5}, {100 * ms, 5}, {200 * ms, 5}, {300 * ms, 5}}, 400 * ms,
			[]time.Duration{0, 200 * ms}},
		{"silence", []Step{{0, 0}, {100 * ms, 20}, {200 * ms, 0}, {300 * ms, 10}}, 400 * ms,
			[]time.Duration{100 * ms, 150 * ms, 300 * ms}},
		{"only silence", []Step{{0, 0}}, time.Second, nil},
		{"0.07 x 100 is a little more than 7 in floating point", []Step{{0, 100}}, 70 * ms,
			[]time.Duration{0, 10 * ms, 20 * ms, 30 * ms, 40 * ms, 50 * ms, 60 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewSchedule(c.steps, c.total)
			require.NoError(t, err)
			var due []time.Duration
			for n := range s.Count() {
				due = append(due, s.Due(n))
			}
			require.Equal(t, c.due, due)
			require.Equal(t, c.total, s.Due(s.Count()))
		})
	}
}

func TestScheduleRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []Step
		total time.Duration
		says  string
	}{
		{"no end", []Step{{0, 1}}, 0, "must end after 0"},
		{"no steps", nil, time.Second, "no steps"},
		{"late first step", []Step{{ms, 1}}, time.Second, "must be at 0"},
		{"negative rate", []Step{{0, -1}}, time.Second, "rate -1/s"},
		{"no number", []Step{{0, math.NaN()}}, time.Second, "rate NaN/s"},
		{"infinite rate", []Step{{0, math.Inf(1)}}, time.Second, "rate +Inf/s"},
		{"not ascending", []Step{{0, 1}, {2 * ms, 1}, {2 * ms, 1}}, time.Second, "step at 2ms"},
		{"step after the end", []Step{{0, 1}, {2 * time.Second, 1}}, time.Second, "step at 2s"},
		{"more than can be counted", []Step{{0, 1e18}}, time.Second, "2^53"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewSchedule(c.steps, c.total)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestScheduleRate(t *testing.T) {
	s, err := NewSchedule([]Step{{0, 10}, {time.Second, 50}}, 2*time.Second)
	require.NoError(t, err)
	for at, rate := range map[time.Duration]float64{-1: 0, 0: 10, time.Second - 1: 10, time.Second: 50, 2*time.Second - 1: 50, 2 * time.Second: 0} {
		require.Equal(t, rate, s.Rate(at), "at %v", at)
	}
}

// Whatever the steps: operations are due in order, within the schedule, each in a step that has a
// rate, one interval after the one before it; and there are as many as the rates say.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var steps []Step
		var at time.Duration
		expected := 0.0
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			lasts := time.Duration(rapid.Int64Range(1, int64(3*time.Second)).Draw(t, "lasts"))
			rate := rapid.OneOf(rapid.Float64Range(0, 2000), rapid.SampledFrom([]float64{0, 0.3, 1, 1000})).Draw(t, "rate")
			steps = append(steps, Step{At: at, Rate: rate})
			at += lasts
			expected += rate * lasts.Seconds()
		}
		s, err := NewSchedule(steps, at)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(s.Count())-expected) > 1+1e-4 {
			t.Fatalf("%d operations for %v expected", s.Count(), expected)
		}
		last := time.Duration(-1)
		for n := range s.Count() {
			due := s.Due(n)
			if due < last || due >= at || due < 0 {
				t.Fatalf("operation %d is due at %v, the one before at %v, the end is at %v", n, due, last, at)
			}
			rate := s.Rate(due)
			if rate <= 0 {
				t.Fatalf("operation %d is due at %v, in silence", n, due)
			}
			if last >= 0 && s.Rate(last) == rate && sameStep(steps, last, due) {
				if gap := (due - last).Seconds(); math.Abs(gap-1/rate) > 3e-9+1e-4/rate {
					t.Fatalf("operation %d is due %vs after the one before, at %v/s", n, gap, rate)
				}
			}
			last = due
		}
	})
}

func sameStep(steps []Step, a, b time.Duration) bool {
	for _, s := range steps {
		if a < s.At && s.At <= b {
			return false
		}
	}
	return true
}
