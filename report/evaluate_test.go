package report

import (
	"testing"
	"time"

	"github.com/cachedrill/cachedrill/targets"
	"github.com/stretchr/testify/require"
)

// usual are the objectives of the drills below, one or more of every kind.
var usual = []string{
	"steady: p99{family=product, kind=read} < 120ms",
	"steady: stale{family=product} < 10%",
	"fault: errors < 1%",
	"fault: p99 < 500ms",
	"fault: stale < 10%",
	"fault: stampede.max <= 2",
	"fault: source_qps.peak < 100/s",
	"fault: source_qps.mean < 3x",
	"fault: goodput > 900/s",
	"fault: hit_ratio{tier=l1} > 80%",
	"fault: redundant_loads <= 100",
	"fault: staleness.max < 1s",
	"fault: invalidation_lag.max < 1s",
	"recovery: recovery_time < 3s",
	"always: max < 1s",
	"always: rollbacks == 0",
	"always: violations == 0",
	"always: stale_incidents <= 10",
}

// made is a drill in the making: a healthy one until a case breaks it.
type made struct {
	op       func(p Phase, i int, op *targets.Operation)
	verdict  func(p Phase, i int, v *verdict)
	load     func(p Phase, i int, l *targets.Load)
	rate     int
	findings findings
	drill    Drill
	last     Phase // the phase after which the drill ended
}

func healthy() *made {
	return &made{
		rate: 1000,
		last: Audit,
		findings: findings{
			writes: 30, acknowledged: 30,
			opportunities: map[string]int64{"stale": 100, "violations": 100, "leaks": 100, "corruptions": 100, "lost_writes": 30},
			violations:    map[string]int64{"bounded": 0},
			lags:          []lag{{"product", "eu", 4 * time.Second, 100 * ms}, {"product", "us", 2 * time.Second, 5 * time.Second}},
		},
		drill: Drill{
			Name: "mass-expiry", LoadsCounted: true,
			Faults: []FaultRun{{Name: "keys.expire", Injected: 3100 * ms, Healed: 6 * time.Second, Evidence: "1,962 keys gone"}},
		},
	}
}

// run plays warmup 0-1 s, steady 1-3 s, fault 3-6 s, recovery 6-9 s.
func (m *made) run(t *testing.T, objectives ...string) Scenario {
	t.Helper()
	f := newFeed(t, objectives...)
	starts := []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second, 10 * time.Second}
	for p := Warmup; p <= min(m.last, Recovery); p++ {
		if p > Warmup {
			f.Mark(p, starts[p])
		}
		f.ops(starts[p], starts[p+1], m.rate, func(i int, op *targets.Operation) {
			if m.op != nil {
				m.op(p, i, op)
			}
			if i%20 == 0 { // every 20th read misses
				op.Reply.Tier = targets.TierSource
				l := targets.Load{Key: op.Key, Region: "eu", Arrived: op.Due, Done: op.Returned, Version: uint64(i), Width: 1}
				if m.load != nil {
					m.load(p, i, &l)
				}
				f.Load(l)
			}
			v := verdict{op: *op, canStale: true, canViolate: true}
			if m.verdict != nil {
				m.verdict(p, i, &v)
			}
			f.judge(v)
		})
	}
	if m.last == Audit {
		f.Mark(Audit, starts[Audit])
	}
	f.finish(m.findings, starts[m.last+1])
	return Evaluate(f.Recorder, m.drill)
}

func TestAHealthyDrillPasses(t *testing.T) {
	s := healthy().run(t, usual...)
	for _, r := range s.SLOs {
		require.Equal(t, Pass, r.Outcome, "%+v", r)
		require.NotEmpty(t, r.Observed)
		require.Empty(t, r.Why)
	}
	require.Equal(t, Pass, s.Outcome, s.Why)
	require.Empty(t, s.Why)
	require.Len(t, s.SLOs, len(usual)+3, "violations is written, the other three hold implicitly")
	require.Zero(t, *s.RecoveryS)
	require.Len(t, s.Phases, int(phaseCount))
}

