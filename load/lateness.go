package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// MaxLateness is how late the 99th percentile of operations may be through the generator's own
// doing: more, and the attack was saturated. It is well above what a busy machine's scheduler does
// (a Go process gets its turn within 10 ms even when all CPUs are taken), and well below latencies
// that objectives are about.
const MaxLateness = 50 * time.Millisecond

// leastSent is the part of the planned operations that an attack sends at least unless it is
// cancelled.
const leastSent = 0.99

// lateness collects the generator's own lateness of operations that are due from a moment on.
type lateness struct {
	from         time.Duration
	all          *hdrhistogram.Histogram // ns
	judged, late uint64
	max          time.Duration
}

// longest is the histogram's range; what is later counts as this late, and in max in full.
const longest = time.Hour

func newLateness(from time.Duration) lateness {
	return lateness{from: from, all: hdrhistogram.New(1, int64(longest), 3)}
}

func (l *lateness) record(due, own time.Duration) {
	if due < l.from {
		return
	}
	own = max(own, 0)
	l.judged++
	l.max = max(l.max, own)
	if own > MaxLateness {
		l.late++
	}
	// Within the range by construction, so there is no error to look at.
	_ = l.all.RecordValue(int64(min(own, longest)))
}

func (l *lateness) at(percentile float64) time.Duration {
	return min(time.Duration(l.all.ValueAtPercentile(percentile)), l.max)
}
