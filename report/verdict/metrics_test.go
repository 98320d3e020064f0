package verdict

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Each case breaks one thing and says which objective shows it.
// Answers with a good status that hold no value were once a note, and nothing more.
func TestUnreadableAnswersAreAMetric(t *testing.T) {
	m := healthy()
	m.op = func(p measure.Phase, i int, op *targets.Operation) {
		if p == measure.Fault && i%200 == 7 {
			op.Outcome, op.Err = targets.Failed, fmt.Errorf("%w: no JSON", targets.ErrUnreadable)
		}
		if p == measure.Fault && i%200 == 8 {
			op.Outcome, op.Err = targets.Failed, errors.New("refused") // no answer at all
		}
	}
	s := m.run(t, "steady: unreadable < 0.1%", "fault: unreadable < 0.1%", "fault: unreadable < 1%")
	require.Equal(t, slo.Pass, s.SLOs[0].Outcome)
	require.Equal(t, slo.Fail, s.SLOs[1].Outcome)
	require.Equal(t, "0.5% (15 of 2,985 answers)", s.SLOs[1].Observed)
	require.Contains(t, s.SLOs[1].Evidence, "first: read of product:1 (tenant t1)")
	require.Contains(t, s.SLOs[1].Evidence, "no JSON")
	require.Equal(t, slo.Pass, s.SLOs[2].Outcome)
	require.Equal(t, slo.Fail, s.Outcome)
}

