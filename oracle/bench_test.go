package oracle

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// traffic is a prepared sequence of operations: Zipf reads over keys, a few writes, each operation
// overlapping the next ones, as in a drill with some tens of operations in flight.
type traffic struct {
	ops  []targets.Operation
	keys int
}

func newTraffic(n, keys int, writes float64) *traffic {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 1, uint64(keys-1))
	t := &traffic{keys: keys}
	type current struct {
		version uint64
		token   string
	}
	rows := make([]current, keys)
	names := make([]targets.Key, keys)
	for i := range rows {
		names[i] = targets.Key{Family: "product", ID: fmt.Sprint(i), Tenant: "t3", Locale: "de"}
		rows[i] = current{1, targets.NewToken(run, targets.SeedSeq, names[i])}
	}
	for i := range n {
		at := time.Duration(i) * time.Microsecond
		k := zipf.Uint64()
		op := targets.Operation{Sent: at, Returned: at + 30*time.Microsecond, Request: targets.Request{
			Seq: uint64(i), Key: names[k], Session: uint64(i%50) + 1, Region: "eu"}}
		if rng.Float64() < writes {
			op.Kind, op.Token = targets.Write, targets.NewToken(run, uint64(i), names[k])
			rows[k] = current{rows[k].version + 1, op.Token}
			op.Reply.Version = rows[k].version
		} else {
			op.Reply = targets.Reply{Version: rows[k].version, Token: rows[k].token, Tier: targets.TierL1, Worker: "eu-1"}
		}
		t.ops = append(t.ops, op)
	}
	return t
}

// play plays the traffic, shifted by lap so that time and numbers go on.
func (t *traffic) play(j *Judge, lap int, historian bool) {
	const overlap = 30
	shift := time.Duration(lap) * time.Duration(len(t.ops)+overlap) * time.Microsecond
	shifted := func(i int) targets.Operation {
		op := t.ops[i]
		op.Sent, op.Returned, op.Seq = op.Sent+shift, op.Returned+shift, op.Seq+uint64(lap*len(t.ops))
		return op
	}
	for i := range len(t.ops) + overlap {
		if i < len(t.ops) {
			j.Begin(shifted(i))
		}
		if i >= overlap {
			op := shifted(i - overlap)
			if historian && op.Kind == targets.Write && lap == 0 {
				j.Commit(targets.Commit{Key: op.Key, Version: op.Reply.Version, Token: op.Token, At: op.Sent + 1})
			}
			j.End(op)
			if historian && i%4096 == 0 {
				j.Commit(targets.Commit{At: op.Sent})
			}
		}
	}
}

// BenchmarkReads is what a judge does per second on one core: Begin, End and the callback, all of a
// hot key space.
func BenchmarkReads(b *testing.B) {
	for _, c := range []struct {
		name      string
		writes    float64
		historian bool
	}{
		{"blackbox", 0, false}, {"historian", 0, true}, {"blackbox-after-writes", 0.02, false}, {"historian-after-writes", 0.02, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			const n = 200_000
			t := newTraffic(n, 2000, c.writes)
			answers := [4]int{}
			j := newBenchJudge(t, c.historian, func(d Judgement) { answers[d.Answer]++ })
			t.play(j, 0, c.historian)
			if c.writes > 0 {
				t.onlyReads()
			}
			b.ReportAllocs()
			was := cpu(b)
			b.ResetTimer()
			for lap := range b.N {
				t.play(j, lap+1, c.historian)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "ops/s")
			b.ReportMetric(float64(b.N)*n/(cpu(b)-was).Seconds(), "ops/cpu-s") // what a busy machine does not change
			f := j.Finish()
			if f.Corruptions+f.DirtyReads+f.Leaks+f.Unjudged > 0 {
				b.Fatal(f.Accusations, f.Unjudged)
			}
			b.ReportMetric(float64(answers[Fresh])/float64(answers[Fresh]+answers[Stale]+answers[Indeterminate]), "fresh")
		})
	}
}

// BenchmarkMix is a million operations of a drill, one in a hundred a write, from the first on:
// keys are met for the first time, and histories grow.
func BenchmarkMix(b *testing.B) {
	const n = 1_000_000
	t := newTraffic(n, 2000, 0.01)
	for _, historian := range []bool{false, true} {
		b.Run(map[bool]string{false: "blackbox", true: "historian"}[historian], func(b *testing.B) {
			var spent time.Duration
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				judged := 0
				j := newBenchJudge(t, historian, func(Judgement) { judged++ })
				runtime.GC()
				was := cpu(b)
				b.StartTimer()
				t.play(j, 0, historian)
				b.StopTimer()
				spent += cpu(b) - was
				f := j.Finish()
				require.Equal(b, n, judged+f.Writes)
				require.Empty(b, f.Accusations)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "ops/s")
			b.ReportMetric(float64(b.N)*n/spent.Seconds(), "ops/cpu-s")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onlyReads makes the writes into reads of what they wrote last, so that laps can repeat.
func (t *traffic) onlyReads() {
	last := map[targets.Key]targets.Reply{}
	for _, op := range t.ops {
		if op.Kind == targets.Write {
			last[op.Key] = targets.Reply{Version: op.Reply.Version, Token: op.Token}
		}
	}
	for i := range t.ops {
		op := &t.ops[i]
		if r, ok := last[op.Key]; ok {
			op.Reply = r
		}
		op.Kind, op.Token = targets.Read, ""
	}
}

func newBenchJudge(t *traffic, historian bool, judged func(Judgement)) *Judge {
	j := New(Config{Run: run, Historian: historian, Judged: judged, Siblings: func(targets.Key) bool { return true },
		Families: map[string]Family{"product": {Class: Bounded, Within: time.Second, Horizon: time.Minute}}})
	if historian {
		for i := range t.keys {
			key := targets.Key{Family: "product", ID: fmt.Sprint(i), Tenant: "t3", Locale: "de"}
			j.Commit(targets.Commit{Key: key, Version: 1, Token: targets.NewToken(run, targets.SeedSeq, key)})
		}
	}
	return j
}

// BenchmarkMemory is what a judge keeps of a key that was only read, and of one more write.
func BenchmarkMemory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const keys, writes = 20_000, 10
	names := make([]targets.Key, keys)
	tokens := make([][writes]string, keys)
	for i := range names {
		names[i] = targets.Key{Family: "product", ID: fmt.Sprint(i)}
		for w := range writes {
			tokens[i][w] = targets.NewToken(run, uint64(i*writes+w), names[i])
		}
	}
	for b.Loop() {
		j := New(Config{Run: run})
		at := time.Duration(0)
		do := func(op targets.Operation) {
			at += 2
			op.Sent, op.Returned = at, at+1
			j.Begin(op)
			j.End(op)
		}
		was := heap()
		for _, k := range names {
			do(targets.Operation{Request: targets.Request{Key: k}, Reply: targets.Reply{Absent: true}})
		}
		read := heap()
		for i, k := range names {
			for w := range writes {
				do(targets.Operation{Request: targets.Request{Kind: targets.Write, Key: k, Seq: uint64(i*writes + w), Token: tokens[i][w]},
					Reply: targets.Reply{Version: uint64(w) + 1}})
			}
		}
		written := heap()
		b.ReportMetric((read-was)/keys, "B/key")
		b.ReportMetric((written-read)/keys/writes, "B/write")
		runtime.KeepAlive(j)
	}
}
