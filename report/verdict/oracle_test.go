package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

func TestFindingsKeepTheirNumbers(t *testing.T) {
	s := oracleSummary(&oracle.Findings{
		Writes: 1, Acknowledged: 2, UnknownWrites: 3, LostWrites: 4, Rollbacks: 5, Leaks: 6, Corruptions: 7, DirtyReads: 8,
		FalseRejections: 9, SessionViolations: 10, Unjudged: 11, StaleIncidents: 12, UnjudgedKeys: 15, UndecidedKeys: 16,
		Violations: map[string]int{"strong": 13}, Opportunities: map[string]int{"stale": 14},
	})
	require.Equal(t, report.OracleSummary{
		Writes: 1, Acknowledged: 2, UnknownWrites: 3, LostWrites: 4, Rollbacks: 5, Leaks: 6, Corruptions: 7, DirtyReads: 8,
		FalseRejections: 9, SessionViolations: 10, Unjudged: 11, StaleIncidents: 12, UnjudgedKeys: 15, UndecidedKeys: 16,
		Violations: map[string]int64{"strong": 13}, Opportunities: map[string]int64{"stale": 14},
	}, s)
}

// The kinds that evidence is looked up by are the oracle's own.
func TestAccusationKindsExist(t *testing.T) {
	require.Subset(t, oracle.Kinds(), []string{"stale", "violation", "lost write", "rollback", "leak", "corruption", "dirty read", "false rejection"})
}

// A stale read of a strong family, all the way: the judge's verdict fails the drill, in the judge's
// words.
func TestAStaleReadFromOperationToVerdict(t *testing.T) {
	f := newFeed(t, "fault: stale{family=price} < 0.1%")
	f.Mark(measure.Steady, 100*ms)
	f.Mark(measure.Fault, 200*ms)
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
	s := Evaluate(f.Recorder, Input{})
	require.Equal(t, slo.Fail, s.Outcome, s.Why)
	row := rowOf(t, s, "stale{family=price} < 0.1%")
	require.Equal(t, slo.Fail, row.Outcome)
	require.Equal(t, "100% (1 of 1 reads)", row.Observed)
	require.Equal(t, "us", row.Where)
	require.Contains(t, row.Evidence, "price:9 (tenant t3) read v1")
	require.Equal(t, slo.Fail, rowOf(t, s, "violations == 0").Outcome)
	require.EqualValues(t, 1, s.Phases[measure.Fault].Reads.Stale)
	require.InDelta(t, 29, *s.Phases[measure.Fault].StalenessMS.Max, 0.001)
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
		f.Mark(measure.Steady, 0)
		f.ops(0, time.Second, 1000, nil)
		judge := oracle.New(oracle.Config{Run: "r", Historian: true, Judged: f.Judged, Families: map[string]oracle.Family{"price": {}}})
		play(judge, targets.NewToken("r", 1, key))
		judge.Commit(targets.Commit{At: time.Second})
		f.Finish(judge.Finish(), time.Second)
		s := Evaluate(f.Recorder, Input{})
		require.Equal(t, slo.Fail, s.Outcome, s.Why)
		row := rowOf(t, s, expr)
		require.Equal(t, "1", row.Observed)
		require.NotEmpty(t, row.Evidence)
	}
}

// Nothing limits the staleness of a read that could not be judged.
func TestUnjudgedReadsMayBeArbitrarilyStale(t *testing.T) {
	m := healthy()
	m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
		if p == measure.Fault && i == 5 {
			v.Answer = oracle.Unjudged
		}
	}
	row := m.run(t, "fault: staleness.max < 1s").SLOs[0]
	require.Equal(t, slo.Unknown, row.Outcome)
	require.Contains(t, row.Why, "of 1 reads nothing limits")
}
