package load_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/targets"
)

// BenchmarkWithOracle is how fast the generator sends with and without an oracle that judges
// everything, side by side: each round runs both, in alternating order, and the medians are
// reported. Run with -benchtime=7x or more.
//
//   - idle: a target that does nothing, and is only read. All that the oracle takes shows.
//   - register: a map behind a lock, 1% writes: the least that is a store.
//   - served: the same, and 5 µs of work for each operation, as serving a hit in process takes.
func BenchmarkWithOracle(b *testing.B) {
	const ops = 400_000 // so many that most ask for keys that were asked for before, as in a drill
	for _, c := range []struct {
		name   string
		writes float64
		target func() targets.Target
	}{
		{"idle", 0, func() targets.Target { return nothing{} }},
		{"register", 0.01, func() targets.Target { return &registers{values: map[targets.Key]targets.Reply{}} }},
		{"served", 0.01, func() targets.Target {
			return &registers{values: map[targets.Key]targets.Reply{}, work: 5 * time.Microsecond}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var with, without, ratio, cost []float64
			for round := range b.N {
				var rates, costs [2]float64
				for i := range 2 {
					judged := (i + round) % 2
					rates[judged], costs[judged] = attack(b, c.target(), c.writes, ops, judged == 1)
				}
				without, with = append(without, rates[0]), append(with, rates[1])
				ratio = append(ratio, rates[1]/rates[0])
				cost = append(cost, costs[0]/costs[1])
			}
			b.ReportMetric(median(without), "ops/s-without")
			b.ReportMetric(median(with), "ops/s-with")
			b.ReportMetric(median(ratio), "ratio")
			b.ReportMetric(median(cost), "cpu-ratio") // the same of operations per second of processor time
			b.ReportMetric(0, "ns/op")                // of a round, which says nothing
		})
	}
}

// attack sends as fast as it can and gives the operations per second, and the processor time that
// each took, in seconds.
func attack(b *testing.B, target targets.Target, writes float64, ops int, judged bool) (rate, cost float64) {
	g, err := load.NewGenerator(load.Workload{Seed: 1, Run: "bench", Sessions: 100, Regions: []string{"eu", "us"}, Mixes: []load.Mix{
		{Family: "product", Share: 0.8, Keys: 20_000, Zipf: 1.1, Writes: writes, Tenants: []string{"t1", "t2"}, Locales: []string{"de", "en"}},
		{Family: "price", Share: 0.2, Keys: 500, Zipf: 0.8, Writes: writes, Tenants: []string{"t1", "t2"}},
	}})
	require.NoError(b, err)
	schedule, err := load.NewSchedule([]load.Step{{Rate: float64(ops) * 1e3}}, time.Millisecond)
	require.NoError(b, err)
	a := load.Attack{Target: target, Generator: g, Schedule: schedule, MaxWorkers: 50}
	var judge *oracle.Judge
	if judged {
		judge = oracle.New(oracle.Config{Run: "bench", Families: map[string]oracle.Family{
			"product": {Within: time.Second, Horizon: time.Minute}, "price": {Class: oracle.Strong, Horizon: time.Minute}}})
		a.Sink = judge
	}
	runtime.GC()
	began, used := time.Now(), processorTime(b)
	sent, err := a.Run(context.Background())
	took, spent := time.Since(began), processorTime(b)-used
	require.NoError(b, err)
	if judged {
		f := judge.Finish()
		require.Empty(b, f.Accusations)
		require.Zero(b, f.Unjudged)
	}
	return float64(sent.Sent) / took.Seconds(), spent.Seconds() / float64(sent.Sent)
}

// processorTime is what this process has used: a busy machine hardly changes it.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// nothing answers that there is nothing.
type nothing struct{}

func (nothing) Do(context.Context, targets.Request) (targets.Reply, error) {
	return targets.Reply{Absent: true}, nil
}
func (nothing) Close() error { return nil }

// registers is a store in memory that never fails.
type registers struct {
	work time.Duration // busy, before each answer

	mu     sync.RWMutex
	values map[targets.Key]targets.Reply
}

func (r *registers) Do(_ context.Context, req targets.Request) (targets.Reply, error) {
	for until := time.Now().Add(r.work); r.work > 0 && time.Now().Before(until); {
	}
	if req.Kind == targets.Read {
		r.mu.RLock()
		defer r.mu.RUnlock()
		if v, ok := r.values[req.Key]; ok {
			return v, nil
		}
		return targets.Reply{Absent: true}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v := targets.Reply{Version: r.values[req.Key].Version + 1, Token: req.Token, Tier: targets.TierSource}
	r.values[req.Key] = v
	return v, nil
}

func (r *registers) Close() error { return nil }
