package slo

import (
	"fmt"
	"slices"
	"strings"
)

// standard is the table of all metrics.
var standard = Catalogue{
	&p50, &p95, &p99, &p999, &slowest,
	&errors, &burn99, &burn999, &burn9995, &burn9999, &goodput, &unreadable,
	&stale, &staleProven, &staleIncidents, &stalenessP99, &stalenessMax, &violations,
	&hitRatio, &missPenalty,
	&sourceMean, &sourcePeak, &stampede, &redundantLoads,
	&lagP99, &lagP999, &lagMax,
	&recoveryTime,
	&lostWrites, &rollbacks, &leaks, &corruptions, &falseRejections,
	&redisMemory, &crossRegionBytes, &costPerMillion,
}

// Metrics is the catalogue that objectives are written from, unless a caller extends it.
func Metrics() Catalogue { return standard }

// Markdown gives the catalogue as a page of documentation. note stands below the title, such as
// how the page was made.
func (all Catalogue) Markdown(note string) string {
	var b strings.Builder
	b.WriteString("# Metrics of objectives\n\n" + note)
	b.WriteString("An objective is `metric{label=value, ...} < limit`, with `<`, `<=`, `>`, `>=` or `==`.\n\n" +
		"| metric | unit | labels | groups | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, m := range all {
		doc := m.Doc
		if m.Safety {
			doc += " **(safety: a proven miss fails the drill, whatever else happened)**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n",
			m.Name, m.Unit, strings.Join(m.Labels, ", "), strings.Join(groupNames(m.Groups), ", "), doc)
	}
	return b.String()
}

// implicit are the objectives that hold in every drill, whether or not they are written.
var implicit = []string{"lost_writes == 0", "leaks == 0", "violations == 0", "corruptions == 0", "false_rejections == 0"}

// ImplicitMissing gives the objectives that hold in every drill and that written does not contain.
func ImplicitMissing(written []PhaseObjective) []Objective {
	var out []Objective
	for _, expr := range implicit {
		o, err := standard.Parse(expr)
		if err != nil {
			panic("implicit objective: " + err.Error()) // a typing error in the table above
		}
		if !contains(written, o) {
			out = append(out, o)
		}
	}
	return out
}

func contains(written []PhaseObjective, o Objective) bool {
	for _, g := range written {
		w := g.Objective
		if g.Group == GroupAlways && w.Metric == o.Metric && len(w.Labels) == 0 && w.Op == o.Op && w.Limit.Value == 0 {
			return true
		}
	}
	return false
}

// suggest hints at the known name that was probably meant, else at what is known.
func suggest(got string, known []string) string {
	best, bestAt := "", max(2, len(got)/3)+1
	for _, k := range known {
		if d := edits(strings.ToLower(got), strings.ToLower(k)); d < bestAt {
			best, bestAt = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	const most = 40
	sorted := slices.Sorted(slices.Values(known))
	if more := len(sorted) - most; more > 0 {
		return fmt.Sprintf("known: %s and %d more", strings.Join(sorted[:most], ", "), more)
	}
	return "known: " + strings.Join(sorted, ", ")
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+change)
		}
	}
	return row[len(b)]
}
