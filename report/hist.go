package report

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range of the histograms. What is longer is counted as longest, and its upper bound as unknown.
const (
	shortest = time.Microsecond // below it, values are told apart to 0.5 us only
	longest  = 2 * time.Minute
	fine     = 3 // significant digits of whatever an objective may be judged by
	coarse   = 2 // of the breakdown
)

// hist counts durations. It is not safe for concurrent use.
type hist struct {
	h       *hdrhistogram.Histogram
	max     time.Duration // exact
	clipped int64         // values beyond longest
}

func newHist(digits int) *hist {
	return &hist{h: hdrhistogram.New(int64(shortest), int64(longest), digits)}
}

func (x *hist) record(d time.Duration) {
	d = max(d, 0)
	x.max = max(x.max, d)
	if d > longest {
		x.clipped++
		d = longest
	}
	if err := x.h.RecordValue(int64(d)); err != nil {
		// Clamped above, so only a wrong geometry gets here.
		panic(fmt.Sprintf("report: recording a latency of %s: %v", d, err))
	}
}

func (x *hist) merge(from *hist) {
	if from == nil {
		return
	}
	x.h.Merge(from.h)
	x.max = max(x.max, from.max)
	x.clipped += from.clipped
}

func (x *hist) count() int64 {
	if x == nil {
		return 0
	}
	return x.h.TotalCount()
}

// quantile gives the value that reports show for p, 0 < p < 1. It is no basis for a verdict.
func (x *hist) quantile(p float64) time.Duration {
	return min(time.Duration(x.h.ValueAtQuantile(p*100)), x.max)
}

// quantileRange bounds the p-quantile of the population behind the samples, in seconds, with
// one-sided 95% confidence each way and the histogram's resolution included.
func (x *hist) quantileRange(p float64) Range {
	if x.count() == 0 {
		return Nothing()
	}
	return quantileBetween(x, x, p)
}

// quantileBetween bounds the p-quantile of samples that are themselves known only to lie between a
// value counted in low and one counted in high.
func quantileBetween(low, high *hist, p float64) Range {
	lowRank, _ := quantileRanks(low.count(), p)
	_, highRank := quantileRanks(high.count(), p)
	r := Range{0, math.Inf(1)}
	if lowRank >= 1 {
		from, _ := low.atRank(lowRank)
		r.Low = from.Seconds()
	}
	if highRank <= high.count() {
		if _, to := high.atRank(highRank); to < longest {
			r.High = to.Seconds()
		}
	}
	return r
}

// atRank gives the bounds of the k-th smallest value, 1 <= k <= count.
func (x *hist) atRank(k int64) (from, to time.Duration) {
	var seen int64
	for _, bar := range x.h.Distribution() {
		if seen += bar.Count; seen >= k {
			return time.Duration(bar.From), min(time.Duration(bar.To), max(x.max, time.Duration(bar.From)))
		}
	}
	return x.max, x.max
}
