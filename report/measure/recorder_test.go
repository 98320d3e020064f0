package measure

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

const ms = time.Millisecond

// feed gives a recorder made-up operations, in order, from one goroutine.
type feed struct {
	*Recorder
	seq uint64
}

func newFeed(t *testing.T, objectives ...string) *feed {
	t.Helper()
	return &feed{Recorder: NewRecorder(RecorderConfig{
		Objectives: grouped(t, objectives...),
		Classes:    map[string]string{"product": "bounded", "price": "strong"},
	})}
}

// grouped reads objectives written as "group: expression".
func grouped(t *testing.T, texts ...string) []slo.PhaseObjective {
	t.Helper()
	var out []slo.PhaseObjective
	for _, text := range texts {
		for _, g := range slo.Groups() {
			if rest, ok := cut(text, string(g)+": "); ok {
				o := parsed(t, rest)
				require.Nil(t, o.CheckGroup(g), text)
				out = append(out, slo.PhaseObjective{Group: g, Objective: o})
			}
		}
	}
	require.Len(t, out, len(texts))
	return out
}

func cut(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// ops feeds rate operations per second, due from from up to to: reads of product:1 in eu from l1
// that take 1 ms, unless edit changes them.
func (f *feed) ops(from, to time.Duration, rate int, edit func(i int, op *targets.Operation)) {
	step := time.Second / time.Duration(rate)
	for i, due := 0, from; due < to; i, due = i+1, due+step {
		op := targets.Operation{
			Request: targets.Request{Seq: f.seq, Key: targets.Key{Family: "product", ID: "1", Tenant: "t1"}, Region: "eu"},
			Reply:   targets.Reply{Version: 1, Tier: targets.TierL1, Worker: "eu-0"},
			Due:     due, Sent: due, Returned: due + ms,
		}
		f.seq++
		if edit != nil {
			edit(i, &op)
		}
		f.Observe(op)
	}
}

func taking(d time.Duration) func(int, *targets.Operation) {
	return func(_ int, op *targets.Operation) { op.Returned = op.Due + d }
}

func failing(_ int, op *targets.Operation) {
	op.Outcome, op.Err, op.Reply = targets.Failed, errors.New("connection refused"), targets.Reply{}
}

// A wild drill: eight goroutines report operations, verdicts and loads in any order while the
// phases are marked late, in between. Whatever the boundaries then are, every event is on the side
// of its own due (or arrival) time, and nothing is lost.
func TestEveryOperationIsOnItsSideOfTheBoundary(t *testing.T) {
	const n, workers = 20_000, 8
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rec := NewRecorder(RecorderConfig{Objectives: grouped(t, "fault: p99{region=us} < 5ms")})
		rec.Mark(Warmup, 0)
		rec.Mark(Steady, 3*time.Second) // ahead
		dues := make([]time.Duration, n)
		for i := range dues {
			dues[i] = time.Duration(i) * ms / 2 // 10 s
		}
		// Operations overtake each other by up to 400.
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		for i := range order {
			j := min(n-1, i+rng.IntN(400))
			order[i], order[j] = order[j], order[i]
		}
		one := func(i int) {
			region := []string{"eu", "us"}[i%2]
			op := targets.Operation{Request: targets.Request{Seq: uint64(i), Region: region, Key: targets.Key{Family: "f", ID: strconv.Itoa(i)}},
				Due: dues[i], Sent: dues[i], Returned: dues[i] + ms}
			rec.Observe(op)
			rec.Judged(oracle.Judgement{Op: op, Answer: oracle.Fresh})
			rec.Load(targets.Load{Key: op.Key, Region: region, Arrived: dues[i], Done: dues[i] + ms, Version: 1, Width: 1})
		}
		const round = 1000 // the goroutines drift apart by no more
		for from := 0; from < n; from += round {
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for k := from + w; k < from+round; k += workers {
						one(order[k])
						if k == n/2 {
							rec.Mark(Fault, dues[k]-300*ms)
						}
					}
				})
			}
			wg.Wait()
		}
		rec.Mark(Recovery, dues[n-1]-time.Second)
		rec.Mark(Audit, 20*time.Second)
		rec.Finish(oracle.Findings{}, 21*time.Second)

		want := [phaseCount]int64{}
		us := [phaseCount]int64{}
		for i, due := range dues {
			for p := Warmup; p < phaseCount; p++ {
				if start, end, ok := rec.agg.times.span(p); ok && due >= start && due < end {
					want[p]++
					us[p] += int64(i % 2)
				}
			}
		}
		var sum int64
		for p := range want {
			all := merged(rec.agg.cells[p][0])
			require.Equal(t, want[p], all.ended, "%s", Phase(p))
			require.Equal(t, want[p], all.latency.Count())
			require.Equal(t, want[p], all.reads.fresh)
			require.Equal(t, want[p], all.loads.total)
			require.Equal(t, us[p], merged(rec.agg.cells[p][1]).ended)
			sum += want[p]
		}
		require.EqualValues(t, n, sum)
		require.Equal(t, 3*time.Second, rec.agg.times.start[Steady], "a planned boundary stays where it was planned")
		require.Positive(t, want[Fault])
	}
}

