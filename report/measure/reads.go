package measure

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
)

// reads counts judged reads.
type reads struct {
	fresh, stale, indeterminate, unjudged int64
	canStale, canViolate, violations      int64

	low, high *histogram // bounds of staleness; nil until wanted and filled
	unbounded int64      // reads whose staleness has no upper bound; in high they count as longest
	maxLow    time.Duration
	maxHigh   time.Duration
	oldest    staleNote // the read with the greatest proven staleness
	breach    staleNote // the violation with the greatest proven staleness
}

// staleNote remembers one stale read as evidence.
type staleNote struct {
	set  bool
	op   opNote
	low  time.Duration
	sent time.Duration
}

func (r *reads) judged(v *oracle.Judgement, wantStaleness bool) {
	switch v.Answer {
	case oracle.Fresh:
		r.fresh++
	case oracle.Stale:
		r.stale++
	case oracle.Indeterminate:
		r.indeterminate++
	default:
		r.unjudged++
	}
	unjudged := v.Answer == oracle.Unjudged
	low, high, unbounded := max(v.Low, 0), v.High, v.High < 0 || unjudged
	if unjudged {
		low = 0
	}
	if v.CanBeStale {
		r.canStale++
	}
	if v.CanViolate {
		r.canViolate++
	}
	if v.Violation {
		r.violations++
	}
	if v.Answer == oracle.Stale && (!r.oldest.set || low > r.oldest.low) {
		r.oldest = staleNote{true, noteOf(&v.Op), low, v.Op.Sent}
	}
	if v.Violation && (!r.breach.set || low > r.breach.low) {
		r.breach = staleNote{true, noteOf(&v.Op), low, v.Op.Sent}
	}
	r.maxLow = max(r.maxLow, low)
	if unbounded {
		r.unbounded++
		high = longest + 1
	} else {
		r.maxHigh = max(r.maxHigh, high)
	}
	if wantStaleness {
		if r.low == nil {
			r.low, r.high = newHistogram(fine), newHistogram(fine)
		}
		r.low.record(low)
		r.high.record(high)
	}
}

func (r *reads) merge(o *reads) {
	r.fresh += o.fresh
	r.stale += o.stale
	r.indeterminate += o.indeterminate
	r.unjudged += o.unjudged
	r.canStale += o.canStale
	r.canViolate += o.canViolate
	r.violations += o.violations
	r.low, r.high = mergedHistogram(r.low, o.low), mergedHistogram(r.high, o.high)
	r.unbounded += o.unbounded
	r.maxLow, r.maxHigh = max(r.maxLow, o.maxLow), max(r.maxHigh, o.maxHigh)
	if o.oldest.set && (!r.oldest.set || o.oldest.low > r.oldest.low) {
		r.oldest = o.oldest
	}
	if o.breach.set && (!r.breach.set || o.breach.low > r.breach.low) {
		r.breach = o.breach
	}
}

// staleness is the distribution of staleness of judged reads: Quantile and Max show proven lower
// bounds, Bounds includes what is not known of each read.
type staleness struct{ *reads }

// Count implements [slo.Distribution].
func (s staleness) Count() int64 { return s.low.Count() }

// Max implements [slo.Distribution].
func (s staleness) Max() time.Duration { return s.maxLow }

// Quantile implements [slo.Distribution].
func (s staleness) Quantile(p float64) time.Duration { return s.low.Quantile(p) }

// Bounds implements [slo.Distribution].
func (s staleness) Bounds(p float64) slo.Range { return quantileBetween(s.low, s.high, p) }
