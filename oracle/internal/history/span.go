package history

import "time"

// StaleSpan is a version that was read proven-stale, and its last such read.
type StaleSpan struct {
	Version uint64
	From    time.Duration // the earliest proof that v was superseded
	Last    time.Duration // Sent of the last proven-stale read of v
	Region  string        // of that read
}

// Read notes a proven-stale read. The last of a span without any is [Before].
func (s *StaleSpan) Read(sent, nextAt time.Duration, region string) {
	if s.Last == Before {
		s.From = nextAt
	}
	s.From = min(s.From, nextAt)
	if sent > s.Last || sent == s.Last && region < s.Region {
		s.Last, s.Region = sent, region
	}
}
