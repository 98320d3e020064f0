package verdict

import (
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
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
	op       func(p measure.Phase, i int, op *targets.Operation)
	verdict  func(p measure.Phase, i int, v *oracle.Judgement)
	load     func(p measure.Phase, i int, l *targets.Load)
	rate     int
	findings oracle.Findings
	input    Input
	last     measure.Phase // the phase after which the drill ended
}

func healthy() *made {
	return &made{
		rate: 1000,
		last: measure.Audit,
		findings: oracle.Findings{
			Writes: 30, Acknowledged: 30,
			Opportunities: map[string]int{"stale": 100, "violations": 100, "leaks": 100, "corruptions": 100, "lost_writes": 30},
			Violations:    map[string]int{"bounded": 0},
			Lags:          []oracle.Lag{{Family: unique.Make("product"), Region: unique.Make("eu"), Committed: 4 * time.Second, Lag: 100 * ms}, {Family: unique.Make("product"), Region: unique.Make("us"), Committed: 2 * time.Second, Lag: 5 * time.Second}},
		},
		input: Input{
			Name: "mass-expiry", Loads: slo.LoadDetail{Counted: true, PerKey: true, PerLabel: true, PerSecond: true, Width: true},
			Faults: []FaultRun{{Name: "keys.expire", Injected: 3100 * ms, Healed: 6 * time.Second, Evidence: "1,962 keys gone"}},
		},
	}
}

// run plays warmup 0-1 s, steady 1-3 s, fault 3-6 s, recovery 6-9 s.
func (m *made) run(t *testing.T, objectives ...string) report.Drill {
	t.Helper()
	f := newFeed(t, objectives...)
	starts := [...]time.Duration{measure.Steady: time.Second, measure.Fault: 3 * time.Second, measure.Recovery: 6 * time.Second, measure.Dip: 9 * time.Second,
		measure.AfterDip: 9 * time.Second, measure.Audit: 9 * time.Second, measure.Audit + 1: 10 * time.Second}
	for p := measure.Warmup; p <= min(m.last, measure.Recovery); p++ {
		if p > measure.Warmup {
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
			v := oracle.Judgement{Op: *op, Answer: oracle.Fresh, CanBeStale: true, CanViolate: true}
			if m.verdict != nil {
				m.verdict(p, i, &v)
			}
			f.Judged(v)
		})
	}
	if m.last == measure.Audit {
		f.Mark(measure.Audit, starts[measure.Audit])
	}
	f.Finish(m.findings, starts[m.last+1])
	return Evaluate(f.Recorder, m.input)
}

func TestAHealthyDrillPasses(t *testing.T) {
	s := healthy().run(t, usual...)
	for _, r := range s.SLOs {
		require.Equal(t, slo.Pass, r.Outcome, "%+v", r)
		require.NotEmpty(t, r.Observed)
		require.Empty(t, r.Why)
	}
	require.Equal(t, slo.Pass, s.Outcome, s.Why)
	require.Empty(t, s.Why)
	require.Len(t, s.SLOs, len(usual)+3, "violations is written, the other three hold implicitly")
	require.Zero(t, *s.RecoveryS)
	require.Len(t, s.Phases, 5)
}

// A miss that was proven without an opportunity noted is still a miss.
func TestAMissNeedsNoOpportunity(t *testing.T) {
	m := healthy()
	m.findings.Opportunities = nil
	m.findings.Leaks = 1
	m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
		v.CanBeStale = false
		if p == measure.Fault {
			v.Answer, v.Low = oracle.Stale, time.Second
		}
	}
	s := m.run(t, "fault: stale < 1%", "always: leaks == 0")
	require.Equal(t, slo.Fail, rowOf(t, s, "stale < 1%").Outcome)
	require.Equal(t, slo.Fail, rowOf(t, s, "leaks == 0").Outcome)
}