// What was due before the boundary and is reported after it still counts before it.
func TestLateOperationsCountBeforeTheBoundary(t *testing.T) {
	f := newFeed(t)
	f.Mark(Steady, time.Second)
	f.Mark(Fault, 2*time.Second)
	f.ops(0, 3*time.Second, 100, nil)
	f.Finish(oracle.Findings{}, 3*time.Second)
	for p, want := range map[Phase]int64{Warmup: 100, Steady: 100, Fault: 100} {
		require.Equal(t, want, f.agg.cells[p][0].ended, "%s", p)
	}
}

// The boundary moves behind what was counted already, by as much as the call was late and no more.
func TestALateMarkMovesTheBoundaryAndNothingElse(t *testing.T) {
	f := newFeed(t)
	f.Mark(Steady, 0)
	f.Mark(Fault, time.Second)
	f.ops(0, 5*time.Second, 1000, nil) // far more than the buffers hold
	latest := f.agg.times.latest
	f.Mark(Recovery, 3*time.Second)
	require.Equal(t, latest+1, f.agg.times.start[Recovery])
	require.LessOrEqual(t, f.agg.times.start[Recovery], 5*time.Second)
	f.Mark(Audit, 6*time.Second)
	require.Equal(t, 6*time.Second, f.agg.times.start[Audit])
}

// A 2 s answer to what was asked just before a black-hole once made the p99 of steady state
// unknown.
func TestWhatIsInFlightWhenTheFirstFaultBeginsBelongsToIt(t *testing.T) {
	f := newFeed(t, "steady: max < 100ms", "steady: violations == 0")
	f.Mark(Steady, time.Second)
	f.Mark(Fault, 3*time.Second)
	f.Struck(3500 * ms)
	f.Struck(4 * time.Second) // a second fault
	for _, c := range []struct {
		due, returned time.Duration
		want          Phase
	}{
		{900 * ms, 5 * time.Second, Warmup}, // performance of the warmup is not judged anyway
		{2900 * ms, 2950 * ms, Steady},
		{2900 * ms, 3400 * ms, Steady}, // slow by itself: the fault phase began, and no fault yet
		{2900 * ms, 3500 * ms, Steady},
		{2900 * ms, 3501 * ms, Fault},
		{3 * time.Second, 3100 * ms, Fault},
	} {
		before := [phaseCount]int64{}
		for p := range before {
			if f.agg.cells[p][0] != nil {
				before[p] = f.agg.cells[p][0].ended
			}
		}
		op := targets.Operation{Request: targets.Request{Key: targets.Key{Family: "product", ID: "1"}}, Due: c.due, Sent: c.due, Returned: c.returned}
		f.foldOps([]targets.Operation{op})
		f.foldJudgements([]oracle.Judgement{{Op: op, Answer: oracle.Fresh}})
		require.Equal(t, before[c.want]+1, f.agg.cells[c.want][0].ended, "%+v", c)
		require.Equal(t, f.agg.cells[c.want][0].ended, f.agg.cells[c.want][0].reads.fresh, "a read and its judgement are of one phase")
	}
	f.Mark(Recovery, 5*time.Second)
	f.Finish(oracle.Findings{Accusations: []oracle.Accusation{
		{Kind: "violation", Text: "hung", Op: targets.Operation{Due: 2900 * ms, Returned: 5 * time.Second}},
	}}, 6*time.Second)
	steady := f.Results(Circumstances{}).over(slo.GroupSteady, []Phase{Steady}, slo.Labels{})
	require.Equal(t, 600*ms, steady.Operations().Latency.Max().Round(10*ms))
	require.Empty(t, steady.Reads().Breach.Text)
	require.Equal(t, "hung", f.Results(Circumstances{}).over(slo.GroupFault, []Phase{Fault}, slo.Labels{}).Reads().Breach.Text)
}

