package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
)

// view is what was measured over some phases, for some labels.
type view struct {
	*Results
	group   slo.Group
	phases  []Phase
	labels  slo.Labels
	cell    *cell
	length  time.Duration
	missing []Phase // that the drill did not reach
}

// over gives the view of some phases, for some labels.
func (r *Results) over(g slo.Group, phases []Phase, labels slo.Labels) *view {
	v := &view{Results: r, group: g, phases: phases, labels: labels}
	v.cell, v.length, v.missing = r.agg.view(labels, phases)
	return v
}

var _ slo.Measurements = (*view)(nil)

// Scope implements [slo.Measurements].
func (v *view) Scope() slo.Scope {
	s := slo.Scope{Group: v.group, Length: v.length, Labelled: v.labels != (slo.Labels{})}
	if len(v.missing) == len(v.phases) {
		s.Missing = fmt.Sprintf("the drill ended before its %s phase", v.missing[0])
	}
	if h := v.about.Halted; h != nil && !v.agg.times.over(v.phases[len(v.phases)-1]) {
		s.Cut = slo.Cut{Why: h.Why, Ahead: h.Ahead[v.group]}
	}
	return s
}

// contains says whether an offset lies in the phases of the view.
func (v *view) contains(at time.Duration) bool { return slices.Contains(v.phases, v.agg.times.of(at)) }

// Operations implements [slo.Measurements].
func (v *view) Operations() slo.Operations {
	c := v.cell
	out := slo.Operations{
		Ended: c.ended, OK: c.ok, Failed: c.failed, Unknown: c.unknown,
		Latency: c.latency, Service: c.service, SentOnTime: v.about.UnlimitedWorkers,
		L1: c.answers.l1, L2: c.answers.l2, Source: c.answers.source, Hit: c.answers.hit.summary(), Miss: c.answers.miss.summary(),
	}
	out.Answers = slo.Answers{Total: c.answers.ok + c.answers.unreadable, Unreadable: c.answers.unreadable}
	if n := c.answers.first; n.set {
		out.Answers.First = slo.Evidence{Text: n.String() + ": " + n.err, Region: n.region}
	}
	if c.latency != nil {
		out.Clipped = c.latency.clipped
	}
	if n := c.slowest; n.set {
		out.Slowest = slo.Evidence{Text: n.String(), Region: n.region}
	}
	if n := c.firstBad; n.set {
		out.FirstBad = slo.Evidence{Text: n.String(), Region: n.region}
		if n.err != "" {
			out.FirstBad.Text += ": " + n.err
		}
	}
	return out
}

// Reads implements [slo.Measurements].
func (v *view) Reads() slo.Reads {
	r := &v.cell.reads
	return slo.Reads{
		Fresh: r.fresh, Stale: r.stale, Indeterminate: r.indeterminate, Unjudged: r.unjudged,
		Violations: r.violations, CanBeStale: r.canStale, CanViolate: r.canViolate,
		Staleness: staleness{r}, MaxHigh: r.maxHigh, Unbounded: r.unbounded,
		Oldest: v.accused(r.oldest, "stale", "violation"), Breach: v.accused(r.breach, "violation"),
	}
}

// accused gives evidence for reads of the view: the oracle's own words, else the worst note kept.
func (v *view) accused(note staleNote, kinds ...string) slo.Evidence {
	e := gravest(v.agg.found.Accusations, v.includes, kinds...)
	if e.Text == "" && note.set {
		n := note.op
		return slo.Evidence{Region: n.region, Text: fmt.Sprintf("%s was superseded at least %s before the read began at %s",
			n, slo.FormatDuration(note.low), slo.FormatMoment(note.sent))}
	}
	return e
}

// includes says whether the accused operation is one of the view.
func (v *view) includes(a *oracle.Accusation) bool {
	at := v.agg.labels(&a.Op)
	return slices.Contains(v.phases, v.agg.times.ofOperation(&a.Op)) && v.labels.Selects(&at)
}

// gravest gives the text of the accusation with the greatest staleness, else the first, of the
// kinds and of those that ok accepts.
func gravest(all []oracle.Accusation, ok func(*oracle.Accusation) bool, kinds ...string) slo.Evidence {
	var worst *oracle.Accusation
	for i := range all {
		a := &all[i]
		if slices.Contains(kinds, a.Kind) && ok(a) && (worst == nil || a.Low > worst.Low) {
			worst = a
		}
	}
	if worst == nil {
		return slo.Evidence{}
	}
	return slo.Evidence{Text: worst.Text, Region: worst.Op.Region}
}

// Oracle implements [slo.Measurements].
func (v *view) Oracle() slo.Findings {
	f := &v.agg.found
	out := slo.Findings{
		LostWrites: int64(f.LostWrites), Rollbacks: int64(f.Rollbacks), Leaks: int64(f.Leaks),
		Corruptions: int64(f.Corruptions), DirtyReads: int64(f.DirtyReads), FalseRejections: int64(f.FalseRejections),
		StaleIncidents: int64(f.StaleIncidents), UndecidedKeys: int64(f.UndecidedKeys),
		Opportunities: map[string]int64{},
		Accused: func(kinds ...string) slo.Evidence {
			return gravest(f.Accusations, func(*oracle.Accusation) bool { return true }, kinds...)
		},
	}
	for _, n := range f.Violations {
		out.Violations += int64(n)
	}
	for kind, n := range f.Opportunities {
		out.Opportunities[kind] = int64(n)
	}
	return out
}

// Recovery implements [slo.Measurements].
func (v *view) Recovery() slo.Recovery {
	known, evidence, why := v.agg.recovered.assess(v.length)
	return slo.Recovery{Known: known, Evidence: evidence, Why: why}
}