// Each case breaks one thing and says which objective shows it.
func TestAMissIsSeenByItsObjective(t *testing.T) {
	in := func(p Phase, do func(int, *targets.Operation)) func(Phase, int, *targets.Operation) {
		return func(q Phase, i int, op *targets.Operation) {
			if p == q {
				do(i, op)
			}
		}
	}
	staleRead := func(p Phase, i int, v *verdict) {
		if p == Fault && i%5 == 0 {
			v.answer, v.low, v.high = stale, 2*time.Second, 2100*ms
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
		{"slow", func(m *made) { m.op = in(Fault, taking(700*ms)) }, "p99 < 500ms", "700ms", "worst: 700ms read of product:1 (tenant t1)", "eu"},
		{"far too slow", func(m *made) { m.op = in(Recovery, taking(2*time.Second)) }, "max < 1s", "2s", "at eu-0, due 6.000s", "eu"},
		{"failing", func(m *made) { m.op = in(Fault, failing) }, "errors < 1%", "100% (3,000 of 3,000 operations)", "due 3.000s: connection refused", "eu"},
		{"no goodput", func(m *made) { m.op = in(Fault, failing) }, "goodput > 900/s", "0/s", "0 of 3,000 operations ended ok in 3s", ""},
		{"stale", func(m *made) { m.verdict = staleRead }, "stale < 10%", "20% (600 of 3,000 reads)", "was superseded at least 2s before the read began", "eu"},
		{"too stale", func(m *made) { m.verdict = staleRead }, "staleness.max < 1s", "at least 2s", "product:1", "eu"},
		{"stale, in the oracle's words", func(m *made) {
			m.verdict = staleRead
			read := targets.Operation{Request: targets.Request{Key: targets.Key{Family: "product"}, Region: "us"}, Due: 4 * time.Second}
			before := read
			before.Due = 2 * time.Second
			m.findings.accusations = []accusation{
				{kind: "stale", text: "in steady", op: before, low: 9 * time.Second},
				{kind: "stale", text: "product:1 read v3 at 4.000s", op: read, low: time.Second},
				{kind: "leak", text: "something else", op: read, low: time.Minute},
			}
		}, "stale < 10%", "20%", "product:1 read v3 at 4.000s", "us"},
		{"stampede", func(m *made) {
			m.load = func(p Phase, i int, l *targets.Load) {
				if p == Fault && i == 1000 {
					l.Width = 6
				}
			}
		}, "stampede.max <= 2", "6", "6 loads of product:1 (tenant t1) under way at once in eu at 4.000s: nothing collapses concurrent misses", "eu"},
		{"peak", func(m *made) {
			m.load = func(p Phase, i int, l *targets.Load) {
				if p == Fault {
					l.Arrived = 4*time.Second + time.Duration(i)*time.Microsecond
				}
			}
		}, "source_qps.peak < 100/s", "150/s", "150 loads arrived in the second from 4.000s", ""},
		{"misses", func(m *made) {
			m.op = in(Fault, func(i int, op *targets.Operation) {
				if i%2 == 0 {
					op.Reply.Tier = targets.TierL2
				}
			})
		}, "hit_ratio{tier=l1} > 80%", "50% (1,500 of 3,000 reads)", "l1 1,500, l2 1,350, source 150", ""},
		{"redundant", func(m *made) { m.load = func(_ Phase, _ int, l *targets.Load) { l.Version = 7 } }, "redundant_loads <= 100", "150 of 150 loads", "v7 in eu at 3.000s was loaded there before", "eu"},
		{"lag", func(m *made) { m.findings.lags[0].lag = 3 * time.Second }, "invalidation_lag.max < 1s", "3s", "a product committed at 4.000s was still read stale in eu 3s later", "eu"},
		{"no recovery", func(m *made) { m.op = in(Recovery, failing) }, "recovery_time < 3s", "", "", ""},
		{"rolled back", func(m *made) {
			m.findings.rollbacks = 2
			m.findings.accusations = []accusation{{kind: "rollback", text: "v5 of price:9 is gone"}}
		}, "rollbacks == 0", "2", "v5 of price:9 is gone", ""},
		{"incidents", func(m *made) { m.findings.incidents = 11 }, "stale_incidents <= 10", "11", "", ""},
		{"violation", func(m *made) {
			m.verdict = func(p Phase, i int, v *verdict) {
				if p == Warmup && i == 3 {
					v.answer, v.violation, v.low = stale, true, 12*time.Second
				}
			}
		}, "violations == 0", "1", "superseded at least 12s", "eu"},
		{"lost write, implicitly", func(m *made) { m.findings.lostWrites = 1 }, "lost_writes == 0", "1", "", ""},
		{"leak, implicitly", func(m *made) { m.findings.leaks = 1 }, "leaks == 0", "1", "", ""},
		{"corruption, implicitly", func(m *made) { m.findings.corruptions = 1 }, "corruptions == 0", "1", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.edit(m)
			s := m.run(t, usual...)
			row := rowOf(t, s, c.expr)
			if c.name == "no recovery" { // bad to the end of a window that is as long as the limit
				require.Equal(t, Unknown, row.Outcome)
				require.Contains(t, row.Evidence, "missed errors as in steady")
				require.Equal(t, Unknown, s.Outcome)
				return
			}
			require.Equal(t, Fail, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed, c.observed)
			require.Contains(t, row.Evidence, c.evidence)
			require.Equal(t, c.where, row.Where)
			if row.Safety {
				require.Equal(t, Fail, s.Outcome)
				require.Contains(t, s.Why, c.expr)
			}
		})
	}
}