func TestAMissIsSeenByItsObjective(t *testing.T) {
	in := func(p measure.Phase, do func(int, *targets.Operation)) func(measure.Phase, int, *targets.Operation) {
		return func(q measure.Phase, i int, op *targets.Operation) {
			if p == q {
				do(i, op)
			}
		}
	}
	staleRead := func(p measure.Phase, i int, v *oracle.Judgement) {
		if p == measure.Fault && i%5 == 0 {
			v.Answer, v.Low, v.High = oracle.Stale, 2*time.Second, 2100*ms
		}
	}
	for _, c := range []struct {
		name     string
		edit     func(*made)
		expr     string
		observed string
		evidence string
		where    string
	}{
		{"slow", func(m *made) { m.op = in(measure.Fault, taking(700*ms)) }, "p99 < 500ms", "700ms", "worst: 700ms read of product:1 (tenant t1)", "eu"},
		{"far too slow", func(m *made) { m.op = in(measure.Recovery, taking(2*time.Second)) }, "max < 1s", "2s", "at eu-0, due 6.000s", "eu"},
		{"failing", func(m *made) { m.op = in(measure.Fault, failing) }, "errors < 1%", "100% (3,000 of 3,000 operations)", "due 3.000s: connection refused", "eu"},
		{"no goodput", func(m *made) { m.op = in(measure.Fault, failing) }, "goodput > 900/s", "0/s", "0 of 3,000 operations ended ok in 3s", ""},
		{"stale", func(m *made) { m.verdict = staleRead }, "stale < 10%", "20% (600 of 3,000 reads)", "was superseded at least 2s before the read began", "eu"},
		{"too stale", func(m *made) { m.verdict = staleRead }, "staleness.max < 1s", "at least 2s", "product:1", "eu"},
		{"stale, in the oracle's words", func(m *made) {
			m.verdict = staleRead
			read := targets.Operation{Request: targets.Request{Key: targets.Key{Family: "product"}, Region: "us"}, Due: 4 * time.Second}
			before := read
			before.Due = 2 * time.Second
			m.findings.Accusations = []oracle.Accusation{
				{Kind: "stale", Text: "in steady", Op: before, Low: 9 * time.Second},
				{Kind: "stale", Text: "product:1 read v3 at 4.000s", Op: read, Low: time.Second},
				{Kind: "leak", Text: "something else", Op: read, Low: time.Minute},
			}
		}, "stale < 10%", "20%", "product:1 read v3 at 4.000s", "us"},
		{"stampede", func(m *made) {
			m.load = func(p measure.Phase, i int, l *targets.Load) {
				if p == measure.Fault && i == 1000 {
					l.Width = 6
				}
			}
		}, "stampede.max <= 2", "6", "6 loads of product:1 (tenant t1) under way at once in eu at 4.000s, each asking the source for the same key", "eu"},
		{"peak", func(m *made) {
			m.load = func(p measure.Phase, i int, l *targets.Load) {
				if p == measure.Fault {
					l.Arrived = 4*time.Second + time.Duration(i)*time.Microsecond
				}
			}
		}, "source_qps.peak < 100/s", "150/s", "150 loads arrived in the second from 4.000s", ""},
		{"misses", func(m *made) {
			m.op = in(measure.Fault, func(i int, op *targets.Operation) {
				if i%2 == 0 {
					op.Reply.Tier = targets.TierL2
				}
			})
		}, "hit_ratio{tier=l1} > 80%", "50% (1,500 of 3,000 reads)", "l1 1,500, l2 1,350, source 150", ""},
		{"redundant", func(m *made) { m.load = func(_ measure.Phase, _ int, l *targets.Load) { l.Version = 7 } }, "redundant_loads <= 100", "150 of 150 loads", "v7 in eu at 3.000s was loaded there before", "eu"},
		{"lag", func(m *made) { m.findings.Lags[0].Lag = 3 * time.Second }, "invalidation_lag.max < 1s", "3s", "a product committed at 4.000s was still read stale in eu 3s later", "eu"},
		{"no recovery", func(m *made) { m.op = in(measure.Recovery, failing) }, "recovery_time < 3s", "", "", ""},
		{"rolled back", func(m *made) {
			m.findings.Rollbacks = 2
			m.findings.Accusations = []oracle.Accusation{{Kind: "rollback", Text: "v5 of price:9 is gone"}}
		}, "rollbacks == 0", "2", "v5 of price:9 is gone", ""},
		{"incidents", func(m *made) { m.findings.StaleIncidents = 11 }, "stale_incidents <= 10", "11", "", ""},
		{"violation", func(m *made) {
			m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
				if p == measure.Warmup && i == 3 {
					v.Answer, v.Violation, v.Low = oracle.Stale, true, 12*time.Second
				}
			}
		}, "violations == 0", "1", "superseded at least 12s", "eu"},
		{"lost write, implicitly", func(m *made) { m.findings.LostWrites = 1 }, "lost_writes == 0", "1", "", ""},
		{"leak, implicitly", func(m *made) { m.findings.Leaks = 1 }, "leaks == 0", "1", "", ""},
		{"corruption, implicitly", func(m *made) { m.findings.Corruptions = 1 }, "corruptions == 0", "1", "", ""},
		{"a value that was never committed", func(m *made) {
			m.findings.DirtyReads = 1
			m.findings.Accusations = []oracle.Accusation{{Kind: "dirty read", Text: "price:9 read a value that was not in the source's history by then"}}
		}, "corruptions == 0", "1", "was not in the source's history", ""},
		{"damaged values and uncommitted ones", func(m *made) { m.findings.Corruptions, m.findings.DirtyReads = 2, 3 }, "corruptions == 0", "5", "", ""},
		{"a write that took effect against the target's word", func(m *made) {
			m.findings.FalseRejections = 2
			m.findings.Accusations = []oracle.Accusation{{Kind: "false rejection", Text: "write 4 of price:9 failed and is v5"}}
		}, "false_rejections == 0", "2", "write 4 of price:9", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.edit(m)
			s := m.run(t, usual...)
			row := rowOf(t, s, c.expr)
			if c.name == "no recovery" { // bad to the end of a window that is as long as the limit
				require.Equal(t, slo.Unknown, row.Outcome)
				require.Contains(t, row.Evidence, "missed errors as in steady")
				require.Equal(t, slo.Unknown, s.Outcome)
				return
			}
			require.Equal(t, slo.Fail, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed, c.observed)
			require.Contains(t, row.Evidence, c.evidence)
			require.Equal(t, c.where, row.Where)
			if row.Safety {
				require.Equal(t, slo.Fail, s.Outcome)
				require.Contains(t, s.Why, c.expr)
			}
		})
	}
}

