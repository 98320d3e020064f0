package link

import (
	"regexp"
	"slices"
	"strings"
)

// Match gives the known links that names and globs mean, each once, in order of name, and the first
// that means none.
func Match(names, known []string) (found []string, missed string) {
	for _, n := range names {
		glob := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(n), `\*`, ".*") + "$")
		some := false
		for _, k := range known {
			if glob.MatchString(k) {
				found, some = append(found, k), true
			}
		}
		if !some && missed == "" {
			missed = n
		}
	}
	slices.Sort(found)
	return slices.Compact(found), missed
}