// What nobody could have seen is unknown, with the reason.
func TestNoDataAndNoOpportunityAreUnknown(t *testing.T) {
	never := func(Phase, int, *verdict) {}
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
		{"too few samples", func(m *made) { m.rate = 90 }, "fault: p99{kind=read} < 1s", "271 samples are too few: an upper bound on this percentile needs 299"},
		{"no tier known", nil, "fault: hit_ratio{region=mars} > 1%", "no read told which tier answered it"},
		{"few misses", func(m *made) { m.rate = 150 }, "fault: miss_penalty < 1s", "it needs 30 of each"},
		{"no stale opportunity", func(m *made) {
			m.verdict = func(p Phase, _ int, v *verdict) { v.canStale = p != Steady }
		}, "steady: stale{family=product} < 1%", "no read could have exposed staleness in this phase"},
		{"nothing could be stale", func(m *made) {
			m.verdict = func(_ Phase, _ int, v *verdict) { v.canStale = false }
		}, "fault: stale.proven < 1%", "no read could have exposed staleness in this phase"},
		{"nothing could lag", func(m *made) {
			m.verdict = func(_ Phase, _ int, v *verdict) { v.canStale = false }
		}, "fault: invalidation_lag.max{family=product} < 1s", "no read could have exposed staleness in this phase"},
		{"leaks can't show", func(m *made) { delete(m.findings.opportunities, "leaks") }, "always: leaks == 0", "no answer told whose value it is"},
		{"losses can't show", func(m *made) { delete(m.findings.opportunities, "lost_writes") }, "always: lost_writes == 0", "no acknowledged write was checked"},
		{"loads are not counted", func(m *made) { m.drill.LoadsCounted = false }, "fault: source_qps.peak{family=product} < 5/s", "does not count loads"},
		{"steady has too few loads", func(m *made) { m.rate = 200 }, "fault: source_qps.peak < 3x", "steady had only 20 loads"},
		{"three times is chance", func(m *made) { m.rate = 310 }, "fault: source_qps.peak < 1.5x", "is missed by chance"},
		{"unbounded staleness", func(m *made) {
			m.verdict = func(p Phase, i int, v *verdict) { v.unbounded = i == 7; v.answer = answer(i % 2 * 2) }
		}, "fault: staleness.max{tier=l1} < 1s", "of 1 reads nothing limits how stale"},
		{"indeterminate", func(m *made) {
			m.verdict = func(p Phase, i int, v *verdict) {
				if i%2 == 0 {
					v.answer = indeterminate
				}
			}
		}, "fault: stale{region=eu} < 20%", "1,500 of 3,000 reads may be stale or not"},
		{"unjudged", func(m *made) {
			m.verdict = func(p Phase, i int, v *verdict) {
				if i%2 == 0 {
					v.answer = unjudged
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
			require.Equal(t, Unknown, row.Outcome, "%+v", row)
			require.Contains(t, row.Why, c.why)
			require.Equal(t, Unknown, s.Outcome)
			require.Contains(t, s.Why, row.Why)
		})
	}
}

// A miss that was proven without an opportunity noted is still a miss.
func TestAMissNeedsNoOpportunity(t *testing.T) {
	m := healthy()
	m.findings.opportunities = nil
	m.findings.leaks = 1
	m.verdict = func(p Phase, i int, v *verdict) {
		v.canStale = false
		if p == Fault {
			v.answer, v.low = stale, time.Second
		}
	}
	s := m.run(t, "fault: stale < 1%", "always: leaks == 0")
	require.Equal(t, Fail, rowOf(t, s, "stale < 1%").Outcome)
	require.Equal(t, Fail, rowOf(t, s, "leaks == 0").Outcome)
}

func TestImplicitObjectivesWithoutOpportunityAreLeftOut(t *testing.T) {
	m := healthy()
	m.findings.opportunities = nil
	m.verdict = func(_ Phase, _ int, v *verdict) { v.canViolate = false }
	s := m.run(t, "fault: p99 < 500ms")
	require.Len(t, s.SLOs, 1)
	require.Equal(t, Pass, s.Outcome)

	s = m.run(t)
	require.Empty(t, s.SLOs)
	require.Equal(t, Unknown, s.Outcome, "a drill that judged nothing")
	require.Equal(t, "no objective could be judged", s.Why)
}

// Whatever makes a drill void leaves safety standing: proven violations fail it, and nothing else is judged.
func TestVoidDrillsJudgeSafetyOnly(t *testing.T) {
	for _, c := range []struct {
		name       string
		edit       func(*made)
		why        string
		keepSteady bool // objectives of steady are judged all the same
	}{
		{"unsteady", func(m *made) {
			m.op = func(p Phase, i int, op *targets.Operation) {
				if p == Steady {
					taking(188*ms)(i, op)
				}
			}
		}, "steady p99{family=product, kind=read} < 120ms missed (188ms): not judged", false},
		{"saturated", func(m *made) { m.drill.Generator = GeneratorResult{Saturated: true, Why: "8% late"} }, "the load generator was saturated (8% late): not judged", false},
		{"starved", func(m *made) { m.drill.Starved = "no CPU for 3s" }, "the machine was starved, no CPU for 3s: not judged", false},
		{"interrupted", func(m *made) { m.drill.Interrupted = "Ctrl-C"; m.last = Fault }, "interrupted, Ctrl-C: not judged", false},
		{"no evidence", func(m *made) { m.drill.Faults[0].Evidence = "" }, "fault keys.expire left no evidence: not judged", true},
		{"never injected", func(m *made) { m.drill.Faults[0].Injected = 0 }, "fault keys.expire was never injected: not judged", true},
		{"not healed", func(m *made) { m.drill.Faults[0].Problem = "not healed: timeout" }, "fault keys.expire not healed: timeout: not judged", true},
		{"one of two without evidence", func(m *made) {
			m.drill.Faults = append(m.drill.Faults, FaultRun{Name: "sham", Injected: 4 * time.Second})
		}, "fault sham left no evidence: not judged", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.edit(m)
			s := m.run(t, usual...)
			require.Equal(t, Unknown, s.Outcome)
			require.Equal(t, c.why, s.Why)
			for _, r := range s.SLOs {
				switch {
				case r.Safety:
					require.Equal(t, Pass, r.Outcome, "%+v", r)
				case c.keepSteady && r.Phase == GroupSteady:
					require.Equal(t, Pass, r.Outcome, "%+v", r)
				default:
					require.Equal(t, Unknown, r.Outcome, "%+v", r)
					require.Equal(t, c.why, r.Why)
				}
			}

			// Only safety written: still not a pass, since the drill as a whole proves nothing.
			m = healthy()
			c.edit(m)
			if c.name != "unsteady" {
				require.Equal(t, Unknown, m.run(t, "always: violations == 0").Outcome)
			}

			for kind, violate := range map[string]func(*made){
				"violations == 0":  func(m *made) { m.findings.violations["bounded"] = 1 },
				"lost_writes == 0": func(m *made) { m.findings.lostWrites = 1 },
				"rollbacks == 0":   func(m *made) { m.findings.rollbacks = 1 },
				"leaks == 0":       func(m *made) { m.findings.leaks = 1 },
				"corruptions == 0": func(m *made) { m.findings.corruptions = 1 },
			} {
				m := healthy()
				c.edit(m)
				violate(m)
				m.rate = 310 // enough for a verdict
				s := m.run(t, usual...)
				require.Equal(t, Fail, s.Outcome, "%s while %s", kind, c.name)
				require.Contains(t, s.Why, kind)
			}
		})
	}
}

