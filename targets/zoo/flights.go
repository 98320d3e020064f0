package zoo

import "github.com/cachedrill/cachedrill/reference"

// flights are the source reads of one key of a strong family: the one under way, and the one that
// begins when it has ended. A reader may join only a read that begins after it came: the one under
// way may have read before a write that the reader knows of.
type flights struct {
	now, next *flight
}

type flight struct {
	done   chan struct{}
	answer reference.Answer
	err    error
}