func TestMarksGoForward(t *testing.T) {
	f := newFeed(t)
	f.Mark(Warmup, 0)
	f.Mark(Fault, time.Second) // steady may be skipped
	require.Panics(t, func() { f.Mark(Steady, 2*time.Second) })
	require.Panics(t, func() { f.Mark(Fault, 2*time.Second) })
	require.Panics(t, func() { f.Mark(phaseCount, 2*time.Second) })
	f.Finish(oracle.Findings{}, 3*time.Second)
	_, _, ok := f.agg.times.span(Steady)
	require.False(t, ok)
	start, end, ok := f.agg.times.span(Warmup)
	require.True(t, ok)
	require.Equal(t, []time.Duration{0, time.Second}, []time.Duration{start, end})
}

func TestAuditLoadsAreNoWorkload(t *testing.T) {
	f := newFeed(t)
	f.Load(targets.Load{Arrived: ms, Version: 1, Width: 9, Audit: true})
	f.Load(targets.Load{Arrived: ms, Version: 1, Width: 1})
	f.Finish(oracle.Findings{}, time.Second)
	require.EqualValues(t, 1, f.agg.cells[Warmup][0].loads.total)
	require.Equal(t, 1, f.agg.cells[Warmup][0].loads.widest.Width)
}

func TestRedundantLoads(t *testing.T) {
	v := newVersionLog()
	a, b := targets.Key{Family: "f", ID: "a"}, targets.Key{Family: "f", ID: "b"}
	for i, c := range []struct {
		key     targets.Key
		region  string
		version uint64
		want    bool
	}{
		{a, "eu", 1, false}, {a, "eu", 1, true}, {a, "us", 1, false}, {b, "eu", 1, false},
		{a, "eu", 3, false}, {a, "eu", 1, true}, // ended late: 1 was loaded before
		{a, "eu", 2, false}, // late, and new
		{a, "eu", 2, true}, {a, "eu", 3, true},
		{a, "eu", 1, false},                      // forgotten: in doubt, not counted
		{a, "eu", 0, false}, {a, "eu", 0, false}, // failed
	} {
		require.Equal(t, c.want, v.redundant(&targets.Load{Key: c.key, Region: c.region, Version: c.version}), "load %d", i)
	}
}

func TestPeakIsCountedFromTheStartOfThePhase(t *testing.T) {
	f := newFeed(t)
	f.Mark(Steady, 500*ms)
	for i := range 40 { // 20/s until 1.5 s, then nothing: one second of steady holds 20
		f.Load(targets.Load{Arrived: time.Duration(i) * 50 * ms, Version: 1, Width: 1})
	}
	f.Finish(oracle.Findings{}, 3*time.Second)
	at, n := f.agg.cells[Steady][0].loads.peak()
	require.EqualValues(t, 20, n)
	require.Equal(t, 500*ms, at)
}

