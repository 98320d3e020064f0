package slo

import (
	"fmt"
	"slices"
	"strings"
)

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

// ParseObjective reads an expression about the metrics of [Metrics], see [Catalogue.Parse].
func ParseObjective(expr string) (Objective, *ParseError) { return Metrics().Parse(expr) }

// Parse reads one expression:
//
//	metric ["{" label "=" value {"," label "=" value} "}"] op limit
//
// with op one of < <= > >= ==, and limit a number with the unit that fits the metric: us, ms or s
// for durations, % for ratios, /s for rates, x for source_qps.* (times the steady mean) and
// budget_burn.* (times the budget), kB, MB, GB, KiB, MiB, ... for bytes, none for counts and costs.
// Space is free between the parts. The error is nil, or places the first problem in expr.
func (all Catalogue) Parse(expr string) (Objective, *ParseError) {
	s := &scanner{text: expr}
	o := Objective{Expr: strings.TrimSpace(expr)}

	s.space()
	at, name := s.take(isNameByte)
	if name == "" {
		return Objective{}, s.fail("expected a metric", "such as: p99{kind=read} < 120ms")
	}
	m := all.Named(name)
	if m == nil {
		return Objective{}, &ParseError{at, name, "unknown metric", suggest(name, all.names())}
	}
	o.Metric, o.metric = name, m

	s.space()
	if s.peek() == '{' {
		if err := s.labels(m, &o); err != nil {
			return Objective{}, err
		}
		s.space()
	}
	opAt, op := s.take(func(c byte) bool { return strings.IndexByte("<>=!", c) >= 0 })
	if op == "" {
		return Objective{}, s.fail("expected a comparison", "one of < <= > >= ==")
	}
	o.Op = Op(op)
	if err := checkOp(m, o.Op, opAt); err != nil {
		return Objective{}, err
	}
	s.space()
	limit, err := s.limit(m)
	if err != nil {
		return Objective{}, err
	}
	o.Limit = limit
	s.space()
	if s.at < len(s.text) {
		return Objective{}, s.fail("unexpected text after the limit", "an objective is: metric{labels} op limit")
	}
	return o, nil
}

func checkOp(m *Metric, op Op, at int) *ParseError {
	ops := []Op{Less, LessEqual, Greater, GreaterEqual, Equal}
	if !slices.Contains(ops, op) {
		hint := "one of < <= > >= =="
		if op == "=" {
			hint = `did you mean "=="?`
		}
		return &ParseError{at, string(op), "unknown comparison", hint}
	}
	inexact := m.Inexact
	if inexact == "" {
		inexact = units[m.Unit].inexact
	}
	if op == Equal && inexact != "" {
		return &ParseError{at, string(op), fmt.Sprintf("a %s is never exactly equal to a limit", inexact), "use < or >"}
	}
	if m.UpperOnly && !op.Upper() {
		return &ParseError{at, string(op), m.Name + " takes an upper limit", "use < or <="}
	}
	return nil
}

// scanner walks an expression byte by byte.
type scanner struct {
	text string
	at   int
}

func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	s.take(func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' })
}

// take reads on while ok holds, and says where it began.
func (s *scanner) take(ok func(byte) bool) (at int, got string) {
	at = s.at
	for s.at < len(s.text) && ok(s.text[s.at]) {
		s.at++
	}
	return at, s.text[at:s.at]
}

// fail places a problem at the next word.
func (s *scanner) fail(msg, hint string) *ParseError {
	at, word := s.take(func(c byte) bool { return c > ' ' })
	return &ParseError{at, word, msg, hint}
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}

func isDigitByte(c byte) bool { return c >= '0' && c <= '9' || c == '.' }

const labelsUsage = "labels look like {family=product, kind=read}"

func (s *scanner) labels(m *Metric, o *Objective) *ParseError {
	s.at++ // the brace
	o.Labels, o.valueAt = map[string]string{}, map[string]int{}
	for {
		s.space()
		at, name := s.take(isNameByte)
		if name == "" {
			return s.fail("expected a label", labelsUsage)
		}
		if err := checkLabel(m, name, at); err != nil {
			return err
		}
		if _, twice := o.Labels[name]; twice {
			return &ParseError{at, name, "label appears twice", "keep one"}
		}
		s.space()
		if s.peek() != '=' {
			return s.fail("expected = after the label", labelsUsage)
		}
		s.at++
		s.space()
		at, value := s.take(func(c byte) bool { return strings.IndexByte(",}{=\n\r", c) < 0 })
		value = strings.TrimRight(value, " \t")
		if value == "" {
			return s.fail("expected a value for label "+name, labelsUsage)
		}
		if err := checkFixedValue(m, name, value, at); err != nil {
			return err
		}
		o.Labels[name], o.valueAt[name] = value, at
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			return nil
		default:
			return s.fail("expected , or } after a label", labelsUsage)
		}
	}
}

func checkLabel(m *Metric, name string, at int) *ParseError {
	if slices.Contains(m.Labels, name) {
		return nil
	}
	if !slices.Contains(everyLabel, name) {
		known := m.Labels
		if len(known) == 0 {
			known = everyLabel
		}
		return &ParseError{at, name, "unknown label", suggest(name, known)}
	}
	hint := m.Name + " takes no labels"
	if len(m.Labels) > 0 {
		hint = m.Name + " takes " + strings.Join(m.Labels, ", ")
	}
	return &ParseError{at, name, fmt.Sprintf("label %s makes no sense for %s", name, m.Name), hint}
}

// checkFixedValue refuses values of the labels whose values no scenario can add to.
func checkFixedValue(m *Metric, label, value string, at int) *ParseError {
	values := fixedValues(m, label)
	if values == nil || slices.Contains(values, value) {
		return nil
	}
	return &ParseError{at, value, "no " + label + " of this name", suggest(value, values)}
}
