package strictyaml

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String reads a scalar as text; absent is "".
func (n Node) String(what string) string {
	if n.n == nil {
		return ""
	}
	s, _ := n.text(what)
	return s
}

// text reads a scalar that is there; ok is false when it is something else, which has been noted
// then.
func (n Node) text(what string) (s string, ok bool) {
	s, ok = n.scalar()
	if !ok {
		n.Fail("", "expected "+what+" as a single value", "")
	}
	return s, ok
}

// OneOf reads a scalar that must be one of the allowed words; absent is "".
func (n Node) OneOf(what string, allowed ...string) string {
	return n.OneOfRenamed(what, nil, allowed...)
}

// OneOfRenamed is [Node.OneOf] for words some of which have new forms: the keys of renamed are the
// old ones. An old word is an error that gives the new one.
func (n Node) OneOfRenamed(what string, renamed map[string]string, allowed ...string) string {
	if n.n == nil {
		return ""
	}
	s, ok := n.text(what)
	if !ok {
		return s
	}
	if now, old := renamed[s]; old {
		n.Fail(s, fmt.Sprintf("%s is now %s", s, now), "")
		return ""
	}
	if !slices.Contains(allowed, s) {
		n.Fail(s, "unknown "+what, Suggest(s, allowed))
		return ""
	}
	return s
}

// Int reads a whole number of at least least; absent is def.
func (n Node) Int(what string, def, least int) int {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil {
		n.Fail(s, "expected "+what+" as a whole number", "")
		return def
	}
	if v < least {
		n.Fail(s, fmt.Sprintf("%s must be at least %d", what, least), "")
		return def
	}
	return v
}

// Float reads a number of at least 0; absent is def.
func (n Node) Float(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v != v || v > 1e18 {
		n.Fail(s, "expected "+what+" as a number of at least 0", "")
		return def
	}
	return v
}

// Duration reads a length of time with its unit, of at least 0; absent is def.
func (n Node) Duration(what string, def time.Duration) time.Duration {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		n.Fail(s, "bad duration for "+what, "write a number with a unit: 500ms, 3s, 1m30s")
		return def
	}
	if d < 0 {
		n.Fail(s, what+" can't be negative", "")
		return def
	}
	return d
}

// Percent reads "80%" as 0.8, from 0% to 100%; absent is def.
func (n Node) Percent(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") {
		n.Fail(s, "expected "+what+" as a percentage", "write it as 25%")
		return def
	}
	if !(v >= 0 && v <= 100) { // NaN is neither
		n.Fail(s, what+" must be from 0% to 100%", "")
		return def
	}
	return v / 100
}

// thousands is a number with commas between its groups of three digits, and nowhere else.
var thousands = regexp.MustCompile(`^\d{1,3}(,\d{3})+(\.\d+)?$`)

// Rate reads "1500/s" or "1,500/s" as operations per second, above 0; absent is def.
func (n Node) Rate(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	number := strings.TrimSuffix(s, "/s")
	if thousands.MatchString(number) {
		number = strings.ReplaceAll(number, ",", "")
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || number == s || !(v > 0) || v > 1e7 {
		n.Fail(s, "expected "+what+" as operations per second, above 0", "write it as 1500/s")
		return def
	}
	return v
}
