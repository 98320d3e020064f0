package report

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle"
)

// Judged counts the oracle's judgement of a read. It fits [oracle.Config.Judged].
func (r *Recorder) Judged(j oracle.Judgement) { r.judge(verdictOf(j)) }

// Finish counts what is still buffered, takes the oracle's findings, and ends the last phase at offset
// end. Nothing may be recorded after it.
func (r *Recorder) Finish(f oracle.Findings, end time.Duration) { r.finish(findingsOf(f), end) }

func verdictOf(j oracle.Judgement) verdict {
	v := verdict{
		op: j.Op, low: j.Low, high: j.High, unbounded: j.High < 0,
		violation: j.Violation, canStale: j.CanBeStale, canViolate: j.CanViolate,
	}
	switch j.Answer {
	case oracle.Fresh:
		v.answer = fresh
	case oracle.Stale:
		v.answer = stale
	case oracle.Indeterminate:
		v.answer = indeterminate
	default:
		v.answer = unjudged
	}
	return v
}

func findingsOf(f oracle.Findings) findings {
	out := findings{
		writes: int64(f.Writes), acknowledged: int64(f.Acknowledged), unknownWrites: int64(f.UnknownWrites),
		lostWrites: int64(f.LostWrites), rollbacks: int64(f.Rollbacks),
		leaks: int64(f.Leaks), corruptions: int64(f.Corruptions),
		dirtyReads: int64(f.DirtyReads), falseRejections: int64(f.FalseRejections), sessions: int64(f.SessionViolations),
		unjudged: int64(f.Unjudged), incidents: int64(f.StaleIncidents),
		unjudgedKeys: int64(f.UnjudgedKeys), undecidedKeys: int64(f.UndecidedKeys),
		violations: wide(f.Violations), opportunities: wide(f.Opportunities),
	}
	out.lags = make([]lag, 0, len(f.Lags))
	for _, l := range f.Lags {
		out.lags = append(out.lags, lag{family: l.Family, region: l.Region, committed: l.Committed, lag: l.Lag})
	}
	for _, a := range f.Accusations {
		out.accusations = append(out.accusations, accusation{kind: a.Kind, at: a.At, text: a.Text, op: a.Op, low: a.Low})
	}
	out.evidence = accusationsOf(f.Accusations)
	return out
}

func wide(m map[string]int) map[string]int64 {
	out := make(map[string]int64, len(m))
	for k, n := range m {
		out[k] = int64(n)
	}
	return out
}
