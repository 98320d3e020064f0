package oracle

import (
	"fmt"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// drill plays operations one by one, with times in milliseconds.
type drill struct {
	t      *testing.T
	j      *Judge
	judged []Judgement
}

func newDrill(t *testing.T, cfg Config) *drill {
	d := &drill{t: t}
	cfg.Run = run
	cfg.Judged = func(j Judgement) { d.judged = append(d.judged, j) }
	if cfg.Families == nil {
		cfg.Families = map[string]Family{"price": {Class: Strong, Horizon: time.Minute}}
	}
	d.j = New(cfg)
	return d
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func op(kind targets.Kind, seq uint64, from, to int) targets.Operation {
	o := targets.Operation{Request: targets.Request{Seq: seq, Kind: kind, Key: key9, Region: "eu"}, Sent: ms(from), Returned: ms(to)}
	if kind == targets.Write {
		o.Token = tok(seq)
	}
	return o
}

func tok(seq uint64) string { return targets.NewToken(run, seq, key9) }

// write is an acknowledged write.
func (d *drill) write(seq uint64, from, to int, version uint64) {
	o := op(targets.Write, seq, from, to)
	o.Reply.Version = version
	d.do(o)
}

// read is a read that answers version with the value of write by.
func (d *drill) read(seq uint64, from, to int, version, by uint64, change ...func(*targets.Operation)) {
	o := op(targets.Read, seq, from, to)
	o.Reply = targets.Reply{Version: version, Token: tok(by), Tier: targets.TierL2, Worker: "eu-1"}
	for _, c := range change {
		c(&o)
	}
	d.do(o)
}

func (d *drill) do(o targets.Operation) {
	begun := o
	begun.Reply, begun.Outcome, begun.Returned = targets.Reply{}, targets.OK, 0
	d.j.Begin(begun)
	d.j.End(o)
}

func (d *drill) commit(version, by uint64, at int) {
	d.j.Commit(targets.Commit{Key: key9, Version: version, Token: tok(by), At: ms(at)})
}

func (d *drill) seal(at int) { d.j.Commit(targets.Commit{At: ms(at)}) }

func absent(o *targets.Operation) { o.Reply = targets.Reply{Absent: true} }
func past(o *targets.Operation)   { o.Instance = targets.SourceInstance }
func token(t string) func(*targets.Operation) {
	return func(o *targets.Operation) { o.Reply.Token = t }
}
func outcome(x targets.Outcome) func(*targets.Operation) {
	return func(o *targets.Operation) { o.Outcome = x }
}

// texts of the accusations of a kind.
func texts(f Findings, kind string) (all []string) {
	for _, a := range f.Accusations {
		if a.Kind == kind {
			all = append(all, a.Text)
		}
	}
	return all
}

const price9 = "price:9 (tenant t3, currency EUR)"

// A read waits for what overlaps it, and only for that.
func TestReadsWaitForWhatOverlapsThem(t *testing.T) {
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 1)
	w := op(targets.Write, 2, 5, 20)
	d.j.Begin(w)
	d.read(3, 3, 4, 1, 1)
	require.Len(t, d.judged, 1, "it returned before the write was sent")
	d.read(4, 6, 7, 1, 1)
	d.read(5, 12, 13, 1, 1)
	require.Len(t, d.judged, 1)
	w.Reply.Version = 2
	w.Returned = ms(10)
	d.j.End(w)
	require.Len(t, d.judged, 3)
	require.Equal(t, []Answer{Fresh, Indeterminate, Stale}, []Answer{d.judged[0].Answer, d.judged[1].Answer, d.judged[2].Answer})
	require.Equal(t, [2]time.Duration{0, ms(1)}, [2]time.Duration{d.judged[1].Low, d.judged[1].High})
	require.Equal(t, [2]time.Duration{ms(2), ms(7)}, [2]time.Duration{d.judged[2].Low, d.judged[2].High})
}

// A read is judged by what operations sent by its return showed, even if later ones have shown more
// by the time it is judged: else its answer would depend on the scheduler.
func TestLaterReadsDoNotBearOnEarlierOnes(t *testing.T) {
	for _, laterFirst := range []bool{true, false} {
		d := newDrill(t, Config{})
		d.write(1, 5, 6, 2)
		next := op(targets.Write, 2, 6, 30)
		d.j.Begin(next)
		lost := op(targets.Write, 3, 15, 18)
		lost.Outcome = targets.Unknown
		d.do(lost)
		d.read(4, 10, 20, 2, 1)
		later := func() { d.read(5, 21, 22, 1, 3) } // proves that v2 was committed after 15: the other read would be fresh
		if laterFirst {
			later()
		}
		next.Reply.Version = 3
		d.j.End(next)
		if !laterFirst {
			later()
		}
		for _, j := range d.judged {
			if j.Op.Seq == 4 {
				require.Equal(t, Indeterminate, j.Answer)
				require.Equal(t, ms(4), j.High)
			}
		}
		require.Len(t, d.judged, 2)
	}
}

func TestFinishJudgesWhatNeverEnded(t *testing.T) {
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 1)
	d.j.Begin(op(targets.Write, 2, 5, 0))
	d.read(4, 6, 7, 1, 1)
	require.Empty(t, d.judged)
	f := d.j.Finish()
	require.Equal(t, Indeterminate, d.judged[0].Answer)
	require.Equal(t, [3]int{2, 1, 1}, [3]int{f.Writes, f.Acknowledged, f.UnknownWrites})
}

