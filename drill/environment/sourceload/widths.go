package sourceload

import (
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// bucket is one of a histogram of widths: of how many loads of a key were under way when one of
// them began.
type bucket struct {
	most  float64 // its upper bound
	count float64 // of what is in it or in a lower one
}

// bucketsOf adds up the histograms of all labels.
func bucketsOf(all []*dto.Metric) []bucket {
	sums := map[float64]float64{}
	for _, m := range all {
		h := m.GetHistogram()
		for _, b := range h.GetBucket() {
			sums[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
		if !slices.ContainsFunc(h.GetBucket(), func(b *dto.Bucket) bool { return math.IsInf(b.GetUpperBound(), 1) }) {
			sums[math.Inf(1)] += float64(h.GetSampleCount())
		}
	}
	var out []bucket
	for _, most := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, bucket{most, sums[most]})
	}
	return out
}

// anyWidth is the bound of a width without one.
const anyWidth = math.MaxInt32

// width is how wide a load was: one number where the buckets tell, else a range.
type width struct{ least, most int }

// widthLog hands out the widths by which a histogram has grown, the widest first, so that none is
// passed on later than need be.
type widthLog struct {
	last []bucket
	left map[width]int
}

func (w *widthLog) grow(now []bucket) {
	before := w.last
	w.last = now
	if before == nil { // what was before the first look does not count
		w.left = map[width]int{}
		return
	}
	if len(before) != len(now) || len(now) > 0 && now[len(now)-1].count < before[len(now)-1].count { // the service was started anew
		before = make([]bucket, len(now))
	}
	was, lower := 0.0, 0.0
	for i, b := range now {
		grown := b.count - before[i].count
		if n := int(grown - was); n > 0 {
			x := width{int(math.Floor(lower)) + 1, anyWidth}
			if b.most < anyWidth {
				x.most = max(int(math.Floor(b.most)), x.least)
			}
			w.left[x] = min(w.left[x]+n, pollMost)
		}
		was, lower = grown, b.most
	}
}

// next gives the width of one more load: 0 when it is not known, widest 0 when it is exact.
func (w *widthLog) next() (least, widest int) {
	var best width
	for x := range w.left {
		if x.least > best.least {
			best = x
		}
	}
	if best.least == 0 {
		return 0, 0
	}
	if w.left[best]--; w.left[best] == 0 {
		delete(w.left, best)
	}
	if best.least == best.most {
		return best.least, 0
	}
	return best.least, best.most
}