// A service with 98.5% errors under a black-hole once came out as unknown, because the audit had no
// way past its caches.
func TestWhatCouldNotBeJudgedUnprovesNoMiss(t *testing.T) {
	m := healthy()
	m.findings.Opportunities["lost_writes"] = 0
	objectives := []string{"fault: errors < 5%", "always: lost_writes == 0"}
	require.Equal(t, slo.Unknown, m.run(t, objectives...).Outcome, "no miss was proven")
	m.op = func(p measure.Phase, i int, op *targets.Operation) {
		if p == measure.Fault && i%200 > 2 {
			op.Outcome = targets.Failed
		}
	}
	s := m.run(t, objectives...)
	require.Equal(t, slo.Fail, s.Outcome)
	require.Equal(t, "errors < 5%: observed 98.5% (2,955 of 3,000 operations) in fault", s.Why)
	require.Equal(t, slo.Unknown, rowOf(t, s, "lost_writes == 0").Outcome)
	m.input.Generator.Saturated = true
	require.Equal(t, slo.Unknown, m.run(t, objectives...).Outcome, "void")
}

func TestImplicitObjectivesWithoutOpportunityAreLeftOut(t *testing.T) {
	m := healthy()
	m.findings.Opportunities = nil
	m.verdict = func(_ measure.Phase, _ int, v *oracle.Judgement) { v.CanViolate = false }
	s := m.run(t, "fault: p99 < 500ms")
	require.Len(t, s.SLOs, 1)
	require.Equal(t, slo.Pass, s.Outcome)

	s = m.run(t)
	require.Empty(t, s.SLOs)
	require.Equal(t, slo.Unknown, s.Outcome, "a drill that judged nothing")
	require.Equal(t, "no objective could be judged", s.Why)
}

// What the plan could not have shown missed was not kept.
func TestWhatThePlanCouldNotShowIsNotJudged(t *testing.T) {
	m := healthy()
	m.input.Unshown = func(g slo.Group, o slo.Objective) string {
		if o.Metric == "staleness.max" && g == slo.GroupAlways || o.Metric == "violations" {
			return "not judged: the drill is too short"
		}
		return ""
	}
	s := m.run(t, "fault: staleness.max < 20s", "always: staleness.max < 30s", "steady: p99 < 1s")
	require.Equal(t, slo.Unknown, s.Outcome)
	require.Equal(t, slo.Pass, s.SLOs[0].Outcome)
	require.Equal(t, slo.Unknown, s.SLOs[1].Outcome)
	require.Equal(t, "not judged: the drill is too short", s.SLOs[1].Why)
	require.Equal(t, slo.Unknown, rowOf(t, s, "violations == 0").Outcome, "it holds always")

	// It stands in the table even where no read had an opportunity, and a proven miss stands.
	m.findings.Opportunities = nil
	m.verdict = func(_ measure.Phase, _ int, v *oracle.Judgement) { v.CanViolate = false }
	require.Equal(t, slo.Unknown, rowOf(t, m.run(t, "steady: p99 < 1s"), "violations == 0").Outcome)
	m.findings.Violations["bounded"] = 1
	require.Equal(t, slo.Fail, m.run(t, "steady: p99 < 1s").Outcome)
}

