package contract

import (
	"errors"
	"strconv"
	"strings"
)

// Release is a version of the service: numbers with dots between, as in 4.2 or 2026.11.1. A missing
// number counts as 0.
type Release struct {
	text  string
	parts []int
}

var errRelease = errors.New("not a release")

// ParseRelease reads a release.
func ParseRelease(s string) (Release, error) {
	r := Release{text: s}
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || part[0] == '+' || part[0] == '-' {
			return Release{}, errRelease
		}
		r.parts = append(r.parts, n)
	}
	return r, nil
}

// String gives the release as it was written.
func (r Release) String() string { return r.text }

// Known says whether there is a release at all.
func (r Release) Known() bool { return r.text != "" }

// Compare is negative when r comes before other, positive when after, and 0 when they are the same.
func (r Release) Compare(other Release) int {
	for i := range max(len(r.parts), len(other.parts)) {
		if d := r.part(i) - other.part(i); d != 0 {
			return d
		}
	}
	return 0
}

func (r Release) part(i int) int {
	if i < len(r.parts) {
		return r.parts[i]
	}
	return 0
}
