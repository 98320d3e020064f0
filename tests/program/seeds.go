package program

import (
	"os"
	"strconv"
	"strings"
)

// Seeds reads an environment variable that asks for seeds: "10" is seeds 1 to 10, "4-10" those
// seven. ok is false where the variable is not set, or is neither.
func Seeds(variable string) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(os.Getenv(variable), "-")
	if !isRange {
		from, to = "1", from
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	return first, last, err1 == nil && err2 == nil
}

// InCI is whether everything that a test needs must be there: CI=true.
func InCI() bool { return os.Getenv("CI") == "true" }
