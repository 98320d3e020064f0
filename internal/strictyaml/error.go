package strictyaml

import "strings"

// Error is a file that can't be used, with everything that is wrong with it.
type Error struct {
	File     string
	Problems []Problem
}

// Error lists the problems, a line each, as file:line:column: text: what is wrong; what would be
// right.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.File + ":" + p.String()
	}
	return strings.Join(lines, "\n")
}
