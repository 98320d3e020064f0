package report

import (
	"cmp"
	"slices"

	"github.com/cachedrill/cachedrill/targets"
)

// maxRows caps the breakdown of a report. Of one dimension no more are counted, the first ones seen.
const maxRows = 50

// breakdown counts steady, fault and recovery together, one dimension at a time: family and kind,
// region, tier, tenant.
type breakdown struct {
	dimensions [4]dimension
}

type dimension struct {
	value   func(*Labels) string // "" is no value
	labels  func(*Labels) Labels // that a row of this dimension shows
	rows    map[string]*row
	dropped bool // some value found no room
}

type row struct {
	labels          Labels
	ended           int64
	latency         *hist
	stale, judged   int64
	l1, l2, missing int64
}

func newBreakdown() breakdown {
	var b breakdown
	for i, d := range [...]dimension{
		{value: func(l *Labels) string { return l.Endpoint }, labels: func(l *Labels) Labels { return Labels{Family: l.Family, Kind: l.Kind} }},
		{value: func(l *Labels) string { return l.Region }, labels: func(l *Labels) Labels { return Labels{Region: l.Region} }},
		{value: func(l *Labels) string { return l.Tier }, labels: func(l *Labels) Labels { return Labels{Tier: l.Tier} }},
		{value: func(l *Labels) string { return l.Tenant }, labels: func(l *Labels) Labels { return Labels{Tenant: l.Tenant} }},
	} {
		d.rows = map[string]*row{}
		b.dimensions[i] = d
	}
	return b
}

func (b *breakdown) each(at *Labels, do func(*row)) {
	for i := range b.dimensions {
		d := &b.dimensions[i]
		value := d.value(at)
		if value == "" {
			continue
		}
		r := d.rows[value]
		if r == nil {
			if len(d.rows) >= maxRows {
				d.dropped = true
				continue
			}
			r = &row{labels: d.labels(at), latency: newHist(coarse)}
			d.rows[value] = r
		}
		do(r)
	}
}

func (b *breakdown) observe(op *targets.Operation, at *Labels) {
	b.each(at, func(r *row) {
		r.ended++
		r.latency.record(op.Latency())
		if op.Kind != targets.Read || op.Outcome != targets.OK {
			return
		}
		switch op.Reply.Tier {
		case targets.TierL1:
			r.l1++
		case targets.TierL2:
			r.l2++
		case targets.TierSource:
			r.missing++
		}
	})
}

func (b *breakdown) judged(v *verdict, at *Labels) {
	b.each(at, func(r *row) {
		r.judged++
		if v.answer == stale {
			r.stale++
		}
	})
}

// table gives the rows dimension by dimension, the busiest first, at most maxRows in all. complete is
// false when some are missing.
func (b *breakdown) table() (out []BreakdownRow, complete bool) {
	complete = true
	for i := range b.dimensions {
		d := &b.dimensions[i]
		complete = complete && !d.dropped
		var rows []BreakdownRow
		for _, r := range d.rows {
			rows = append(rows, r.report())
		}
		slices.SortFunc(rows, func(a, b BreakdownRow) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests),
				cmp.Compare(a.Labels.Family+a.Labels.Region+a.Labels.Tier+a.Labels.Tenant, b.Labels.Family+b.Labels.Region+b.Labels.Tier+b.Labels.Tenant),
				cmp.Compare(a.Labels.Kind, b.Labels.Kind))
		})
		out = append(out, rows...)
	}
	if len(out) > maxRows {
		out, complete = out[:maxRows], false
	}
	return out, complete
}

func (r *row) report() BreakdownRow {
	out := BreakdownRow{Labels: r.labels, Requests: r.ended, LatencyMS: latencyOf(r.latency)}
	if r.judged > 0 {
		out.Stale = rounded(float64(r.stale)/float64(r.judged), 6)
	}
	if tries := r.l1 + r.l2 + r.missing; tries > 0 {
		out.HitRatio = rounded(float64(r.l1+r.l2)/float64(tries), 6)
	}
	return out
}
