package load

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"time"
)

// Step sets the rate from At on, until the next step.
type Step struct {
	At   time.Duration // offset from the attack's start
	Rate float64       // operations per second; 0 is silence
}

// Schedule says when operations are due: with piecewise constant rates, evenly spaced within a
// step, the first at offset 0. A fraction of an operation that a step leaves over is carried into
// the next one, so that a ramp of many short steps asks for as much as its mean rate says. The zero
// value is an empty schedule. Schedules are immutable. Steps cost next to nothing, also a dip that
// lowers the load for a while and many-stepped ramps: finding one is a binary search.
type Schedule struct {
	steps []span
	total time.Duration
	count uint64
}

// span is a step with the (fractional) number of operations that are due before it.
type span struct {
	at, end time.Duration
	rate    float64
	before  float64
	after   float64
}

// snap is the part of an operation below which a fraction is taken for a rounding error: 1,000/s
// for 0.1 s is 100 operations, although the product in floating point may be a little more.
const snap = 1e-6

// maxOperations is where float64 stops counting one by one.
const maxOperations = 1 << 53

// NewSchedule makes a schedule that ends at total. The first step is at 0, the others follow in
// ascending order before total; rates are finite and not negative.
func NewSchedule(steps []Step, total time.Duration) (Schedule, error) {
	if total <= 0 {
		return Schedule{}, fmt.Errorf("schedule ends at %v: it must end after 0", total)
	}
	if len(steps) == 0 {
		return Schedule{}, errors.New("schedule has no steps")
	}
	if steps[0].At != 0 {
		return Schedule{}, fmt.Errorf("schedule's first step is at %v: it must be at 0", steps[0].At)
	}
	s := Schedule{steps: make([]span, len(steps)), total: total}
	due := 0.0
	for i, step := range steps {
		if !(step.Rate >= 0) || math.IsInf(step.Rate, 0) {
			return Schedule{}, fmt.Errorf("step at %v: rate %v/s is not a finite number of 0 or more", step.At, step.Rate)
		}
		end := total
		if i+1 < len(steps) {
			end = steps[i+1].At
		}
		if end <= step.At {
			return Schedule{}, fmt.Errorf("step at %v: the next step, or the end of the schedule, is at %v", step.At, end)
		}
		after := due + step.Rate*(end-step.At).Seconds()
		if whole := math.Round(after); math.Abs(after-whole) < snap {
			after = whole
		}
		if after > maxOperations {
			return Schedule{}, fmt.Errorf("step at %v: more than 2^53 operations", step.At)
		}
		s.steps[i] = span{at: step.At, end: end, rate: step.Rate, before: due, after: after}
		due = after
	}
	s.count = uint64(math.Ceil(due))
	return s, nil
}

// Count is the number of operations that are due before the schedule ends.
func (s Schedule) Count() uint64 { return s.count }

// Total is where the schedule ends.
func (s Schedule) Total() time.Duration { return s.total }

// Due is the offset at which operation n is due: less than Total for n < Count, never less than
// that of an earlier operation. For n >= Count it is Total.
func (s Schedule) Due(n uint64) time.Duration {
	if n >= s.count {
		return s.total
	}
	at := float64(n)
	i := sort.Search(len(s.steps), func(i int) bool { return at < s.steps[i].after })
	step := s.steps[i]
	into := max(0, (at-step.before)/step.rate)
	// The bounds hold anyway, but for rounding.
	return min(step.at+time.Duration(into*float64(time.Second)), step.end-1)
}

// Before is the number of operations that are due before an offset: the first of those that aren't.
func (s Schedule) Before(at time.Duration) uint64 {
	if at <= 0 || s.count == 0 {
		return 0
	}
	if at >= s.total {
		return s.count
	}
	step := s.steps[sort.Search(len(s.steps), func(i int) bool { return at < s.steps[i].end })]
	n := min(uint64(step.before+step.rate*(at-step.at).Seconds()), s.count)
	// Due has the last word on what floating point makes of it.
	for n > 0 && s.Due(n-1) >= at {
		n--
	}
	for n < s.count && s.Due(n) < at {
		n++
	}
	return n
}

// Rate is the rate in operations per second at an offset, 0 outside the schedule.
func (s Schedule) Rate(at time.Duration) float64 {
	if at < 0 || at >= s.total {
		return 0
	}
	i := sort.Search(len(s.steps), func(i int) bool { return at < s.steps[i].end })
	return s.steps[i].rate
}