// The order of drills ends: an objective about a phase that was never reached is unknown.
func TestPhasesThatWereNotReached(t *testing.T) {
	m := healthy()
	m.last = Steady
	s := m.run(t, "fault: p99 < 1s", "recovery: recovery_time < 1s", "steady: p99 < 1s")
	require.Equal(t, "the drill ended before its fault phase", rowOf(t, s, "p99 < 1s").Why)
	require.Equal(t, "the drill ended before its recovery phase", rowOf(t, s, "recovery_time < 1s").Why)
	require.Equal(t, Pass, s.SLOs[2].Outcome)
	require.Equal(t, Unknown, s.Outcome)
}

// Under always, performance is judged from steady to recovery, safety over the whole drill.
func TestAlwaysLeavesWarmupAndAuditToSafety(t *testing.T) {
	m := healthy()
	m.op = func(p Phase, i int, op *targets.Operation) {
		if p == Warmup {
			taking(5*time.Second)(i, op)
		}
	}
	require.Equal(t, Pass, m.run(t, "always: max < 1s").Outcome)
	m.verdict = func(p Phase, i int, v *verdict) { v.violation = p == Warmup && i == 0 }
	require.Equal(t, Fail, m.run(t, "always: max < 1s").Outcome)
}

func TestAMissedSteadySafetyObjectiveFailsTheDrill(t *testing.T) {
	m := healthy()
	m.verdict = func(p Phase, i int, v *verdict) { v.violation = p == Steady && i == 0 }
	s := m.run(t, "steady: violations == 0", "fault: p99 < 500ms")
	require.Equal(t, Fail, s.Outcome)
	require.Equal(t, Pass, rowOf(t, s, "p99 < 500ms").Outcome, "safety is no question of steadiness")
}

