package strictyaml

import (
	"fmt"
	"slices"
	"strings"
)

// listed is how many known names a hint lists.
const listed = 40

// Suggest says which of the known names is meant, or lists them when none is near: the first 40.
func Suggest(got string, known []string) string {
	if near := Nearest(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	sorted := slices.Sorted(slices.Values(known))
	if more := len(sorted) - listed; more > 0 {
		return fmt.Sprintf("known: %s and %d more", strings.Join(sorted[:listed], ", "), more)
	}
	return "known: " + strings.Join(sorted, ", ")
}

// Nearest gives the known name with the smallest edit distance to got, or "" when none is within
// a third of its length (at least two edits).
func Nearest(got string, known []string) string {
	best, bestAt := "", max(2, len(got)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}
