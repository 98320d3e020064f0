package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// WriteLatencyLog writes the drills' latency in the HdrHistogram log format, second by second,
// tagged with the drill. Values are nanoseconds, timestamps seconds since the first drill's start.
func WriteLatencyLog(w io.Writer, drills []measure.Intervals) error {
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
		list := slices.Clone(d.Seconds)
		slices.SortStableFunc(list, func(a, b measure.Interval) int { return int(a.Start - b.Start) })
		for _, i := range list {
			h, err := hdrhistogram.Decode(i.Encoded)
			if err != nil {
				return fmt.Errorf("reading back the latency of %s at %s: %w", d.Tag, slo.FormatMoment(i.Start), err)
			}
			h.SetTag(tag)
			h.SetStartTimeMs((shift + i.Start).Milliseconds())
			h.SetEndTimeMs((shift + i.Start + time.Second).Milliseconds())
			if err := out.OutputIntervalHistogram(h); err != nil {
				return fmt.Errorf("writing the latency of %s at %s: %w", d.Tag, slo.FormatMoment(i.Start), err)
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
