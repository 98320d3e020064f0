package load

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/cachedrill/cachedrill/targets"
)

func benchWorkload() Workload {
	return Workload{
		Seed: 1, Run: "bench", Sessions: 100, Regions: []string{"eu", "us"},
		Mixes: []Mix{
			{Family: "product", Share: 0.8, Keys: 20_000, Zipf: 1.1, Writes: 0.01, Tenants: []string{"t1", "t2"}, Locales: []string{"de", "en"}},
			{Family: "price", Share: 0.2, Keys: 500, Zipf: 0.8, Writes: 0.01, Tenants: []string{"t1", "t2"}},
		},
	}
}

func BenchmarkRequest(b *testing.B) {
	w := benchWorkload()
	for _, writes := range []float64{0, 0.01, 1} {
		w.Mixes[0].Writes, w.Mixes[1].Writes = writes, writes
		g, err := NewGenerator(w)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("writes=%v", writes), func(b *testing.B) {
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				g.Request(n)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	g, err := NewGenerator(benchWorkload())
	require.NoError(b, err)
	r := g.Request(3)
	b.ReportAllocs()
	for b.Loop() {
		hashRequest(&r)
	}
}

// BenchmarkUnpaced is the most that the generator sends to a target that does nothing: a schedule
// that is behind from its start.
func BenchmarkUnpaced(b *testing.B) {
	for _, c := range []struct {
		workers uint64
		gate    bool
	}{{10, false}, {100, false}, {100, true}} {
		b.Run(fmt.Sprintf("workers=%d,gate=%v", c.workers, c.gate), func(b *testing.B) {
			g, err := NewGenerator(benchWorkload())
			require.NoError(b, err)
			s, err := NewSchedule([]Step{{Rate: float64(b.N) * 1e3}}, time.Millisecond)
			require.NoError(b, err)
			b.ReportAllocs()
			b.ResetTimer()
			sent, err := Attack{Target: idle{}, Generator: g, Schedule: s, MaxWorkers: c.workers, Gate: c.gate}.Run(context.Background())
			require.NoError(b, err)
			b.ReportMetric(float64(sent.Sent)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// BenchmarkLateness is how late operations are sent, by our pacer and by vegeta's own, with the
// same target and transport. Compare the us metrics; run with -benchtime=1x.
func BenchmarkLateness(b *testing.B) {
	const seconds = 2
	for _, rate := range []int{1_000, 5_000, 20_000} {
		b.Run(fmt.Sprintf("ours/rate=%d", rate), func(b *testing.B) {
			g, err := NewGenerator(benchWorkload())
			require.NoError(b, err)
			s, err := NewSchedule([]Step{{Rate: float64(rate)}}, seconds*time.Second)
			require.NoError(b, err)
			for b.Loop() {
				late := &sentLate{by: make([]time.Duration, s.Count())}
				_, err := Attack{Target: idle{}, Generator: g, Schedule: s, Sink: late}.Run(context.Background())
				require.NoError(b, err)
				late.report(b)
			}
		})
		b.Run(fmt.Sprintf("vegeta/rate=%d", rate), func(b *testing.B) {
			for b.Loop() {
				late := &sentLate{by: make([]time.Duration, seconds*rate)}
				start := time.Now()
				// ConstantPacer's hit n is due one interval later than a schedule's operation n.
				due := func(n uint64) time.Duration { return time.Duration(n+1) * time.Second / time.Duration(rate) }
				a := vegeta.NewAttacker(vegeta.MaxBody(0), vegeta.Client(&http.Client{Transport: roundTrip(func(r *http.Request) {
					n, _ := strconv.ParseUint(r.Header.Get("X-Vegeta-Seq"), 10, 64)
					if n < uint64(len(late.by)) {
						late.by[n] = time.Since(start) - due(n)
					}
				})}))
				for range a.Attack(hit, vegeta.ConstantPacer{Freq: rate, Per: time.Second}, seconds*time.Second, "") {
				}
				late.report(b)
			}
		})
	}
}

type roundTrip func(*http.Request)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return done, nil
}

// sentLate notes for each operation how long after its due time it was sent. Each writes its own
// element.
type sentLate struct{ by []time.Duration }

func (s *sentLate) Begin(op targets.Operation) { s.by[op.Seq] = op.Sent - op.Due }
func (s *sentLate) End(targets.Operation)      {}

func (s *sentLate) report(b *testing.B) {
	slices.Sort(s.by)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(s.by[len(s.by)*p/100].Nanoseconds())/1e3, fmt.Sprintf("p%d-us", p))
	}
}

type idle struct{}

func (idle) Do(context.Context, targets.Request) (targets.Reply, error) { return targets.Reply{}, nil }
func (idle) Close() error                                               { return nil }
