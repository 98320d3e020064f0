package slo

import (
	"fmt"
	"slices"
	"strings"
)

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
