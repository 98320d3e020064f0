package report

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
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

// Limit is the right side of an objective.
type Limit struct {
	Value float64 // in the unit's base: seconds, 0..1, events per second, times, or a whole number
	Unit  Unit
	Text  string // as written
}

// Objective is a parsed expression such as "p99{family=product, kind=read} < 120ms".
type Objective struct {
	Expr   string            // as written, without surrounding space
	Metric string            // one of [Metrics]
	Labels map[string]string // narrowing labels; nil when there are none
	Op     Op
	Limit  Limit

	valueAt map[string]int // byte offsets of the label values in the parsed text
}

// Grouped is an objective together with when it must hold.
type Grouped struct {
	Group     Group
	Objective Objective
}

// ParseError places what is wrong with an expression.
type ParseError struct {
	Offset int    // bytes from the start of the parsed text
	Text   string // the offending text; may be empty at the end of the expression
	Msg    string // what is wrong
	Hint   string // what would be right; may be empty
}

// Error gives the problem on one line.
func (e *ParseError) Error() string {
	var b strings.Builder
	if e.Text != "" {
		fmt.Fprintf(&b, "%q: ", e.Text)
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Labels are the coordinates of an operation, a read or a load. An empty field of a selection matches
// everything. Endpoint is kind and family with a space between, e.g. "read product".
type Labels struct {
	Endpoint string `json:"endpoint,omitempty"`
	Family   string `json:"family,omitempty"`
	Class    string `json:"class,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Region   string `json:"region,omitempty"`
	Tier     string `json:"tier,omitempty"`
	Kind     string `json:"kind,omitempty"`
}

func labelsOf(m map[string]string) Labels {
	return Labels{
		Endpoint: m["endpoint"], Family: m["family"], Class: m["class"], Tenant: m["tenant"],
		Region: m["region"], Tier: m["tier"], Kind: m["kind"],
	}
}

// selects says whether something at the given coordinates is part of the selection l.
func (l *Labels) selects(at *Labels) bool {
	return (l.Endpoint == "" || l.Endpoint == at.Endpoint) &&
		(l.Family == "" || l.Family == at.Family) &&
		(l.Class == "" || l.Class == at.Class) &&
		(l.Tenant == "" || l.Tenant == at.Tenant) &&
		(l.Region == "" || l.Region == at.Region) &&
		(l.Tier == "" || l.Tier == at.Tier) &&
		(l.Kind == "" || l.Kind == at.Kind)
}

// CheckGroup says what is wrong with having the objective in group g; nil when it may stand there.
func (o Objective) CheckGroup(g Group) *ParseError {
	if !slices.Contains(Groups(), g) {
		return &ParseError{Text: string(g), Msg: "unknown group of objectives", Hint: strictyaml.Suggest(string(g), groupNames(Groups()))}
	}
	m, ok := metricNamed(o.Metric)
	if !ok {
		return &ParseError{Text: o.Metric, Msg: "unknown metric", Hint: strictyaml.Suggest(o.Metric, metricNames())}
	}
	if !slices.Contains(m.Groups, g) {
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

// CheckValues compares the label values with the ones that exist: known maps a label to its possible
// values; labels without an entry are not checked. Offsets count from the start of the parsed text.
func (o Objective) CheckValues(known map[string][]string) []ParseError {
	var out []ParseError
	for label, value := range o.Labels {
		values, ok := known[label]
		if !ok || slices.Contains(values, value) {
			continue
		}
		e := ParseError{Offset: o.valueAt[label], Text: value, Msg: fmt.Sprintf("no %s of this name", label)}
		if len(values) > 0 {
			e.Hint = strictyaml.Suggest(value, values)
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

// Safety says whether a proven miss of the objective is a safety violation.
func (o Objective) Safety() bool {
	m, _ := metricNamed(o.Metric)
	return m.Safety
}

func (o Objective) metric() metric {
	m, _ := metricNamed(o.Metric)
	return m
}

func groupNames(gs []Group) []string {
	out := make([]string, len(gs))
	for i, g := range gs {
		out[i] = string(g)
	}
	return out
}

// implicitSafety holds in every drill, whether or not somebody wrote it.
var implicitSafety = []string{"lost_writes == 0", "leaks == 0", "violations == 0", "corruptions == 0", "false_rejections == 0"}

// implicitMissing gives the implicit objectives that written does not already contain.
func implicitMissing(written []Grouped) []Objective {
	var out []Objective
	for _, expr := range implicitSafety {
		o, err := ParseObjective(expr)
		if err != nil {
			panic("implicit objective: " + err.Error()) // a typing error in the table above
		}
		same := func(g Grouped) bool {
			w := g.Objective
			return g.Group == GroupAlways && w.Metric == o.Metric && len(w.Labels) == 0 && w.Op == o.Op && w.Limit.Value == 0
		}
		if !slices.ContainsFunc(written, same) {
			out = append(out, o)
		}
	}
	return out
}
