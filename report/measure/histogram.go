package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachedrill/cachedrill/report/slo"
)

// Range of the histograms. What is longer is counted as longest, and its upper bound as unknown.
const (
	shortest = time.Microsecond // below it, the resolution is 0.5 us
	longest  = 2 * time.Minute
	fine     = 3 // significant digits of whatever an objective may be judged by
	coarse   = 2 // of the breakdown
)

// histogram counts durations. It is not safe for concurrent use.
type histogram struct {
	h       *hdrhistogram.Histogram
	most    time.Duration // exact
	clipped int64         // values beyond longest
}

func newHistogram(digits int) *histogram {
	return &histogram{h: hdrhistogram.New(int64(shortest), int64(longest), digits)}
}

func (x *histogram) record(d time.Duration) {
	d = max(d, 0)
	x.most = max(x.most, d)
	if d > longest {
		x.clipped++
		d = longest
	}
	if err := x.h.RecordValue(int64(d)); err != nil {
		// Clamped above, so only a wrong geometry gets here.
		panic(fmt.Sprintf("measure: recording a latency of %s: %v", d, err))
	}
}

func (x *histogram) merge(from *histogram) {
	if from == nil {
		return
	}
	x.h.Merge(from.h)
	x.most = max(x.most, from.most)
	x.clipped += from.clipped
}

func (x *histogram) Count() int64 {
	if x == nil {
		return 0
	}
	return x.h.TotalCount()
}

// Max is the greatest value, exactly.
func (x *histogram) Max() time.Duration {
	if x == nil {
		return 0
	}
	return x.most
}

// Quantile gives the value that reports show for p, 0 < p < 1. It is no basis for a verdict.
func (x *histogram) Quantile(p float64) time.Duration {
	return min(time.Duration(x.h.ValueAtQuantile(p*100)), x.most)
}

// Bounds bounds the p-quantile of the population behind the samples, in seconds, with
// one-sided 95% confidence each way and the histogram's resolution included.
func (x *histogram) Bounds(p float64) slo.Range {
	if x.Count() == 0 {
		return slo.Nothing()
	}
	return quantileBetween(x, x, p)
}

// quantileBetween bounds the p-quantile of samples that are themselves known only to lie between a
// value counted in low and one counted in high.
func quantileBetween(low, high *histogram, p float64) slo.Range {
	lowRank, _ := slo.QuantileRanks(low.Count(), p)
	_, highRank := slo.QuantileRanks(high.Count(), p)
	r := slo.Range{Low: 0, High: math.Inf(1)}
	if lowRank >= 1 {
		from, _ := low.atRank(lowRank)
		r.Low = from.Seconds()
	}
	if highRank <= high.Count() {
		if _, to := high.atRank(highRank); to < longest {
			r.High = to.Seconds()
		}
	}
	return r
}

// atRank gives the bounds of the k-th smallest value, 1 <= k <= count.
func (x *histogram) atRank(k int64) (from, to time.Duration) {
	var seen int64
	for _, bar := range x.h.Distribution() {
		if seen += bar.Count; seen >= k {
			return time.Duration(bar.From), min(time.Duration(bar.To), max(x.most, time.Duration(bar.From)))
		}
	}
	return x.most, x.most
}
