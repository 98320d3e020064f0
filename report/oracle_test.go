package report

import (
	"testing"
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/stretchr/testify/require"
)

func TestJudgementsKeepTheirMeaning(t *testing.T) {
	for from, want := range map[oracle.Answer]answer{
		oracle.Fresh: fresh, oracle.Stale: stale, oracle.Indeterminate: indeterminate, oracle.Unjudged: unjudged, 99: unjudged,
	} {
		require.Equal(t, want, verdictOf(oracle.Judgement{Answer: from}).answer, "%s", from)
	}
	j := oracle.Judgement{Op: targets.Operation{Due: 3}, Low: 1, High: 2, Violation: true, CanBeStale: true}
	require.Equal(t, verdict{op: j.Op, answer: unjudged, low: 1, high: 2, violation: true, canStale: true}, verdictOf(j))
	j = oracle.Judgement{Answer: oracle.Indeterminate, High: -1, CanViolate: true}
	require.Equal(t, verdict{answer: indeterminate, high: -1, unbounded: true, canViolate: true}, verdictOf(j))
}

func TestFindingsKeepTheirNumbers(t *testing.T) {
	got := findingsOf(oracle.Findings{
		Writes: 1, Acknowledged: 2, UnknownWrites: 3, LostWrites: 4, Rollbacks: 5, Leaks: 6, Corruptions: 7, DirtyReads: 8,
		FalseRejections: 9, SessionViolations: 10, Unjudged: 11, StaleIncidents: 12,
		Violations: map[string]int{"strong": 13}, Opportunities: map[string]int{"stale": 14},
		Lags:        []oracle.Lag{{Family: unique.Make("price"), Region: unique.Make("eu"), Committed: 15, Lag: 16}},
		Accusations: []oracle.Accusation{{Kind: "leak", At: 17, Text: "t", Low: 18}},
	})
	require.Equal(t, findings{
		writes: 1, acknowledged: 2, unknownWrites: 3, lostWrites: 4, rollbacks: 5, leaks: 6, corruptions: 7, dirtyReads: 8,
		falseRejections: 9, sessions: 10, unjudged: 11, incidents: 12,
		violations: map[string]int64{"strong": 13}, opportunities: map[string]int64{"stale": 14},
		lags:        []lag{{unique.Make("price"), unique.Make("eu"), 15, 16}},
		accusations: []accusation{{kind: "leak", at: 17, text: "t", low: 18}},
		evidence:    []Accusation{{Kind: "leak", Key: ":", AtS: 17e-9, Text: "t", History: []Event{}, Faults: []string{}}},
	}, got)
	s := got.summary()
	require.Equal(t, []int64{1, 4, 5, 6, 7, 10, 11}, []int64{s.Writes, s.LostWrites, s.Rollbacks, s.Leaks, s.Corruptions, s.SessionViolations, s.Unjudged})
}

// The kinds that evidence is looked up by are the oracle's own.
func TestAccusationKindsExist(t *testing.T) {
	require.Subset(t, oracle.Kinds(), []string{"stale", "violation", "lost write", "rollback", "leak", "corruption", "dirty read", "false rejection"})
}