func TestTimesSteady(t *testing.T) {
	m := healthy() // 50 loads a second throughout
	s := m.run(t, "fault: source_qps.peak < 3x", "fault: source_qps.mean <= 0.5x", "fault: source_qps.mean > 0.5x")
	require.Equal(t, Pass, s.SLOs[0].Outcome)
	require.Equal(t, "< 3x = 150/s", s.SLOs[0].Limit)
	require.Equal(t, Unknown, s.SLOs[1].Outcome, "steady state itself is above half of itself")
	require.Equal(t, Pass, s.SLOs[2].Outcome)
}

func TestMissPenalty(t *testing.T) {
	m := healthy()
	m.op = func(_ Phase, i int, op *targets.Operation) {
		if i%20 == 0 {
			op.Returned = op.Due + 40*ms + time.Duration(i%7)*ms
		}
	}
	s := m.run(t, "fault: miss_penalty < 50ms", "fault: miss_penalty < 30ms", "fault: miss_penalty < 42ms")
	require.Equal(t, []Outcome{Pass, Fail, Unknown}, []Outcome{s.SLOs[0].Outcome, s.SLOs[1].Outcome, s.SLOs[2].Outcome})
	require.InDelta(t, 42, *s.Phases[Fault].MissPenaltyMS, 0.1)
}
