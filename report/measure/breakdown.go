package measure

import (
	"cmp"
	"slices"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// maxRows caps the breakdown of a report. Of one dimension no more are counted, the first ones
// seen.
const maxRows = 50

// breakdown counts steady, fault and recovery together, one dimension at a time: family and kind,
// region, tier, tenant.
type breakdown struct {
	dimensions [4]dimension
}

type dimension struct {
	value   func(*slo.Labels) string     // "" is no value
	labels  func(*slo.Labels) slo.Labels // that a row of this dimension shows
	rows    map[string]*row
	dropped bool // some value found no room
}

type row struct {
	labels          slo.Labels
	ended           int64
	latency         *histogram
	stale, judged   int64
	l1, l2, missing int64
}

func newBreakdown() breakdown {
	var b breakdown
	for i, d := range [...]dimension{
		{value: func(l *slo.Labels) string { return l.Endpoint }, labels: func(l *slo.Labels) slo.Labels { return slo.Labels{Family: l.Family, Kind: l.Kind} }},
		{value: func(l *slo.Labels) string { return l.Region }, labels: func(l *slo.Labels) slo.Labels { return slo.Labels{Region: l.Region} }},
		{value: func(l *slo.Labels) string { return l.Tier }, labels: func(l *slo.Labels) slo.Labels { return slo.Labels{Tier: l.Tier} }},
		{value: func(l *slo.Labels) string { return l.Tenant }, labels: func(l *slo.Labels) slo.Labels { return slo.Labels{Tenant: l.Tenant} }},
	} {
		d.rows = map[string]*row{}
		b.dimensions[i] = d
	}
	return b
}

func (b *breakdown) each(at *slo.Labels, do func(*row)) {
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
			r = &row{labels: d.labels(at), latency: newHistogram(coarse)}
			d.rows[value] = r
		}
		do(r)
	}
}

func (b *breakdown) observe(op *targets.Operation, at *slo.Labels) {
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

func (b *breakdown) judged(v *oracle.Judgement, at *slo.Labels) {
	b.each(at, func(r *row) {
		r.judged++
		if v.Answer == oracle.Stale {
			r.stale++
		}
	})
}

// Row counts steady, fault and recovery together for one set of labels.
type Row struct {
	Labels        slo.Labels
	Requests      int64
	Latency       slo.Distribution
	Stale, Judged int64 // reads
	Hits, Tries   int64 // reads that ended ok, of any tier
}

// Breakdown gives the rows dimension by dimension, the busiest first, at most 50 in all. complete
// is false when some are missing.
func (r *Results) Breakdown() (out []Row, complete bool) {
	complete = true
	for i := range r.agg.rows.dimensions {
		d := &r.agg.rows.dimensions[i]
		complete = complete && !d.dropped
		var rows []Row
		for _, r := range d.rows {
			rows = append(rows, Row{r.labels, r.ended, r.latency, r.stale, r.judged, r.l1 + r.l2, r.l1 + r.l2 + r.missing})
		}
		slices.SortFunc(rows, func(a, b Row) int {
			name := func(l slo.Labels) string { return l.Family + l.Region + l.Tier + l.Tenant }
			return cmp.Or(cmp.Compare(b.Requests, a.Requests),
				cmp.Compare(name(a.Labels), name(b.Labels)), cmp.Compare(a.Labels.Kind, b.Labels.Kind))
		})
		out = append(out, rows...)
	}
	if len(out) > maxRows {
		out, complete = out[:maxRows], false
	}
	return out, complete
}
