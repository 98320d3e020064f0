package report

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// answer is the oracle's three-way answer about a read, or that it could give none.
type answer uint8

const (
	fresh answer = iota
	stale
	indeterminate
	unjudged
)

// verdict is the oracle's judgement of one read in this package's words.
type verdict struct {
	op         targets.Operation
	answer     answer
	low, high  time.Duration // bounds of staleness
	unbounded  bool          // nothing is known that limits the staleness from above
	violation  bool          // proven older than the class allows
	canStale   bool          // the read could have exposed staleness
	canViolate bool          // the read could have exposed a violation
}

// reads counts judged reads.
type reads struct {
	fresh, stale, indeterminate, unjudged int64
	canStale, canViolate, violations      int64

	low, high *hist // bounds of staleness; nil until wanted and filled
	unbounded int64 // reads whose staleness has no upper bound; in high they count as longest
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

func (r *reads) judged(v *verdict, wantStaleness bool) {
	switch v.answer {
	case fresh:
		r.fresh++
	case stale:
		r.stale++
	case indeterminate:
		r.indeterminate++
	default:
		r.unjudged++
	}
	low, high, unbounded := max(v.low, 0), v.high, v.unbounded || v.answer == unjudged
	if v.answer == unjudged {
		low = 0
	}
	if v.canStale {
		r.canStale++
	}
	if v.canViolate {
		r.canViolate++
	}
	if v.violation {
		r.violations++
	}
	if v.answer == stale && (!r.oldest.set || low > r.oldest.low) {
		r.oldest = staleNote{true, noteOf(&v.op), low, v.op.Sent}
	}
	if v.violation && (!r.breach.set || low > r.breach.low) {
		r.breach = staleNote{true, noteOf(&v.op), low, v.op.Sent}
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
			r.low, r.high = newHist(fine), newHist(fine)
		}
		r.low.record(low)
		r.high.record(high)
	}
}

func (r *reads) total() int64 { return r.fresh + r.stale + r.indeterminate + r.unjudged }

// maybeStale is how many reads are neither proven stale nor proven fresh.
func (r *reads) maybeStale() int64 { return r.indeterminate + r.unjudged }

func (r *reads) merge(o *reads) {
	r.fresh += o.fresh
	r.stale += o.stale
	r.indeterminate += o.indeterminate
	r.unjudged += o.unjudged
	r.canStale += o.canStale
	r.canViolate += o.canViolate
	r.violations += o.violations
	r.low, r.high = mergedHist(r.low, o.low), mergedHist(r.high, o.high)
	r.unbounded += o.unbounded
	r.maxLow, r.maxHigh = max(r.maxLow, o.maxLow), max(r.maxHigh, o.maxHigh)
	if o.oldest.set && (!r.oldest.set || o.oldest.low > r.oldest.low) {
		r.oldest = o.oldest
	}
	if o.breach.set && (!r.breach.set || o.breach.low > r.breach.low) {
		r.breach = o.breach
	}
}