// Seconds are kept apart by when operations returned, and late reports get lost nowhere.
func TestIntervalsKeepEveryLatency(t *testing.T) {
	var l intervalLog
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 5000
	for i := range n {
		at := time.Duration(i) * 2 * ms
		l.record(max(0, at-time.Duration(rng.IntN(4000))*ms), ms)
	}
	l.record(0, ms) // long closed
	var total int64
	last := time.Duration(-1)
	for _, i := range l.finish() {
		require.Greater(t, i.Start, last)
		last = i.Start
		total += decoded(t, i).TotalCount()
	}
	require.EqualValues(t, n+1, total)
}

func TestBreakdownIsCapped(t *testing.T) {
	f := newFeed(t)
	f.Mark(Steady, 0)
	f.ops(0, time.Second, 1000, func(i int, op *targets.Operation) {
		op.Key.Tenant = "t" + strconv.Itoa(i%200)
		if i%10 == 0 {
			op.Kind = targets.Write
		}
	})
	f.Finish(oracle.Findings{}, time.Second)
	rows, complete := f.Results(Circumstances{}).Breakdown()
	require.Len(t, rows, maxRows)
	require.False(t, complete)
	require.Equal(t, slo.Labels{Family: "product", Kind: "read"}, rows[0].Labels)
	require.EqualValues(t, 900, rows[0].Requests)
	require.Equal(t, slo.Labels{Family: "product", Kind: "write"}, rows[1].Labels)
	require.Equal(t, slo.Labels{Region: "eu"}, rows[2].Labels)
	require.EqualValues(t, 900, rows[0].Tries)
	require.EqualValues(t, 900, rows[0].Hits)
	require.Zero(t, rows[1].Tries, "writes hit nothing")
	require.Zero(t, rows[0].Judged)
}

func BenchmarkObserve(b *testing.B) {
	o1, _ := slo.ParseObjective("p99{family=product, kind=read} < 120ms")
	o2, _ := slo.ParseObjective("errors{region=us} < 1%")
	rec := NewRecorder(RecorderConfig{Objectives: []slo.PhaseObjective{{Group: slo.GroupSteady, Objective: o1}, {Group: slo.GroupFault, Objective: o2}}})
	rec.Mark(Steady, 0)
	op := targets.Operation{
		Request: targets.Request{Key: targets.Key{Family: "product", ID: "1", Tenant: "t1"}, Region: "eu"},
		Reply:   targets.Reply{Version: 1, Tier: targets.TierL1, Worker: "eu-0"},
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		op.Seq = uint64(i)
		op.Due = time.Duration(i) * 10 * time.Microsecond
		op.Sent, op.Returned = op.Due, op.Due+ms
		rec.Observe(op)
	}
}

// At low rates a batch is handed on when it is old, not only when it is full.
func TestBatchesDoNotWaitForCompany(t *testing.T) {
	var b buffers[int]
	require.Nil(t, b.add(0, 1, 0))
	require.Nil(t, b.add(0, 2, batchAge-1))
	require.Nil(t, b.add(1, 9, batchAge), "a shard of its own")
	require.Equal(t, []int{1, 2, 3}, b.add(0, 3, batchAge))
	require.Nil(t, b.add(0, 4, batchAge))
	var rest []int
	b.drain(func(items []int) { rest = append(rest, items...) })
	require.Equal(t, []int{4, 9}, rest)
}

// A delete once counted as a read in the breakdown's endpoints.
func TestEndpointOfEveryKind(t *testing.T) {
	a := newAggregate(RecorderConfig{})
	for kind, want := range map[targets.Kind]string{targets.Read: "read product", targets.Write: "write product", targets.Delete: "delete product"} {
		op := targets.Operation{Request: targets.Request{Kind: kind, Key: targets.Key{Family: "product"}}}
		require.Equal(t, want, a.labels(&op).Endpoint)
	}
}

func parsed(t *testing.T, expr string) slo.Objective {
	t.Helper()
	o, err := slo.ParseObjective(expr)
	require.Nil(t, err, expr)
	return o
}

func decoded(t *testing.T, i Interval) *hdrhistogram.Histogram {
	t.Helper()
	h, err := hdrhistogram.Decode(i.Encoded)
	require.NoError(t, err)
	return h
}
