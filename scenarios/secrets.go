package scenarios

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

var (
	telling      = regexp.MustCompile(`(?i)auth|cookie|token|key|secret|pass|pwd|cred|session|signature`)
	placeholders = regexp.MustCompile(`\$?\{[^{}]*\}`)
)

const longHeader = 16 // a value of this length in a header is no plain word

// noteSecrets notes what a suite holds that must not be shown, also of one that can't be used.
func noteSecrets(src []byte) {
	strictyaml.Walk(src, func(path []string, text string) {
		secret.NoteVariables(text)
		if strings.Contains(text, "://") {
			secret.NoteURL(text)
		}
		if len(path) == 0 || !slices.ContainsFunc(path, func(p string) bool { return p == "headers" || p == "env" }) {
			return
		}
		name := path[len(path)-1]
		if strings.EqualFold(name, "Content-Type") || strings.HasPrefix(strings.ToLower(name), "accept") {
			return
		}
		if strings.Contains(text, "://") {
			return
		}
		for _, part := range placeholders.Split(text, -1) {
			if telling.MatchString(name) || len(part) >= longHeader {
				secret.Note(part)
				secret.Note(strings.Fields(part)...)
			}
		}
	})
}
