package faults

import (
	"regexp"
	"strconv"
	"strings"
)

// render writes a fault as YAML shows it: name{key: value, ...}; parameters without a value are
// left out.
func render(name string, params ...[2]string) string {
	var b strings.Builder
	b.WriteString(name + "{")
	sep := ""
	for _, p := range params {
		if p[1] != "" {
			b.WriteString(sep + p[0] + ": " + p[1])
			sep = ", "
		}
	}
	b.WriteByte('}')
	return b.String()
}

// oneOrList writes names as YAML shows them: eu, or [eu, us]; "" for none.
func oneOrList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// quotedList writes names as YAML shows them, quoted where they need it.
func quotedList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		if out[i] = n; !plain.MatchString(n) {
			out[i] = strconv.Quote(n)
		}
	}
	return oneOrList(out)
}

// plain is what YAML reads as the text that it is, wherever it stands.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9@_./>* -]*[A-Za-z0-9@_./>*-]$`)
