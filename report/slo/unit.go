package slo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Unit says what a metric counts in, and so which limits fit it.
type Unit uint8

// The units of metrics and limits.
const (
	UnitCount    Unit = iota // whole numbers: 2
	UnitDuration             // us, ms, s; kept in seconds
	UnitRatio                // 0%..100%; kept as 0..1
	UnitRate                 // 800/s; kept as events per second
	UnitTimes                // 3x: times the steady mean; limits of metrics with [Metric.Times]
	UnitBudget               // 14.4x: times the error budget
	UnitBytes                // 500MB, 2GiB; kept in bytes
	UnitMoney                // 0.35: in the currency of the suite's prices
)

// unit describes one Unit.
type unit struct {
	name    string
	usage   string // how a limit is written
	inexact string // what is measured, when it is never exactly equal to a limit
}

var units = map[Unit]unit{
	UnitCount:    {"count", "write a whole number such as 0", ""},
	UnitDuration: {"duration", "write a duration such as 120ms (units: us, ms, s)", "duration"},
	UnitRatio:    {"ratio", "write a percentage such as 1%", ""},
	UnitRate:     {"rate", "write a rate such as 900/s", "rate"},
	UnitTimes:    {"times steady", "write times steady such as 3x", ""},
	UnitBudget:   {"times budget", "write times the error budget such as 14.4x", "burn"},
	UnitBytes: {"bytes", "write a number with its unit: 500MB, 2GB " +
		"(units: B; kB, MB, GB, TB by thousands; KiB, MiB, GiB, TiB by 1024)", ""},
	UnitMoney: {"money", "write an amount in the currency of the prices, without it: 0.35", "cost"},
}

// String gives the unit as documentation shows it.
func (u Unit) String() string {
	if d, ok := units[u]; ok {
		return d.name
	}
	return "invalid"
}

// Limit is the right side of an objective.
type Limit struct {
	Value float64 // in the unit's base: seconds, 0..1, events per second, times, or a whole number
	Unit  Unit
	Text  string // as written
}

// limitUsage says how a limit of the metric is written.
func limitUsage(m *Metric) string {
	if m.Times {
		return "write a rate such as 800/s, or times steady such as 3x"
	}
	return units[m.Unit].usage
}

// limit reads the limit of a metric.
func (s *scanner) limit(m *Metric) (Limit, *ParseError) {
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
	l, msg := limitOf(m, v, unit, text)
	if msg != "" {
		return Limit{}, &ParseError{at, text, msg, fits}
	}
	return l, nil
}

// limitOf gives the limit of v units, or what is wrong with it.
func limitOf(m *Metric, v float64, unit, text string) (l Limit, wrong string) {
	l = Limit{Value: v, Unit: m.Unit, Text: text}
	switch {
	case unit == "us" && m.Unit == UnitDuration:
		l.Value = v / 1e6
	case unit == "ms" && m.Unit == UnitDuration:
		l.Value = v / 1e3
	case unit == "s" && m.Unit == UnitDuration:
	case unit == "%" && m.Unit == UnitRatio:
		if v > 100 {
			return l, "a ratio is never above 100%"
		}
		l.Value = v / 100
	case unit == "/s" && m.Unit == UnitRate:
	case unit == "x" && m.Times:
		l.Unit = UnitTimes
	case unit == "x" && m.Unit == UnitBudget:
		if most := 1 / (1 - m.Target); v*(1-m.Target) > 1+1e-9 {
			return l, fmt.Sprintf("it is never above %sx, when every operation is bad", FormatDecimal(most, 0))
		}
	case unit == "" && m.Unit == UnitCount:
		if v != math.Trunc(v) {
			return l, "a count is a whole number"
		}
	case unit == "" && m.Unit == UnitMoney:
	case m.Unit == UnitBytes:
		bytes, ok := parseBytes(text)
		if !ok {
			return l, "the limit does not fit " + m.Name
		}
		l.Value = bytes
	default:
		return l, "the limit does not fit " + m.Name
	}
	return l, ""
}

// byteUnits are longest names first, so that one is never taken for another's end.
var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseBytes reads an amount such as "2GB", up to 10^18 bytes.
func parseBytes(text string) (bytes float64, ok bool) {
	for _, u := range byteUnits {
		if number, found := strings.CutSuffix(text, u.name); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			return v * u.bytes, err == nil && v >= 0 && v*u.bytes <= 1e18
		}
	}
	return 0, false
}