// Whatever makes a drill void leaves safety standing: proven violations fail it, and nothing else
// is judged.
func TestVoidDrillsJudgeSafetyOnly(t *testing.T) {
	for _, c := range []struct {
		name       string
		edit       func(*made)
		why        string
		keepSteady bool // objectives of steady are judged all the same
	}{
		{"unsteady", func(m *made) {
			m.op = func(p measure.Phase, i int, op *targets.Operation) {
				if p == measure.Steady {
					taking(188*ms)(i, op)
				}
			}
		}, "steady p99{family=product, kind=read} < 120ms missed (188ms): not judged", false},
		{"saturated", func(m *made) {
			m.input.Generator.GeneratorResult = report.GeneratorResult{Saturated: true, Why: "8% late"}
		}, "the load generator was saturated (8% late): not judged", false},
		{"starved", func(m *made) { m.input.Reasons.Starved = "no CPU for 3s" }, "the machine was starved, no CPU for 3s: not judged", false},
		{"broken", func(m *made) { m.input.Reasons.Broken = "worker eu-1 exited by itself" }, "the harness broke, worker eu-1 exited by itself: not judged", false},
		{"interrupted", func(m *made) { m.input.Reasons.Interrupted = "Ctrl-C"; m.last = measure.Fault }, "interrupted, Ctrl-C: not judged", false},
		{"no evidence", func(m *made) { m.input.Faults[0].Evidence = "" }, "fault keys.expire left no evidence: not judged", true},
		{"never injected", func(m *made) { m.input.Faults[0].Injected = 0 }, "fault keys.expire was never injected: not judged", true},
		{"not healed", func(m *made) { m.input.Faults[0].Problem = "not healed: timeout" }, "fault keys.expire not healed: timeout: not judged", true},
		{"one of two without evidence", func(m *made) {
			m.input.Faults = append(m.input.Faults, FaultRun{Name: "sham", Injected: 4 * time.Second})
		}, "fault sham left no evidence: not judged", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.edit(m)
			s := m.run(t, usual...)
			require.Equal(t, slo.Unknown, s.Outcome)
			require.Equal(t, c.why, s.Why)
			for _, r := range s.SLOs {
				switch {
				case r.Safety:
					require.Equal(t, slo.Pass, r.Outcome, "%+v", r)
				case c.keepSteady && r.Phase == slo.GroupSteady:
					require.Equal(t, slo.Pass, r.Outcome, "%+v", r)
				default:
					require.Equal(t, slo.Unknown, r.Outcome, "%+v", r)
					require.Equal(t, c.why, r.Why)
				}
			}

			// Only safety written: still not a pass, since the drill as a whole proves nothing.
			m = healthy()
			c.edit(m)
			if c.name != "unsteady" {
				require.Equal(t, slo.Unknown, m.run(t, "always: violations == 0").Outcome)
			}

			for kind, violate := range map[string]func(*made){
				"violations == 0":       func(m *made) { m.findings.Violations["bounded"] = 1 },
				"lost_writes == 0":      func(m *made) { m.findings.LostWrites = 1 },
				"rollbacks == 0":        func(m *made) { m.findings.Rollbacks = 1 },
				"leaks == 0":            func(m *made) { m.findings.Leaks = 1 },
				"corruptions == 0":      func(m *made) { m.findings.Corruptions = 1 },
				"false_rejections == 0": func(m *made) { m.findings.FalseRejections = 1 },
			} {
				m := healthy()
				c.edit(m)
				violate(m)
				m.rate = 310 // enough for a verdict
				s := m.run(t, usual...)
				require.Equal(t, slo.Fail, s.Outcome, "%s while %s", kind, c.name)
				require.Contains(t, s.Why, kind)
			}
		})
	}
}

// A halt once made everything unknown, although what it was about had proven the miss.
func TestAHaltLeavesWhatWasProven(t *testing.T) {
	halted := func(last measure.Phase, rate int, ahead int64, edit func(measure.Phase, int, *targets.Operation), objectives ...string) report.Drill {
		m := healthy()
		m.last, m.op, m.rate = last, edit, rate
		m.input.Reasons.AuditBlind = "the drill was halted"
		m.input.Reasons.Halted = &measure.Halted{Why: "halted at 6.0s: errors > 50% for 2s", Ahead: map[slo.Group]int64{slo.GroupFault: ahead, slo.GroupAlways: ahead + 3000, slo.GroupRecovery: 3000}}
		m.input.Faults = append(m.input.Faults, FaultRun{Name: "later", Problem: "not injected: the drill was stopped", Unneeded: true})
		return m.run(t, objectives...)
	}
	const not = "halted at 6.0s: errors > 50% for 2s: not judged"
	bad := func(p measure.Phase, i int, op *targets.Operation) {
		if p == measure.Fault {
			failing(i, op)
			op.Returned = op.Due + 2*time.Second
		}
	}
	s := halted(measure.Fault, 1000, 2000, bad, "steady: p99 < 500ms", "steady: hit_ratio > 50%", "fault: errors < 5%", "fault: p99 < 1s", "fault: goodput > 10/s", "fault: hit_ratio > 1%",
		"recovery: recovery_time < 1s", "always: max < 1s", "always: violations == 0")
	require.Equal(t, slo.Fail, s.Outcome, s.Why)
	require.Equal(t, "errors < 5%: observed 100% (3,000 of 3,000 operations) in fault", s.Why)
	for expr, want := range map[string]slo.Outcome{"p99 < 500ms": slo.Pass, "hit_ratio > 50%": slo.Pass, "errors < 5%": slo.Fail, "p99 < 1s": slo.Fail,
		"goodput > 10/s": slo.Unknown, "hit_ratio > 1%": slo.Unknown, "recovery_time < 1s": slo.Unknown, "max < 1s": slo.Fail, "violations == 0": slo.Unknown} {
		require.Equal(t, want, rowOf(t, s, expr).Outcome, expr)
	}
	require.Equal(t, not, rowOf(t, s, "goodput > 10/s").Why)

	// What was still planned could have kept the limit: nothing is proven. 5% of 60,000 is 3,000.
	s = halted(measure.Fault, 1000, 57_000, bad, "fault: errors <= 5%", "fault: p99 < 1s", "fault: p95 < 1s")
	require.Equal(t, slo.Unknown, rowOf(t, s, "errors <= 5%").Outcome)
	require.Equal(t, slo.Fail, rowOf(t, s, "p99 < 1s").Outcome)
	require.Equal(t, slo.Unknown, rowOf(t, s, "p95 < 1s").Outcome)
	require.Equal(t, slo.Fail, halted(measure.Fault, 1000, 56_999, bad, "fault: errors <= 5%").Outcome)

	// Phases that were complete are judged; a drill that was cut short is never a pass.
	s = halted(measure.Recovery, 1000, 0, nil, "steady: errors < 1%", "fault: errors < 5%")
	require.Equal(t, slo.Unknown, s.Outcome)
	require.Equal(t, not, s.Why)
	require.Equal(t, slo.Pass, rowOf(t, s, "errors < 1%").Outcome)
	require.Equal(t, slo.Pass, rowOf(t, s, "errors < 5%").Outcome)
	s = halted(measure.Fault, 1000, 500, nil, "fault: errors < 5%")
	require.Equal(t, slo.Unknown, rowOf(t, s, "errors < 5%").Outcome)
	s = halted(measure.Recovery, 1000, 0, bad, "steady: errors < 1%", "fault: errors < 5%")
	require.Equal(t, slo.Fail, s.Outcome)
}