func TestReadsWaitForTheSeal(t *testing.T) {
	d := newDrill(t, Config{Historian: true})
	d.commit(1, 1, 1)
	d.read(2, 3, 5, 1, 1)
	d.read(3, 3, 4, 1, 1)
	d.seal(3)
	require.Empty(t, d.judged)
	d.seal(4)
	require.Len(t, d.judged, 1)
	d.seal(2) // goes nowhere
	d.seal(6)
	require.Len(t, d.judged, 2)
	d.read(4, 5, 5, 1, 1)
	require.Len(t, d.judged, 3, "sealed already")
	d.read(5, 6, 7, 1, 1)
	d.j.Finish()
	require.Equal(t, Indeterminate, d.judged[3].Answer, "a commit at 6ms may be missing")
	require.Equal(t, [2]time.Duration{0, 0}, [2]time.Duration{d.judged[3].Low, d.judged[3].High})
}

// The bound, strictly: a copy exactly D old is no violation.
func TestBoundedFamilies(t *testing.T) {
	d := newDrill(t, Config{Historian: true, Families: map[string]Family{"price": {Class: Bounded, Within: ms(10), Horizon: ms(30)}}})
	d.commit(1, 1, 1)
	d.commit(2, 2, 100)
	for i, at := range []int{100, 101, 110, 111, 130, 131, 140, 141} {
		d.read(uint64(10+i), at, at, 1, 1)
	}
	d.seal(1000)
	type row struct {
		answer                            Answer
		violation, canBeStale, canViolate bool
	}
	got := []row{}
	for _, j := range d.judged {
		got = append(got, row{j.Answer, j.Violation, j.CanBeStale, j.CanViolate})
	}
	require.Equal(t, []row{
		{Indeterminate, false, false, false}, // at the very time of the commit
		{Stale, false, true, false},
		{Stale, false, true, false}, // exactly as old as allowed
		{Stale, true, true, true},
		{Stale, true, true, true},
		{Stale, true, false, true}, // outside the horizon: found all the same, but no copy could plausibly last
		{Stale, true, false, true},
		{Stale, true, false, false},
	}, got)
	f := d.j.Finish()
	require.Equal(t, map[string]int{"bounded": 5}, f.Violations)
	require.Equal(t, 4, f.Opportunities["stale"])
	require.Equal(t, 4, f.Opportunities["violations"])
	require.Equal(t, 1, f.StaleIncidents)
	require.Equal(t, []Lag{{Family: unique.Make("price"), Region: unique.Make("eu"), Committed: ms(100), Lag: ms(41)}}, f.Lags)
}

// An initial value supersedes nothing that a cache could hold.
func TestInitialValuesAreNoOpportunity(t *testing.T) {
	d := newDrill(t, Config{Historian: true})
	d.commit(1, targets.SeedSeq, 1)
	d.read(2, 5, 6, 1, targets.SeedSeq)
	d.seal(10)
	require.False(t, d.judged[0].CanBeStale)
	require.Zero(t, d.j.Finish().Opportunities["stale"])
}

