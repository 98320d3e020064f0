package measure

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Intervals is the latency of one drill second by second, for latency.hlog. Latency is corrected
// (counted from the due time); a second holds the operations that returned in it.
type Intervals struct {
	Tag     string    // the drill's name; bytes that the log format can't take become "_"
	Started time.Time // the wall clock at offset 0
	Seconds []Interval
}

// Interval is the latency of one second.
type Interval struct {
	Start   time.Duration
	Encoded []byte // an HdrHistogram of nanoseconds, see [hdrhistogram.Decode]
}

// openSeconds stay open for what returned in them and is reported late.
const openSeconds = 3

// intervalLog keeps the seconds under way as histograms and the earlier ones encoded: a few
// kilobytes each.
type intervalLog struct {
	open []openInterval // ascending, at most openSeconds
	free []*hdrhistogram.Histogram
	done []Interval
}

type openInterval struct {
	start time.Duration
	h     *hdrhistogram.Histogram
}

// record counts a latency in the second in which the operation returned. When that is closed, the
// oldest open one takes it: nothing gets lost.
func (l *intervalLog) record(returned, latency time.Duration) {
	start := returned.Truncate(time.Second)
	i := len(l.open) - 1
	for i >= 0 && l.open[i].start > start {
		i--
	}
	switch {
	case i >= 0 && l.open[i].start == start:
	case i < 0 && len(l.open) == openSeconds:
		i = 0
	default:
		i++
		l.insert(i, start)
		if len(l.open) > openSeconds {
			l.close()
			i--
		}
	}
	// Within range by construction, as in histogram.record.
	if err := l.open[i].h.RecordValue(int64(min(max(latency, 0), longest))); err != nil {
		panic(fmt.Sprintf("measure: recording a latency of %s: %v", latency, err))
	}
}

func (l *intervalLog) insert(i int, start time.Duration) {
	var h *hdrhistogram.Histogram
	if n := len(l.free); n > 0 {
		h, l.free = l.free[n-1], l.free[:n-1]
	} else {
		h = hdrhistogram.New(int64(shortest), int64(longest), fine)
	}
	l.open = append(l.open, openInterval{})
	copy(l.open[i+1:], l.open[i:])
	l.open[i] = openInterval{start, h}
}

// close encodes the oldest open second.
func (l *intervalLog) close() {
	o := l.open[0]
	l.open = append(l.open[:0], l.open[1:]...)
	encoded, err := o.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(fmt.Sprintf("measure: encoding a histogram in memory: %v", err)) // it writes to a byte buffer only
	}
	l.done = append(l.done, Interval{o.start, encoded})
	o.h.Reset()
	l.free = append(l.free, o.h)
}

func (l *intervalLog) finish() []Interval {
	for len(l.open) > 0 {
		l.close()
	}
	return l.done
}