// A stale read of a strong family, all the way: the judge's verdict fails the drill, in the judge's words.
func TestAStaleReadFromOperationToVerdict(t *testing.T) {
	f := newFeed(t, "fault: stale{family=price} < 0.1%")
	f.Mark(Steady, 100*ms)
	f.Mark(Fault, 200*ms)
	judge := oracle.New(oracle.Config{
		Run: "r", Historian: true, Judged: f.Judged,
		Families: map[string]oracle.Family{"price": {Class: oracle.Strong, Horizon: time.Minute}},
	})
	key := targets.Key{Family: "price", ID: "9", Tenant: "t3"}
	do := func(op targets.Operation) {
		begun := op
		begun.Returned, begun.Reply = 0, targets.Reply{}
		judge.Begin(begun)
		judge.End(op)
		f.Observe(op)
	}
	write := func(seq uint64, version uint64, at time.Duration) string {
		token := targets.NewToken("r", seq, key)
		op := targets.Operation{
			Request: targets.Request{Seq: seq, Kind: targets.Write, Key: key, Token: token, Region: "eu"},
			Reply:   targets.Reply{Version: version, Token: token}, Due: at, Sent: at, Returned: at + 2*ms,
		}
		judge.Commit(targets.Commit{Key: key, Version: version, Token: token, At: at + ms})
		do(op)
		return token
	}
	old := write(1, 1, 10*ms)
	write(2, 2, 220*ms)
	do(targets.Operation{
		Request: targets.Request{Seq: 3, Key: key, Region: "us"},
		Reply:   targets.Reply{Version: 1, Token: old, Owner: key, Tier: targets.TierL1, Worker: "us-0"},
		Due:     250 * ms, Sent: 250 * ms, Returned: 251 * ms,
	})
	judge.Commit(targets.Commit{At: time.Second}) // the seal
	f.Finish(judge.Finish(), 300*ms)
	s := Evaluate(f.Recorder, Drill{})
	require.Equal(t, Fail, s.Outcome, s.Why)
	row := rowOf(t, s, "stale{family=price} < 0.1%")
	require.Equal(t, Fail, row.Outcome)
	require.Equal(t, "100% (1 of 1 reads)", row.Observed)
	require.Equal(t, "us", row.Where)
	require.Contains(t, row.Evidence, "price:9 (tenant t3) read v1")
	require.Equal(t, Fail, rowOf(t, s, "violations == 0").Outcome)
	require.EqualValues(t, 1, s.Phases[Fault].Reads.Stale)
	require.InDelta(t, 29, *s.Phases[Fault].StalenessMS.Max, 0.001)
}

// What the oracle proves of uncommitted values and of broken promises fails the drill.
func TestDirtyReadsAndFalseRejectionsFailTheDrill(t *testing.T) {
	key := targets.Key{Family: "price", ID: "9", Tenant: "t3"}
	for expr, play := range map[string]func(*oracle.Judge, string){
		"corruptions == 0": func(j *oracle.Judge, token string) { // read at 2 ms, committed at 50 ms
			op := targets.Operation{Request: targets.Request{Seq: 2, Key: key, Region: "us"}, Sent: 2 * ms}
			j.Begin(op)
			op.Reply, op.Returned = targets.Reply{Version: 1, Token: token}, 3*ms
			j.End(op)
			j.Commit(targets.Commit{Key: key, Version: 1, Token: token, At: 50 * ms})
		},
		"false_rejections == 0": func(j *oracle.Judge, token string) {
			op := targets.Operation{Request: targets.Request{Seq: 1, Kind: targets.Write, Key: key, Token: token}, Sent: ms}
			j.Begin(op)
			op.Outcome, op.Returned = targets.Failed, 2*ms
			j.End(op)
			j.Commit(targets.Commit{Key: key, Version: 1, Token: token, At: 50 * ms})
		},
	} {
		f := newFeed(t, "steady: p50 < 1s")
		f.Mark(Steady, 0)
		f.ops(0, time.Second, 1000, nil)
		judge := oracle.New(oracle.Config{Run: "r", Historian: true, Judged: f.Judged, Families: map[string]oracle.Family{"price": {}}})
		play(judge, targets.NewToken("r", 1, key))
		judge.Commit(targets.Commit{At: time.Second})
		f.Finish(judge.Finish(), time.Second)
		s := Evaluate(f.Recorder, Drill{})
		require.Equal(t, Fail, s.Outcome, s.Why)
		row := rowOf(t, s, expr)
		require.Equal(t, "1", row.Observed)
		require.NotEmpty(t, row.Evidence)
	}
}

// Nothing limits the staleness of a read that could not be judged.
func TestUnjudgedReadsMayBeArbitrarilyStale(t *testing.T) {
	m := healthy()
	m.verdict = func(p Phase, i int, v *verdict) {
		if p == Fault && i == 5 {
			v.answer = unjudged
		}
	}
	row := m.run(t, "fault: staleness.max < 1s").SLOs[0]
	require.Equal(t, Unknown, row.Outcome)
	require.Contains(t, row.Why, "of 1 reads nothing limits")
}
