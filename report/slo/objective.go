package slo

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// Op compares an observed value with a limit.
type Op string

// The comparisons of the objective language.
const (
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Equal        Op = "=="
)

// Holds says whether a value keeps a limit; an unknown comparison never holds.
func (op Op) Holds(v, limit float64) bool {
	switch op {
	case Less:
		return v < limit
	case LessEqual:
		return v <= limit
	case Greater:
		return v > limit
	case GreaterEqual:
		return v >= limit
	case Equal:
		return v == limit
	}
	return false
}

// Upper says whether the limit bounds the value from above.
func (op Op) Upper() bool { return op == Less || op == LessEqual }

// Objective is a parsed expression such as "p99{family=product, kind=read} < 120ms".
type Objective struct {
	Expr   string            // as written, without surrounding space
	Metric string            // name of one of the catalogue's metrics
	Labels map[string]string // narrowing labels; nil when there are none
	Op     Op
	Limit  Limit

	metric  *Metric        // of that name, in the catalogue that parsed it
	valueAt map[string]int // byte offsets of the label values in the parsed text
}

// PhaseObjective is an objective together with when it must hold.
type PhaseObjective struct {
	Group     Group
	Objective Objective
}

// CheckGroup says what is wrong with having the objective in group g; nil when it may stand there.
func (o Objective) CheckGroup(g Group) *ParseError {
	if !slices.Contains(Groups(), g) {
		return &ParseError{Text: string(g), Msg: "unknown group of objectives", Hint: suggest(string(g), groupNames(Groups()))}
	}
	m := o.Definition()
	if !m.mayStandIn(g) {
		why := "is counted over the whole drill"
		if slices.Equal(m.Groups, onlyRecovery) {
			why = "is about the time after the fault"
		}
		return &ParseError{
			Text: o.Metric,
			Msg:  fmt.Sprintf("%s %s and can't stand under %q", o.Metric, why, g),
			Hint: "put it under " + strings.Join(groupNames(m.Groups), ", "),
		}
	}
	if g == GroupSteady && o.Limit.Unit == UnitTimes {
		return &ParseError{
			Text: o.Limit.Text, Msg: "a limit in times steady can't judge steady itself",
			Hint: "write it as a rate: 800/s",
		}
	}
	return nil
}

// CheckValues compares the label values with the ones that exist: known maps a label to its
// possible values; labels without an entry are not checked. Offsets count from the start of the
// parsed text.
func (o Objective) CheckValues(known map[string][]string) []ParseError {
	var out []ParseError
	for label, value := range o.Labels {
		values, ok := known[label]
		if !ok || slices.Contains(values, value) {
			continue
		}
		e := ParseError{Offset: o.valueAt[label], Text: value, Msg: fmt.Sprintf("no %s of this name", label)}
		if len(values) > 0 {
			e.Hint = suggest(value, values)
		}
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Offset < out[j].Offset })
	return out
}

// Same says whether both are about the same metric and labels, whatever their limits are.
func (o Objective) Same(other Objective) bool {
	return o.Metric == other.Metric && maps.Equal(o.Labels, other.Labels)
}

// Definition is the metric that the objective is about. That of an objective which no catalogue
// parsed measures nothing, and may stand in no group.
func (o Objective) Definition() *Metric {
	if o.metric == nil {
		return &Metric{Name: o.Metric}
	}
	return o.metric
}

// Safety says whether a proven miss of the objective is a safety violation.
func (o Objective) Safety() bool { return o.Definition().Safety }

// Selection gives the labels that choose the operations which the objective is measured from. The
// tier of a metric [Metric.OfTier] names a column of the count, and chooses none.
func (o Objective) Selection() Labels {
	l := labelsOf(o.Labels)
	if o.Definition().OfTier {
		l.Tier = ""
	}
	return l
}

// Accuses says whether a read that was stale by at least low is evidence that the objective was
// missed. One that keeps every limit is a measurement, and accuses nobody.
func (o Objective) Accuses(low time.Duration) bool {
	m := o.Definition()
	switch {
	case !m.OfStale, !o.Op.Upper() && o.Op != Equal, m.OfTier && o.Labels["tier"] != "":
		return false
	case o.Limit.Unit == UnitDuration:
		return !o.Op.Holds(low.Seconds(), o.Limit.Value)
	}
	return true
}

// LeastSamples is how many samples of [Needs] the phases of the objective must have before it can
// pass at all; 0 of [SampleNone].
func (o Objective) LeastSamples() int64 {
	m := o.Definition()
	if m.Needs.Samples == SampleNone {
		return 0
	}
	p := m.Quantile
	if m.Target > 0 {
		// A burn below b is a share of good operations above p.
		p = 1 - o.Limit.Value*(1-m.Target)
	}
	switch {
	case m.Target > 0 && (!o.Op.Upper() || p <= 0 || p >= 1), p == 0:
		return 1
	case !o.Op.Upper():
		// That one sample lies below the percentile bounds it from below.
		return int64(math.Ceil(math.Log(1-Confidence) / math.Log(1-p)))
	}
	return NeededSamples(p)
}
