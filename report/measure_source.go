package report

import (
	"fmt"
	"math"
	"time"
)

const notCounted = "the target does not count loads at its source"

// source measures loads at the source.
func (s *scope) source(metric string) measurement {
	if !s.drill.LoadsCounted {
		return nothing(notCounted)
	}
	l := &s.cell.loads
	if s.drill.LoadsUnkeyed && (metric == "stampede.max" && !s.drill.WidthsTold || metric == "redundant_loads") {
		return nothing("what counts the loads of the source does not tell which keys they are of")
	}
	if s.drill.LoadsUnlabelled && s.labels != (Labels{}) {
		return nothing("what counts the loads of the source does not tell them apart")
	}
	if s.drill.LoadsMeansOnly && metric == "source_qps.peak" {
		return nothing("what counts the loads of the source tells too late in which second they arrived")
	}
	switch metric {
	case "source_qps.mean", "source_qps.peak":
		if s.cell.ended == 0 && l.total == 0 || s.length <= 0 {
			return nothing("no operation of these labels ended " + s.during())
		}
		if metric == "source_qps.mean" {
			mean := float64(l.total) / s.length.Seconds()
			return measurement{
				known:    Exactly(mean),
				observed: perSecond(mean),
				evidence: fmt.Sprintf("%s loads in %s", count(l.total), duration(s.length)),
			}
		}
		at, peak := l.peak()
		m := measurement{known: Exactly(float64(peak)), observed: perSecond(float64(peak))}
		if peak > 0 {
			m.evidence = fmt.Sprintf("%s loads arrived in the second from %s", count(peak), moment(at))
		}
		return m
	}
	if l.total == 0 {
		return nothing("no load reached the source " + s.during())
	}
	if metric == "stampede.max" {
		w := &l.widest
		m := measurement{known: Exactly(float64(w.Width)), observed: count(int64(w.Width)), where: w.Region}
		if l.most > w.Width {
			m.known.High = float64(l.most)
			m.why = "what counts the loads tells widths apart only roughly"
		}
		switch {
		case w.Width > 1:
			key := "one key"
			if !s.drill.LoadsUnkeyed {
				key = w.Key.String()
			}
			m.evidence = fmt.Sprintf("%s loads of %s under way at once%s at %s, each asking the source for the same key",
				count(int64(w.Width)), key, inRegion(w.Region), moment(w.Arrived))
			if t := s.trace(metric); t != "" {
				m.evidence += "; " + t
			}
		case w.Width == 0:
			return nothing("the target does not tell how many loads of a key were under way")
		}
		return m
	}
	m := measurement{known: Exactly(float64(l.redundant)), observed: fmt.Sprintf("%s of %s loads", count(l.redundant), count(l.total))}
	if l.redundant > 0 {
		m.where = l.again.Region
		m.evidence = "first: " + loaded(&l.again) + " was loaded there before"
	}
	return m
}

// trace gives the first of what others saw of the cause, of the phases of the scope.
func (s *scope) trace(metric string) string {
	for _, t := range s.drill.Traces {
		if t.Metric == metric && s.contains(t.At) {
			return t.Text
		}
	}
	return ""
}

func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " in " + region
}

const (
	// steadyLoads is how many loads steady state must have before multiples of its rate mean anything:
	// with 30 the rate itself is known to about a fifth.
	steadyLoads = 30
	// byChance is the probability, with no fault at all, above which a limit in times steady is no test.
	// At 1 load/s, some second of ten has three or more with 57% probability.
	byChance = 0.01
)

// timesSteady turns a limit such as 3x into a rate: times the mean rate of loads of the same labels in
// steady state. why is set when that is no test.
func timesSteady(a *aggregate, o Objective, over time.Duration) (limit float64, why string) {
	c, length, missing := a.view(selectionLabels(o), []Phase{Steady})
	if len(missing) > 0 || length <= 0 {
		return math.NaN(), "there was no steady phase to compare with"
	}
	mean := float64(c.loads.total) / length.Seconds()
	if c.loads.total < steadyLoads {
		return math.NaN(), fmt.Sprintf("steady had only %s loads: %s is no yardstick (it takes %d)", count(c.loads.total), o.Limit.Text, steadyLoads)
	}
	limit = mean * o.Limit.Value
	if o.Op != Less && o.Op != LessEqual {
		return limit, ""
	}
	window, windows := over.Seconds(), 1.0
	if o.Metric == "source_qps.peak" {
		window, windows = 1, math.Max(1, math.Ceil(over.Seconds()))
	}
	most := limit * window // arrivals in one window that still keep the limit
	if o.Op == Less {
		most = math.Ceil(most) - 1
	}
	missed := 1 - math.Pow(1-poissonAbove(most, mean*window), windows)
	if missed > byChance {
		return math.NaN(), fmt.Sprintf("steady had %s: %s of it is missed by chance with %s probability", perSecond(mean), o.Limit.Text, percent(missed))
	}
	return limit, ""
}
