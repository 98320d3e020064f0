package policy

import (
	"testing"
	"time"
)

// The inputs of the benchmarks are variables, so that the compiler can't fold them.
var (
	benchFamily = Family{Class: Bounded, Within: 10 * time.Second, TTL: 10 * time.Second}
	benchPolicy = Recommended()
	benchNow    = int64(5 * time.Second)
	benchMeta   = Meta{Kind: Value, Version: 7, T0: 1, FreshUntil: int64(8 * time.Second), Until: int64(10 * time.Second), DropAt: int64(10 * time.Second), Took: 50 * time.Millisecond}
	benchNewer  = Meta{Kind: Value, Version: 7, T0: 2, FreshUntil: int64(8 * time.Second), Until: int64(10 * time.Second), DropAt: int64(10 * time.Second), Took: 50 * time.Millisecond}
	benchRandom = 0.25

	sinkAction Action
	sinkMeta   Meta
	sinkBool   bool
)

var decisions = []struct {
	name string
	make func()
}{
	{"Lookup", func() { sinkAction = benchPolicy.Lookup(benchFamily, benchMeta, benchNow, benchRandom) }},
	{"Admit", func() { sinkMeta = benchPolicy.Admit(benchFamily, benchMeta, benchRandom) }},
	{"Supersedes", func() { sinkBool = benchPolicy.Supersedes(benchNewer, benchMeta) }},
}

// The target of each is 50 ns.
func BenchmarkDecision(b *testing.B) {
	for _, d := range decisions {
		b.Run(d.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.make()
			}
		})
	}
}

func TestDecisionsDoNotAllocate(t *testing.T) {
	for _, d := range decisions {
		if n := testing.AllocsPerRun(1000, d.make); n != 0 {
			t.Errorf("%s: %v allocations", d.name, n)
		}
	}
}
