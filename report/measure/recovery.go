package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

const (
	grain      = 100 * time.Millisecond // recovery is counted by it, and judged by buckets of several
	bucketFull = 1000                   // operations that fill a bucket
	bucketSpan = time.Second            // and the time that fills it
	holdTime   = time.Second            // that must be good before recovery counts
)

// criterion is one way for an operation to be bad: not ok, or slower than a steady objective says.
type criterion struct {
	labels  slo.Labels
	op      slo.Op
	limit   float64 // seconds; 0 with op "" judges errors only
	allowed float64 // share of bad operations that the objective lets pass
	text    string
}

// bad counts from the due time, also when the generator was late: lateness delays recovery, and
// never makes it look earlier.
func (c *criterion) bad(o *targets.Operation) bool {
	return !o.Outcome.Answered() || c.op != "" && !c.op.Holds(o.Latency().Seconds(), c.limit)
}

// tally is bad operations of all that a criterion is about.
type tally struct{ n, bad int64 }

// slice is what recovery saw in one grain of time.
type slice struct {
	ended int64
	late  int64   // sent late by the generator itself; see disturbed
	by    []tally // per criterion
}

// recovery counts, per criterion, bad operations in steady state and after the heal.
type recovery struct {
	criteria []criterion
	steady   []tally
	slices   []slice // by (due - start of recovery) / grain
	excuse   bool    // operations waited for nothing but the generator: what was sent late tells of the machine
}

// newRecovery takes its criteria from the steady objectives about latency (upper limits) and
// errors. Errors are always judged, by steady state itself when no objective is about them.
func newRecovery(objectives []slo.PhaseObjective) *recovery {
	r := &recovery{}
	allErrors := false
	for _, g := range objectives {
		o, m := g.Objective, g.Objective.Definition()
		if g.Group != slo.GroupSteady || !o.Op.Upper() && (m.Name != "errors" || o.Op != slo.Equal) {
			continue
		}
		switch c := (criterion{labels: o.Selection(), text: o.Expr}); {
		case m.Name == "errors":
			allErrors = allErrors || len(o.Labels) == 0
			c.allowed = o.Limit.Value
			r.criteria = append(r.criteria, c)
		case m.Needs.Latency:
			c.op, c.limit = o.Op, o.Limit.Value
			if m.Quantile > 0 {
				c.allowed = 1 - m.Quantile
			}
			r.criteria = append(r.criteria, c)
		}
	}
	if !allErrors {
		r.criteria = append(r.criteria, criterion{text: "errors as in steady"})
	}
	r.steady = make([]tally, len(r.criteria))
	return r
}

func (r *recovery) observe(op *targets.Operation, at *slo.Labels, p Phase, start time.Duration) {
	var by []tally
	switch p {
	case Steady:
		by = r.steady
	case Recovery:
		i := int((op.Due - start) / grain)
		for len(r.slices) <= i {
			r.slices = append(r.slices, slice{by: make([]tally, len(r.criteria))})
		}
		r.slices[i].ended++
		if sentLate(op) {
			r.slices[i].late++
		}
		by = r.slices[i].by
	default:
		return
	}
	for i := range r.criteria {
		c := &r.criteria[i]
		if !c.labels.Selects(at) {
			continue
		}
		by[i].n++
		if c.bad(op) {
			by[i].bad++
		}
	}
}

// bucket is the unit in which recovery is judged: consecutive slices up to 1,000 operations or 1 s.
// What is left at the end, and less than that, is part of the last one.
type bucket struct {
	from, to time.Duration // since the heal
	all      tally         // of which sent late
	by       []tally
}

func (r *recovery) buckets(length time.Duration) []bucket {
	var out []bucket
	cur := bucket{by: make([]tally, len(r.criteria))}
	var ended int64
	for i, s := range r.slices {
		cur.to = min(time.Duration(i+1)*grain, length)
		ended += s.ended
		cur.all.n += s.ended
		cur.all.bad += s.late
		for k := range s.by {
			cur.by[k].n += s.by[k].n
			cur.by[k].bad += s.by[k].bad
		}
		full := ended >= bucketFull || cur.to-cur.from >= bucketSpan
		switch last := i == len(r.slices)-1; {
		case full, last && len(out) == 0:
			out = append(out, cur)
			cur, ended = bucket{from: cur.to, by: make([]tally, len(r.criteria))}, 0
		case last:
			out[len(out)-1].take(&cur)
		}
	}
	return out
}

