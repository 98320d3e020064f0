package targets

import "time"

// EgressCounter is a target of several regions that counts the bytes between them.
type EgressCounter interface {
	// CrossRegionBytes gives the bytes since start, both directions, by the region that asked.
	// Where they can't be counted, bytes is nil and unavailable is the reason; else unavailable is
	// empty.
	CrossRegionBytes() (bytes map[string]int64, unavailable string)
}

// CrossRegionSample is the counters of an [EgressCounter] at one time.
type CrossRegionSample struct {
	At    time.Duration
	Bytes map[string]int64 // since start, by the region that asked
}
