package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets"
)

// ParseObjective reads one expression:
//
//	metric ["{" label "=" value {"," label "=" value} "}"] op limit
//
// with op one of < <= > >= ==, and limit a number with the unit that fits the metric: us, ms or s for
// durations, % for ratios, /s for rates, x for source_qps.* (times the steady mean) and budget_burn.* (times
// the budget), kB, MB, GB, KiB, MiB, ... for bytes, none for counts and costs.
// Space is free between the parts. The error is nil, or places the first problem in expr.
func ParseObjective(expr string) (Objective, *ParseError) {
	s := &scanner{text: expr}
	o := Objective{Expr: strings.TrimSpace(expr)}

	s.space()
	at, name := s.take(isNameByte)
	if name == "" {
		return Objective{}, s.fail("expected a metric", "such as: p99{kind=read} < 120ms")
	}
	m, ok := metricNamed(name)
	if !ok {
		return Objective{}, &ParseError{at, name, "unknown metric", strictyaml.Suggest(name, metricNames())}
	}
	o.Metric = name

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

func checkOp(m metric, op Op, at int) *ParseError {
	ops := []Op{Less, LessEqual, Greater, GreaterEqual, Equal}
	if !slices.Contains(ops, op) {
		hint := "one of < <= > >= =="
		if op == "=" {
			hint = `did you mean "=="?`
		}
		return &ParseError{at, string(op), "unknown comparison", hint}
	}
	if op == Equal && (m.Unit == UnitDuration || m.Unit == UnitRate || m.Unit == UnitBudget || m.Unit == UnitMoney || m.Name == "redis_memory.max") {
		return &ParseError{at, string(op), fmt.Sprintf("a %s is never exactly equal to a limit", measured(m.Unit)), "use < or >"}
	}
	if m.Name == "recovery_time" && op != Less && op != LessEqual {
		return &ParseError{at, string(op), "recovery_time takes an upper limit", "use < or <="}
	}
	return nil
}

// measured names what is measured in a unit.
func measured(u Unit) string {
	switch u {
	case UnitBudget:
		return "burn"
	case UnitBytes:
		return "peak of memory"
	case UnitMoney:
		return "cost"
	}
	return u.String()
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

var (
	tierValues  = []string{targets.TierL1, targets.TierL2, targets.TierSource, targets.TierBypass}
	cacheTiers  = []string{targets.TierL1, targets.TierL2}
	kindValues  = []string{targets.Read.String(), targets.Write.String(), targets.Delete.String()}
	everyLabel  = perAnswer
	labelsUsage = "labels look like {family=product, kind=read}"
)

func (s *scanner) labels(m metric, o *Objective) *ParseError {
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

func checkLabel(m metric, name string, at int) *ParseError {
	if slices.Contains(m.Labels, name) {
		return nil
	}
	if !slices.Contains(everyLabel, name) {
		known := m.Labels
		if len(known) == 0 {
			known = everyLabel
		}
		return &ParseError{at, name, "unknown label", strictyaml.Suggest(name, known)}
	}
	hint := m.Name + " takes no labels"
	if len(m.Labels) > 0 {
		hint = m.Name + " takes " + strings.Join(m.Labels, ", ")
	}
	return &ParseError{at, name, fmt.Sprintf("label %s makes no sense for %s", name, m.Name), hint}
}

// checkFixedValue refuses values of the labels whose values no scenario can add to.
func checkFixedValue(m metric, label, value string, at int) *ParseError {
	var values []string
	switch {
	case label == "tier" && (m.Name == "hit_ratio" || isLag(m.Name)):
		values = cacheTiers
	case label == "tier":
		values = tierValues
	case label == "kind":
		values = kindValues
	default:
		return nil
	}
	if slices.Contains(values, value) {
		return nil
	}
	return &ParseError{at, value, "no " + label + " of this name", strictyaml.Suggest(value, values)}
}

func (s *scanner) limit(m metric) (Limit, *ParseError) {
	at, digits := s.take(isDigitByte)
	_, unit := s.take(func(c byte) bool { return c > ' ' })
	text := digits + unit
	fits := limitUsage(m)
	if digits == "" {
		if text == "" {
			return Limit{}, &ParseError{at, "", "expected a limit", fits}
		}
		return Limit{}, &ParseError{at, text, "expected a number of at least 0 as limit", fits}
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsInf(v, 0) {
		return Limit{}, &ParseError{at, text, "the limit is not a number", fits}
	}
	l := Limit{Value: v, Unit: m.Unit, Text: text}
	bad := &ParseError{at, text, fmt.Sprintf("the limit does not fit %s", m.Name), fits}
	switch {
	case unit == "us" && m.Unit == UnitDuration:
		l.Value = v / 1e6
	case unit == "ms" && m.Unit == UnitDuration:
		l.Value = v / 1e3
	case unit == "s" && m.Unit == UnitDuration:
	case unit == "%" && m.Unit == UnitRatio:
		if v > 100 {
			return Limit{}, &ParseError{at, text, "a ratio is never above 100%", fits}
		}
		l.Value = v / 100
	case unit == "/s" && m.Unit == UnitRate:
	case unit == "x" && strings.HasPrefix(m.Name, "source_qps."):
		l.Unit = UnitTimes
	case unit == "x" && m.Unit == UnitBudget:
		if most := 1 / (1 - m.target); v*(1-m.target) > 1+1e-9 {
			return Limit{}, &ParseError{at, text, fmt.Sprintf("it is never above %sx, when every operation is bad", trimmed(most, 0)), fits}
		}
	case unit == "" && m.Unit == UnitCount:
		if v != math.Trunc(v) {
			return Limit{}, &ParseError{at, text, "a count is a whole number", fits}
		}
	case unit == "" && m.Unit == UnitMoney:
	case m.Unit == UnitBytes:
		if l.Value, err = cost.Bytes(text); err != nil {
			return Limit{}, bad
		}
	default:
		return Limit{}, bad
	}
	return l, nil
}

func limitUsage(m metric) string {
	switch {
	case strings.HasPrefix(m.Name, "source_qps."):
		return "write a rate such as 800/s, or times steady such as 3x"
	case m.Unit == UnitDuration:
		return "write a duration such as 120ms (units: us, ms, s)"
	case m.Unit == UnitRatio:
		return "write a percentage such as 1%"
	case m.Unit == UnitBudget:
		return "write times the error budget such as 14.4x"
	case m.Unit == UnitRate:
		return "write a rate such as 900/s"
	case m.Unit == UnitBytes:
		return cost.BytesForm
	case m.Unit == UnitMoney:
		return "write an amount in the currency of the prices, without it: 0.35"
	}
	return "write a whole number such as 0"
}