func TestLeakOpportunities(t *testing.T) {
	for _, siblings := range []bool{true, false} {
		asked := 0
		d := newDrill(t, Config{Siblings: func(k targets.Key) bool { asked++; return siblings && k == key9 }})
		d.write(1, 1, 2, 1)
		d.read(2, 3, 4, 1, 1)
		d.read(3, 5, 6, 0, 0, absent)
		d.read(4, 5, 6, 1, 1, past)
		f := d.j.Finish()
		require.Equal(t, map[bool]int{true: 1}[siblings], f.Opportunities["leaks"])
		require.Equal(t, 1, f.Opportunities["corruptions"])
		require.Equal(t, 1, asked)
		require.Equal(t, 1, f.Opportunities["lost_writes"])
	}
}

// Intervals of stale service that touch are one incident; what lies between fresh times is another.
func TestStaleIncidentsAndLags(t *testing.T) {
	d := newDrill(t, Config{Historian: true})
	d.commit(1, 1, 1)
	d.commit(2, 2, 10)
	d.commit(3, 3, 20)
	d.commit(4, 4, 50)
	d.read(10, 25, 26, 1, 1) // from 10 to 25
	d.read(11, 30, 31, 2, 2) // from 20 to 30: touches
	d.read(12, 55, 56, 3, 3) // from 50 to 55
	d.read(13, 54, 54, 3, 3, func(o *targets.Operation) { o.Region = "us" })
	d.seal(100)
	f := d.j.Finish()
	require.Equal(t, 2, f.StaleIncidents)
	require.Equal(t, []Lag{
		{unique.Make("price"), unique.Make("eu"), ms(10), ms(15)},
		{unique.Make("price"), unique.Make("eu"), ms(20), ms(10)},
		{unique.Make("price"), unique.Make("eu"), ms(50), ms(5)},
	}, f.Lags)
}

func TestSessions(t *testing.T) {
	in := func(session uint64) func(*targets.Operation) {
		return func(o *targets.Operation) { o.Session = session }
	}
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 1)
	d.write(2, 3, 4, 2)
	d.read(3, 5, 6, 2, 2, in(7))
	d.read(4, 6, 7, 1, 1, in(7)) // sent when the other returned: no order
	d.read(5, 8, 9, 1, 1, in(7)) // goes back
	d.read(6, 8, 9, 1, 1, in(8))
	d.read(7, 8, 9, 1, 1) // no session
	w := op(targets.Write, 8, 10, 11)
	w.Session, w.Reply.Version = 9, 3
	d.do(w)
	d.read(9, 12, 13, 2, 2, in(9)) // does not read its own write
	f := d.j.Finish()
	require.Equal(t, 2, f.SessionViolations)
	require.Equal(t, 2, f.Opportunities["sessions"])
	require.Empty(t, texts(f, "session"))
}

// Of many accusations the earliest and the worst are kept, and all are counted.
func TestAccusationsAreCapped(t *testing.T) {
	d := newDrill(t, Config{Historian: true})
	d.commit(1, 1, 1)
	d.commit(2, 2, 10)
	for i := 99; i > 0; i-- {
		d.read(uint64(100+i), 20+i, 20+i, 1, 1)
	}
	d.seal(1000)
	f := d.j.Finish()
	require.Equal(t, 99, f.Violations["strong"])
	stale := texts(f, "stale")
	require.Len(t, stale, 21)
	for i, s := range stale[:20] {
		require.Contains(t, s, fmt.Sprintf("read v1 at 0.0%ds", 21+i))
	}
	require.Contains(t, stale[20], "read v1 at 0.119s")
}

// Every write that failed with a promise of no effect is a chance to see the promise broken.
func TestFalseRejectionOpportunities(t *testing.T) {
	for _, outcome := range []targets.Outcome{targets.OK, targets.Failed, targets.Unknown} {
		d := newDrill(t, Config{})
		o := op(targets.Write, 1, 2, 3)
		o.Outcome = outcome
		d.do(o)
		require.Equal(t, map[targets.Outcome]int{targets.Failed: 1}[outcome], d.j.Finish().Opportunities["false_rejections"])
	}
}
