package measure

import (
	"errors"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// selection is a set of labels that is counted apart, and what of it needs histograms.
type selection struct {
	labels    slo.Labels
	latency   bool
	service   bool
	staleness bool
}

// selectionsOf lists what has to be counted: everything together first, then each distinct set of
// labels of the objectives.
func selectionsOf(objectives []slo.PhaseObjective) []selection {
	out := []selection{{latency: true, service: true, staleness: true}}
	at := map[slo.Labels]int{{}: 0}
	for _, g := range objectives {
		l := g.Objective.Selection()
		i, ok := at[l]
		if !ok {
			i = len(out)
			at[l] = i
			out = append(out, selection{labels: l})
		}
		if needs := g.Objective.Definition().Needs; needs.Latency {
			out[i].latency, out[i].service = true, true
		} else if needs.Staleness {
			out[i].staleness = true
		}
	}
	return out
}

// opNote remembers one operation as evidence.
type opNote struct {
	set     bool
	kind    targets.Kind
	key     targets.Key
	tier    string
	where   string // the worker, or the client's region when the target does not tell
	region  string
	due     time.Duration
	latency time.Duration
	err     string
}

func noteOf(op *targets.Operation) opNote {
	n := opNote{set: true, kind: op.Kind, key: op.Key, tier: op.Reply.Tier, where: op.Reply.Worker,
		region: op.Region, due: op.Due, latency: op.Latency()}
	if n.where == "" {
		n.where = op.Region
	}
	if op.Err != nil {
		n.err = op.Err.Error()
	}
	return n
}

func (n opNote) String() string {
	s := n.kind.String() + " of " + n.key.String()
	if n.tier != "" {
		s += " from " + n.tier
	}
	if n.where != "" {
		s += " at " + n.where
	}
	return s + ", due " + slo.FormatMoment(n.due)
}

// moments of latencies, in seconds: enough for a mean and its standard error.
type moments struct {
	n           int64
	sum, square float64
}

func (m *moments) add(d time.Duration) {
	s := d.Seconds()
	m.n, m.sum, m.square = m.n+1, m.sum+s, m.square+s*s
}

func (m *moments) merge(o moments) { m.n, m.sum, m.square = m.n+o.n, m.sum+o.sum, m.square+o.square }

// summary gives the mean; its variance needs 2 or more.
func (m *moments) summary() slo.Mean {
	if m.n == 0 {
		return slo.Mean{}
	}
	out := slo.Mean{N: m.n, Value: m.sum / float64(m.n)}
	if n := float64(m.n); m.n > 1 {
		out.Variance = max(0, (m.square-m.sum*m.sum/n)/(n-1)/n)
	}
	return out
}

// answers counts answers to reads.
type answers struct {
	ok, unreadable int64
	first          opNote // the earliest due unreadable one

	l1, l2, source int64 // of ok, by the tier that answered
	hit, miss      moments
}

func (a *answers) observe(op *targets.Operation, latency time.Duration) {
	switch {
	case op.Outcome == targets.OK:
		a.ok++
		a.from(op.Reply.Tier, latency)
	case op.Err != nil && errors.Is(op.Err, targets.ErrUnreadable):
		a.unreadable++
		if !a.first.set || op.Due < a.first.due {
			a.first = noteOf(op)
		}
	}
}

func (a *answers) from(tier string, latency time.Duration) {
	switch tier {
	case targets.TierL1:
		a.l1++
		a.hit.add(latency)
	case targets.TierL2:
		a.l2++
		a.hit.add(latency)
	case targets.TierSource:
		a.source++
		a.miss.add(latency)
	}
}

func (a *answers) merge(o *answers) {
	a.ok, a.unreadable = a.ok+o.ok, a.unreadable+o.unreadable
	a.l1, a.l2, a.source = a.l1+o.l1, a.l2+o.l2, a.source+o.source
	a.hit.merge(o.hit)
	a.miss.merge(o.miss)
	if o.first.set && (!a.first.set || o.first.due < a.first.due) {
		a.first = o.first
	}
}

// cell counts what one selection saw in one phase. It is not safe for concurrent use.
type cell struct {
	ended, ok, failed, unknown int64 // operations

	latency, service *histogram // nil until wanted and filled
	slowest          opNote
	firstBad         opNote // the earliest due operation that did not end ok

	answers answers

	reads reads
	loads loadCount
}

func (c *cell) observe(op *targets.Operation, s *selection) {
	c.ended++
	switch op.Outcome {
	case targets.OK, targets.Accepted:
		c.ok++
	case targets.Failed:
		c.failed++
	default:
		c.unknown++
	}
	if !op.Outcome.Answered() && (!c.firstBad.set || op.Due < c.firstBad.due) {
		c.firstBad = noteOf(op)
	}
	latency := op.Latency()
	if s.latency {
		if c.latency == nil {
			c.latency = newHistogram(fine)
		}
		c.latency.record(latency)
		if !c.slowest.set || latency > c.slowest.latency {
			c.slowest = noteOf(op)
		}
	}
	if s.service {
		if c.service == nil {
			c.service = newHistogram(fine)
		}
		c.service.record(op.Service())
	}
	if op.Kind == targets.Read {
		c.answers.observe(op, latency)
	}
}

// merged gives a cell with the counts of all, to be read only; nil cells count nothing.
func merged(cells ...*cell) *cell {
	cells = slices.DeleteFunc(cells, func(c *cell) bool { return c == nil })
	if len(cells) == 1 {
		return cells[0]
	}
	out := &cell{}
	for _, c := range cells {
		out.ended += c.ended
		out.ok += c.ok
		out.failed += c.failed
		out.unknown += c.unknown
		out.latency = mergedHistogram(out.latency, c.latency)
		out.service = mergedHistogram(out.service, c.service)
		if c.slowest.set && (!out.slowest.set || c.slowest.latency > out.slowest.latency) {
			out.slowest = c.slowest
		}
		if c.firstBad.set && (!out.firstBad.set || c.firstBad.due < out.firstBad.due) {
			out.firstBad = c.firstBad
		}
		out.answers.merge(&c.answers)
		out.reads.merge(&c.reads)
		out.loads.merge(&c.loads)
	}
	return out
}

func mergedHistogram(into, from *histogram) *histogram {
	if from == nil {
		return into
	}
	if into == nil {
		into = newHistogram(fine)
	}
	into.merge(from)
	return into
}