// What could not have been seen is unknown, with the reason.
func TestNoDataAndNoOpportunityAreUnknown(t *testing.T) {
	never := func(measure.Phase, int, *oracle.Judgement) {}
	for _, c := range []struct {
		name string
		edit func(*made)
		more string
		why  string
	}{
		{"no sample of these labels", nil, "fault: p99{region=mars} < 1s", "no operation of these labels ended in this phase"},
		{"no error of these labels", nil, "fault: errors{region=mars} < 1%", "no operation of these labels"},
		{"no goodput of these labels", nil, "fault: goodput{region=mars} > 1/s", "no operation of these labels"},
		{"no maximum of these labels", nil, "always: max{region=mars} < 1s", "no operation of these labels ended in this drill"},
		{"no read of these labels", nil, "fault: stale{region=mars} < 1%", "no read of these labels was judged"},
		{"no staleness of these labels", nil, "fault: staleness.p99{region=mars} < 1s", "no read of these labels was judged"},
		{"no load of these labels", nil, "fault: stampede.max{region=mars} <= 2", "no load reached the source in this phase"},
		{"no lag of these labels", nil, "fault: invalidation_lag.p99{family=price} < 1s", "no commit of these labels"},
		{"no violation of these labels", nil, "fault: violations{region=mars} == 0", "no read could have exposed a violation"},
		{"a strong key undecided", func(m *made) { m.findings.UndecidedKeys = 1 }, "always: violations == 0", "of 1 strong keys it was not decided"},
		{"too few samples", func(m *made) { m.rate = 90 }, "fault: p99{kind=read} < 1s", "271 samples are too few: an upper bound on this percentile needs 299"},
		{"no tier known", nil, "fault: hit_ratio{region=mars} > 1%", "no read named the tier that answered it"},
		{"few misses", func(m *made) { m.rate = 150 }, "fault: miss_penalty < 1s", "it needs 30 of each"},
		{"no stale opportunity", func(m *made) {
			m.verdict = func(p measure.Phase, _ int, v *oracle.Judgement) { v.CanBeStale = p != measure.Steady }
		}, "steady: stale{family=product} < 1%", "no read could have exposed staleness in this phase"},
		{"nothing could be stale", func(m *made) {
			m.verdict = func(_ measure.Phase, _ int, v *oracle.Judgement) { v.CanBeStale = false }
		}, "fault: stale.proven < 1%", "no read could have exposed staleness in this phase"},
		{"nothing could lag", func(m *made) {
			m.verdict = func(_ measure.Phase, _ int, v *oracle.Judgement) { v.CanBeStale = false }
		}, "fault: invalidation_lag.max{family=product} < 1s", "no read could have exposed staleness in this phase"},
		{"leaks can't show", func(m *made) { delete(m.findings.Opportunities, "leaks") }, "always: leaks == 0", "no answer named the owner of its value"},
		{"losses can't show", func(m *made) { delete(m.findings.Opportunities, "lost_writes") }, "always: lost_writes == 0", "no acknowledged write was checked"},
		{"damage can't show", func(m *made) { delete(m.findings.Opportunities, "corruptions") }, "always: corruptions == 0", "no answer carried a value"},
		{"no write was rejected", nil, "always: false_rejections == 0", "no write failed with a promise of no effect"},
		{"loads are not counted", func(m *made) { m.input.Loads = slo.LoadDetail{} }, "fault: source_qps.peak{family=product} < 5/s", "does not count loads"},
		{"loads are counted too late", func(m *made) { m.input.Loads.PerSecond = false }, "fault: source_qps.peak < 5/s", "in which second"},
		{"loads without labels", func(m *made) { m.input.Loads.PerLabel = false }, "fault: source_qps.mean{family=product} < 5/s", "does not tell them apart"},
		{"steady has too few loads", func(m *made) { m.rate = 200 }, "fault: source_qps.peak < 3x", "steady had only 20 loads"},
		{"three times is chance", func(m *made) { m.rate = 310 }, "fault: source_qps.peak < 1.5x", "is missed by chance"},
		{"unbounded staleness", func(m *made) {
			m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
				if v.Answer = oracle.Fresh; i%2 == 1 {
					v.Answer = oracle.Indeterminate
				}
				if i == 7 {
					v.High = -1
				}
			}
		}, "fault: staleness.max{tier=l1} < 1s", "of 1 reads nothing limits how stale"},
		{"indeterminate", func(m *made) {
			m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
				if i%2 == 0 {
					v.Answer = oracle.Indeterminate
				}
			}
		}, "fault: stale{region=eu} < 20%", "1,500 of 3,000 reads may be stale or not"},
		{"unjudged", func(m *made) {
			m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
				if i%2 == 0 {
					v.Answer = oracle.Unjudged
				}
			}
		}, "fault: stale{region=eu} < 20%", "1,500 of 3,000 reads may be stale or not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			m.verdict = never
			if c.edit != nil {
				c.edit(m)
			}
			s := m.run(t, c.more)
			row := s.SLOs[0]
			require.Equal(t, slo.Unknown, row.Outcome, "%+v", row)
			require.Contains(t, row.Why, c.why)
			require.Equal(t, slo.Unknown, s.Outcome)
			require.Contains(t, s.Why, row.Why)
		})
	}
}

