package report

import (
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// selection is a set of labels that somebody wants counted apart, and what of it needs histograms.
type selection struct {
	labels    Labels
	latency   bool
	service   bool
	staleness bool
}

// selectionsOf lists what has to be counted: everything together first, then each distinct set of
// labels of the objectives.
func selectionsOf(objectives []Grouped) []selection {
	out := []selection{{latency: true, service: true, staleness: true}}
	at := map[Labels]int{{}: 0}
	for _, g := range objectives {
		l := selectionLabels(g.Objective)
		i, ok := at[l]
		if !ok {
			i = len(out)
			at[l] = i
			out = append(out, selection{labels: l})
		}
		switch m := g.Objective.metric(); {
		case m.Name == "max" || m.quantile > 0 && !isStaleness(m.Name) && !isLag(m.Name):
			out[i].latency, out[i].service = true, true
		case isStaleness(m.Name):
			out[i].staleness = true
		}
	}
	return out
}

// selectionLabels gives the labels that choose an objective's operations. The tier of a hit ratio
// names a column of the count, and chooses none.
func selectionLabels(o Objective) Labels {
	l := labelsOf(o.Labels)
	if o.Metric == "hit_ratio" {
		l.Tier = ""
	}
	return l
}

func isStaleness(metric string) bool { return metric == "staleness.p99" || metric == "staleness.max" }
func isLag(metric string) bool       { return strings.HasPrefix(metric, "invalidation_lag.") }

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

func (m *moments) mean() float64 { return m.sum / float64(m.n) }

// meanVariance is the squared standard error of the mean; n must be 2 or more.
func (m *moments) meanVariance() float64 {
	n := float64(m.n)
	return max(0, (m.square-m.sum*m.sum/n)/(n-1)/n)
}

// cell counts what one selection saw in one phase. It is not safe for concurrent use.
type cell struct {
	ended, ok, failed, unknown int64 // operations

	latency, service *hist // nil until wanted and filled
	slowest          opNote
	firstBad         opNote // the earliest due operation that did not end ok

	l1, l2, source int64 // ok reads by the tier that answered
	hit, miss      moments

	reads reads
	loads loadCount
}

func (c *cell) observe(op *targets.Operation, s *selection) {
	c.ended++
	switch op.Outcome {
	case targets.OK:
		c.ok++
	case targets.Failed:
		c.failed++
	default:
		c.unknown++
	}
	if op.Outcome != targets.OK && (!c.firstBad.set || op.Due < c.firstBad.due) {
		c.firstBad = noteOf(op)
	}
	latency := op.Latency()
	if s.latency {
		if c.latency == nil {
			c.latency = newHist(fine)
		}
		c.latency.record(latency)
		if !c.slowest.set || latency > c.slowest.latency {
			c.slowest = noteOf(op)
		}
	}
	if s.service {
		if c.service == nil {
			c.service = newHist(fine)
		}
		c.service.record(op.Service())
	}
	if op.Kind == targets.Read && op.Outcome == targets.OK {
		c.answered(op.Reply.Tier, latency)
	}
}

func (c *cell) answered(tier string, latency time.Duration) {
	switch tier {
	case targets.TierL1:
		c.l1++
		c.hit.add(latency)
	case targets.TierL2:
		c.l2++
		c.hit.add(latency)
	case targets.TierSource:
		c.source++
		c.miss.add(latency)
	}
}

// hitRatio gives hits and tries of a tier: of l2 among reads that missed l1; "" takes all tiers together.
func (c *cell) hitRatio(tier string) (hits, tries int64) {
	switch tier {
	case targets.TierL1:
		return c.l1, c.l1 + c.l2 + c.source
	case targets.TierL2:
		return c.l2, c.l2 + c.source
	}
	return c.l1 + c.l2, c.l1 + c.l2 + c.source
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
		out.latency = mergedHist(out.latency, c.latency)
		out.service = mergedHist(out.service, c.service)
		if c.slowest.set && (!out.slowest.set || c.slowest.latency > out.slowest.latency) {
			out.slowest = c.slowest
		}
		if c.firstBad.set && (!out.firstBad.set || c.firstBad.due < out.firstBad.due) {
			out.firstBad = c.firstBad
		}
		out.l1, out.l2, out.source = out.l1+c.l1, out.l2+c.l2, out.source+c.source
		out.hit.merge(c.hit)
		out.miss.merge(c.miss)
		out.reads.merge(&c.reads)
		out.loads.merge(&c.loads)
	}
	return out
}

func mergedHist(into, from *hist) *hist {
	if from == nil {
		return into
	}
	if into == nil {
		into = newHist(fine)
	}
	into.merge(from)
	return into
}