// The order of drills ends: an objective about a phase that was never reached is unknown.
func TestPhasesThatWereNotReached(t *testing.T) {
	m := healthy()
	m.last = measure.Steady
	s := m.run(t, "fault: p99 < 1s", "recovery: recovery_time < 1s", "steady: p99 < 1s")
	require.Equal(t, "the drill ended before its fault phase", rowOf(t, s, "p99 < 1s").Why)
	require.Equal(t, "the drill ended before its recovery phase", rowOf(t, s, "recovery_time < 1s").Why)
	require.Equal(t, slo.Pass, s.SLOs[2].Outcome)
	require.Equal(t, slo.Unknown, s.Outcome)
}

// Under always, performance is judged from steady to recovery, safety over the whole drill.
func TestAlwaysLeavesWarmupAndAuditToSafety(t *testing.T) {
	m := healthy()
	m.op = func(p measure.Phase, i int, op *targets.Operation) {
		if p == measure.Warmup {
			taking(5*time.Second)(i, op)
		}
	}
	require.Equal(t, slo.Pass, m.run(t, "always: max < 1s").Outcome)
	m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) { v.Violation = p == measure.Warmup && i == 0 }
	require.Equal(t, slo.Fail, m.run(t, "always: max < 1s").Outcome)
}

func TestAMissedSteadySafetyObjectiveFailsTheDrill(t *testing.T) {
	m := healthy()
	m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) { v.Violation = p == measure.Steady && i == 0 }
	s := m.run(t, "steady: violations == 0", "fault: p99 < 500ms")
	require.Equal(t, slo.Fail, s.Outcome)
	require.Equal(t, slo.Pass, rowOf(t, s, "p99 < 500ms").Outcome, "safety is no question of steadiness")
}