func TestTimesSteady(t *testing.T) {
	m := healthy() // 50 loads a second throughout
	s := m.run(t, "fault: source_qps.peak < 3x", "fault: source_qps.mean <= 0.5x", "fault: source_qps.mean > 0.5x")
	require.Equal(t, slo.Pass, s.SLOs[0].Outcome)
	require.Equal(t, "< 3x = 150/s", s.SLOs[0].Limit)
	require.Equal(t, slo.Unknown, s.SLOs[1].Outcome, "steady state itself is above half of itself")
	require.Equal(t, slo.Pass, s.SLOs[2].Outcome)
}

// Widths that are known roughly favour neither side, and what others saw of the cause stands beside
// the evidence.
func TestStampedesOfUnkeyedLoads(t *testing.T) {
	m := healthy()
	m.input.Loads.PerKey = false
	m.input.Corroborations = []measure.Corroboration{{Metric: "stampede.max", At: 2 * time.Second, Text: "too early"}, {Metric: "redundant_loads", At: 4 * time.Second, Text: "of another"},
		{Metric: "stampede.max", At: 4 * time.Second, Text: "who did it"}}
	m.load = func(p measure.Phase, i int, l *targets.Load) {
		if l.Key = (targets.Key{}); p == measure.Fault && i > 500 {
			l.Width, l.Widest = 3, 4
		}
	}
	s := m.run(t, "fault: stampede.max <= 2", "fault: stampede.max < 4", "fault: stampede.max <= 4", "recovery: stampede.max <= 1", "fault: redundant_loads < 1")
	require.Equal(t, []slo.Outcome{slo.Fail, slo.Unknown, slo.Pass, slo.Pass, slo.Unknown},
		[]slo.Outcome{s.SLOs[0].Outcome, s.SLOs[1].Outcome, s.SLOs[2].Outcome, s.SLOs[3].Outcome, s.SLOs[4].Outcome})
	require.Contains(t, s.SLOs[0].Evidence, "3 loads of one key under way at once")
	require.Contains(t, s.SLOs[0].Evidence, "for the same key; who did it")
	require.Contains(t, s.SLOs[1].Why, "only roughly")
	require.EqualValues(t, 3, *s.Phases[measure.Fault].StampedeMax)
	require.Nil(t, s.Phases[measure.Fault].RedundantLoads)

	m.input.Loads.Width = false
	require.Equal(t, slo.Unknown, m.run(t, "fault: stampede.max <= 4").SLOs[0].Outcome)
}

func TestMissPenalty(t *testing.T) {
	m := healthy()
	m.op = func(_ measure.Phase, i int, op *targets.Operation) {
		if i%20 == 0 {
			op.Returned = op.Due + 40*ms + time.Duration(i%7)*ms
		}
	}
	s := m.run(t, "fault: miss_penalty < 50ms", "fault: miss_penalty < 30ms", "fault: miss_penalty < 42ms")
	require.Equal(t, []slo.Outcome{slo.Pass, slo.Fail, slo.Unknown}, []slo.Outcome{s.SLOs[0].Outcome, s.SLOs[1].Outcome, s.SLOs[2].Outcome})
	require.InDelta(t, 42, *s.Phases[measure.Fault].MissPenaltyMS, 0.1)
}
