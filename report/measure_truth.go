package report

import (
	"fmt"
)

// blindToStaleness says why nothing in the scope could have shown a stale read; "" when something could.
func (s *scope) blindToStaleness() string {
	if s.cell.reads.canStale > 0 {
		return ""
	}
	return "no read could have exposed staleness " + s.during()
}

func (s *scope) noReads() measurement {
	return nothing("no read of these labels was judged " + s.during())
}

// accusedOf gives evidence for reads of the scope: the oracle's own words, else the worst note kept.
func (s *scope) accusedOf(note staleNote, kinds ...string) (text, region string) {
	text, region = s.agg.found.accused(func(a *accusation) bool {
		at := s.agg.labels(&a.op)
		return s.contains(a.op.Due) && s.labels.selects(&at)
	}, kinds...)
	if text == "" && note.set {
		n := note.op
		return fmt.Sprintf("%s was superseded at least %s before the read began at %s", n, duration(note.low), moment(note.sent)), n.region
	}
	return text, region
}

func (s *scope) stale(provenOnly bool) measurement {
	r := &s.cell.reads
	if r.total() == 0 {
		return s.noReads()
	}
	maybe := r.maybeStale()
	m := measurement{known: Share(r.stale, maybe, r.total()), blind: s.blindToStaleness()}
	m.observed = fmt.Sprintf("%s (%s of %s reads)", percent(m.known.Low), count(r.stale), count(r.total()))
	if provenOnly {
		m.known = Exactly(m.known.Low)
	} else if maybe > 0 {
		m.observed = fmt.Sprintf("%s..%s (%s of %s reads, %s more indeterminate)",
			percent(m.known.Low), percent(m.known.High), count(r.stale), count(r.total()), count(maybe))
		m.why = fmt.Sprintf("%s of %s reads may be stale or not, and the limit lies between", count(maybe), count(r.total()))
	}
	m.evidence, m.where = s.accusedOf(r.oldest, "stale", "violation")
	return m
}

// staleness measures the p-quantile of staleness over all judged reads, or its maximum when p is 0.
func (s *scope) staleness(p float64) measurement {
	r := &s.cell.reads
	if r.total() == 0 {
		return s.noReads()
	}
	m := measurement{blind: s.blindToStaleness()}
	if p > 0 {
		m.known = quantileBetween(r.low, r.high, p)
		m.observed = "at least " + duration(r.low.quantile(p))
		m.why = fewSamples(m.known, r.total(), p)
	} else {
		high := r.maxHigh
		m.known = Range{r.maxLow.Seconds(), max(high, r.maxLow).Seconds()}
		m.observed = "at least " + duration(r.maxLow)
		m.why = fmt.Sprintf("it lies between %s and %s, and the limit between", duration(r.maxLow), duration(high))
		if r.unbounded > 0 {
			m.known.High = inf
			m.why = fmt.Sprintf("of %s reads nothing limits how stale they may be", count(r.unbounded))
		}
	}
	m.evidence, m.where = s.accusedOf(r.oldest, "stale", "violation")
	return m
}

func (s *scope) violations() measurement {
	r := &s.cell.reads
	n, whole := r.violations, s.group == GroupAlways && s.labels == (Labels{})
	if whole {
		n = max(n, s.agg.found.violationsTotal())
	}
	m := measurement{known: Exactly(float64(n)), observed: count(n)}
	if undecided := s.agg.found.undecidedKeys; whole && undecided > 0 { // each may hide one, at least
		m.known.High = inf
		m.why = fmt.Sprintf("of %s strong keys it was not decided whether some order of the writes explains all reads", count(undecided))
	}
	if r.canViolate == 0 && (s.group != GroupAlways || s.agg.found.opportunities["violations"] == 0 || s.labels != (Labels{})) {
		m.blind = "no read could have exposed a violation " + s.during()
	}
	if n > 0 {
		m.evidence, m.where = s.accusedOf(r.breach, "violation")
	}
	return m
}

func (s *scope) incidents() measurement {
	f := &s.agg.found
	m := measurement{known: Exactly(float64(f.incidents)), observed: count(f.incidents)}
	if f.opportunities["stale"] == 0 {
		m.blind = "no read could have exposed staleness in this drill"
	}
	m.evidence, m.where = f.accused(everything, "stale", "violation")
	return m
}

func everything(*accusation) bool { return true }

// finding measures what the oracle counts over the whole drill.
func (s *scope) finding(metric string) measurement {
	f := &s.agg.found
	var n int64
	var kinds []string // of the accusations that are evidence
	var blind string
	chances := f.opportunities[metric]
	switch metric {
	case "lost_writes":
		n, kinds, blind = f.lostWrites, []string{"lost write"}, "no acknowledged write was checked at the source"
	case "rollbacks":
		n, kinds, blind = f.rollbacks, []string{"rollback"}, "no write was checked at the source"
		// The same look at the source's history finds both kinds missing.
		chances = max(chances, f.opportunities["lost_writes"])
	case "leaks":
		n, kinds, blind = f.leaks, []string{"leak"}, "no answer told whose value it is, or no other key could be mixed up with it"
	case "corruptions":
		// A value that was never committed is as wrong as a damaged one; the report counts them apart as well.
		n, kinds, blind = f.corruptions+f.dirtyReads, []string{"corruption", "dirty read"}, "no answer carried a value that certifies itself"
		chances = max(chances, f.opportunities["dirty_reads"])
	case "false_rejections":
		n, kinds, blind = f.falseRejections, []string{"false rejection"}, "no write failed with a promise of no effect"
	default:
		return nothing("no measurement for " + metric)
	}
	m := measurement{known: Exactly(float64(n)), observed: count(n)}
	if chances == 0 {
		m.blind = blind
	}
	m.evidence, m.where = f.accused(everything, kinds...)
	return m
}