// A slow machine makes everything slower: it can't excuse what is not about time, nor spoil a pass.
func TestADisturbedMachineProvesNoMissAboutTime(t *testing.T) {
	const late = "operations were sent up to 24ms late"
	outcome := func(s report.Drill, expr string) slo.Outcome {
		for _, r := range s.SLOs {
			if r.Expr == expr {
				return r.Outcome
			}
		}
		t.Fatalf("no row %q", expr)
		return slo.Unknown
	}
	m := healthy()
	m.input.Reasons.Disturbed = late
	require.Equal(t, slo.Pass, m.run(t, usual...).Outcome)

	m.op = func(p measure.Phase, i int, op *targets.Operation) {
		if p == measure.Fault && i%10 == 0 {
			op.Returned = op.Due + 800*ms
		}
	}
	s := m.run(t, usual...)
	require.Equal(t, slo.Unknown, s.Outcome)
	require.Equal(t, slo.Unknown, outcome(s, "p99 < 500ms"))
	require.Contains(t, s.Why, late)
	m.input.Reasons.Disturbed = ""
	require.Equal(t, slo.Fail, outcome(m.run(t, usual...), "p99 < 500ms"))

	m = healthy()
	m.input.Reasons.Disturbed = late
	m.load = func(p measure.Phase, i int, l *targets.Load) {
		if p == measure.Fault {
			l.Width = 9
		}
	}
	s = m.run(t, usual...)
	require.Equal(t, slo.Fail, s.Outcome)
	require.Equal(t, slo.Fail, outcome(s, "stampede.max <= 2"))
}

// An audit that saw too little can't clear anybody: no safety objective passes, and a proven miss
// stands.
func TestABlindAuditPassesNoSafetyObjective(t *testing.T) {
	const blind = "only 3 of 40 written keys were read"
	m := healthy()
	m.findings.Opportunities["false_rejections"] = 1
	m.findings.Leaks = 1
	m.input.Reasons.AuditBlind = blind
	s := m.run(t, "fault: p99 < 500ms", "always: rollbacks == 0", "fault: violations == 0")
	require.Equal(t, slo.Fail, s.Outcome)
	safety := 0
	for _, r := range s.SLOs {
		switch {
		case r.Expr == "leaks == 0":
			require.Equal(t, slo.Fail, r.Outcome)
		case r.Safety:
			safety++
			require.Equal(t, slo.Unknown, r.Outcome, "%+v", r)
			require.Equal(t, blind+": not judged", r.Why)
		default:
			require.Equal(t, slo.Pass, r.Outcome, "performance is no question of the audit: %+v", r)
		}
	}
	require.Equal(t, 6, safety, "lost_writes, rollbacks, corruptions, false_rejections, and violations twice")

	m.findings.Leaks = 0
	s = m.run(t, "fault: p99 < 500ms")
	require.Equal(t, slo.Unknown, s.Outcome)
	require.Contains(t, s.Why, blind)
}

// An audit that saw nothing at all leaves no opportunity to find a lost write, and still no pass.
func TestAnAuditThatSawNothingIsListed(t *testing.T) {
	m := healthy()
	delete(m.findings.Opportunities, "lost_writes")
	require.Equal(t, slo.Pass, m.run(t, "fault: p99 < 500ms").Outcome)
	m.input.Reasons.AuditBlind = "no key was read"
	s := m.run(t, "fault: p99 < 500ms")
	row := rowOf(t, s, "lost_writes == 0")
	require.Equal(t, slo.Unknown, row.Outcome)
	require.True(t, row.Implicit)
	require.Equal(t, slo.Unknown, s.Outcome)
}

func TestFalseRejectionsHoldImplicitlyWhereAWriteWasRejected(t *testing.T) {
	m := healthy()
	m.findings.Opportunities["false_rejections"] = 2
	row := rowOf(t, m.run(t, usual...), "false_rejections == 0")
	require.Equal(t, slo.Pass, row.Outcome)
	require.True(t, row.Safety)
	require.True(t, row.Implicit)
}

// Faults are reported as they were given, and what never happened has no time.
func TestFaultsKeepTheirOrderAndGaps(t *testing.T) {
	m := healthy()
	m.input.Faults = []FaultRun{
		{Name: "z", Injected: 4 * time.Second, Evidence: "seen"},
		{Name: "a", Injected: 3500 * ms, Healed: 5 * time.Second, Evidence: "seen"},
		{Name: "m", Problem: "not injected: timeout"},
	}
	require.Equal(t, []report.FaultSummary{
		{Name: "z", InjectedS: num(4), Evidence: "seen"},
		{Name: "a", InjectedS: num(3.5), HealedS: num(5), Evidence: "seen"},
		{Name: "m", Problem: "not injected: timeout"},
	}, m.run(t).Faults)
}
