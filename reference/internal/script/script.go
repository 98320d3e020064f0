// Package script holds what the Redis scripts of the cache share: how durations are passed to them,
// and what they answer of a change.
package script

import (
	"strconv"
	"time"
)

// What a script answers of a change.
var (
	Done    = []string{"1"}
	Refused = []string{"0"}
)

// Millis writes a duration as a script's argument, in whole milliseconds.
func Millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// ParseMillis reads what [Millis] wrote.
func ParseMillis(arg string) time.Duration {
	n, _ := strconv.ParseInt(arg, 10, 64) // Millis wrote it
	return time.Duration(n) * time.Millisecond
}