// take adds the bucket that follows.
func (b *bucket) take(next *bucket) {
	b.to = next.to
	b.all.n += next.all.n
	b.all.bad += next.all.bad
	for k := range next.by {
		b.by[k].n += next.by[k].n
		b.by[k].bad += next.by[k].bad
	}
}

// tolerated is the share of bad operations that a bucket may truly have: what the objective allows,
// or what steady state had when that is more. The latter is estimated from n samples, so it is
// taken one bad operation higher than seen; otherwise the first error after a faultless second of
// steady state would already be significant.
func (r *recovery) tolerated(i int) float64 {
	s := r.steady[i]
	if r.criteria[i].allowed == 0 && s.n == 0 {
		return 0
	}
	return max(r.criteria[i].allowed, float64(s.bad+1)/float64(s.n+2))
}

// assess says when the service had recovered, in seconds since the heal, and by which evidence.
// length is how long the recovery phase lasted. why is set when the window ended too early to know,
// or had too few operations to tell.
//
// The time of recovery lies within the last bad bucket. Without a second of good ones behind it it
// is not known when, or whether, it ended: the range is open above, which still fails a limit that
// lies before it. A bad bucket in which the machine was disturbed may be the machine's doing: it
// opens the range as far as its own end, and proves nothing. So it is when a bucket behind it has
// so few operations of a criterion that it would have been good with all of them bad.
func (r *recovery) assess(length time.Duration) (known slo.Range, evidence, why string) {
	buckets := r.buckets(length)
	if len(buckets) == 0 {
		return slo.Nothing(), "", "no operation was due in recovery"
	}
	known = slo.Exactly(0)
	goodFrom := time.Duration(0)
	tooFew, disturbance := "", ""
	proven := 0.0
	for _, b := range buckets {
		for i, t := range b.by {
			if !slo.SignificantlyAbove(t.n, t.n, r.tolerated(i)) && tooFew == "" {
				tooFew = fmt.Sprintf("too few operations of %s to tell good from bad: %s in %s to %s after the heal",
					r.criteria[i].text, slo.FormatCount(t.n), slo.FormatTenths(b.from), slo.FormatTenths(b.to))
			}
		}
		for i, t := range b.by {
			if !slo.SignificantlyAbove(t.bad, t.n, r.tolerated(i)) {
				continue
			}
			tooFew = "" // what happened up to a bad bucket decides nothing
			known = slo.Range{Low: b.from.Seconds(), High: b.to.Seconds()}
			disturbance = ""
			if r.excuse && disturbed(b.all) {
				known.Low = proven
				disturbance = fmt.Sprintf("the machine was disturbed from %s to %s after the heal: %s of %s operations were sent late by the generator itself",
					slo.FormatTenths(b.from), slo.FormatTenths(b.to), slo.FormatCount(b.all.bad), slo.FormatCount(b.all.n))
			}
			proven = known.Low
			goodFrom = b.to
			evidence = fmt.Sprintf("last bad: %s to %s after the heal, %s of %s operations missed %s (%s tolerated)",
				slo.FormatTenths(b.from), slo.FormatTenths(b.to), slo.FormatCount(t.bad), slo.FormatCount(t.n), r.criteria[i].text, slo.FormatPercent(r.tolerated(i)))
		}
	}
	observedTo := buckets[len(buckets)-1].to
	switch {
	case disturbance != "" && observedTo-goodFrom < holdTime:
		known.High, why = math.Inf(1), disturbance
	case disturbance != "":
		why = disturbance
	case observedTo-goodFrom < holdTime:
		known.High = math.Inf(1)
		why = fmt.Sprintf("only %s of good operations before the window ended; %s must hold", slo.FormatTenths(observedTo-goodFrom), slo.FormatTenths(holdTime))
	case tooFew != "":
		known.High, why = math.Inf(1), tooFew
	}
	return known, evidence, why
}
