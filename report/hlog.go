package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// WriteLatencyLog writes the drills' latency in the HdrHistogram log format, second by second, tagged
// with the drill. Values are nanoseconds, timestamps seconds since the first drill's start.
func WriteLatencyLog(w io.Writer, drills []Intervals) error {
	var base time.Time
	for _, d := range drills {
		if base.IsZero() || d.Started.Before(base) {
			base = d.Started
		}
	}
	out := hdrhistogram.NewHistogramLogWriter(w)
	for _, step := range []func() error{
		func() error { return out.OutputComment("[cachedrill: latency from the due time, in nanoseconds]") },
		out.OutputLogFormatVersion,
		func() error { return out.OutputStartTime(base.UnixMilli()) },
		out.OutputLegend,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("writing the head of the latency log: %w", err)
		}
	}
	for _, d := range drills {
		tag := tagOf(d.Tag)
		shift := d.Started.Sub(base)
		list := slices.Clone(d.list)
		slices.SortStableFunc(list, func(a, b interval) int { return int(a.start - b.start) })
		for _, i := range list {
			h, err := hdrhistogram.Decode(i.encoded)
			if err != nil {
				return fmt.Errorf("reading back the latency of %s at %s: %w", d.Tag, moment(i.start), err)
			}
			h.SetTag(tag)
			h.SetStartTimeMs((shift + i.start).Milliseconds())
			h.SetEndTimeMs((shift + i.start + time.Second).Milliseconds())
			if err := out.OutputIntervalHistogram(h); err != nil {
				return fmt.Errorf("writing the latency of %s at %s: %w", d.Tag, moment(i.start), err)
			}
		}
	}
	return nil
}

// tagOf makes a name fit for the log format, which separates with commas and lines.
func tagOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ',' || r == '=' || r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, name)
}
