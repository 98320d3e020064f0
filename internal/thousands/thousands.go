// Package thousands writes large whole numbers readably.
package thousands

import "strconv"

// Group writes 1962 as "1,962".
func Group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		if s[i-1] == '-' {
			break
		}
		s = s[:i] + "," + s[i:]
	}
	return s
}
