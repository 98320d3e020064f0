package load

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/targets"
)

func anySchedule(t *rapid.T) Schedule {
	var steps []Step
	at := time.Duration(0)
	for range rapid.IntRange(1, 5).Draw(t, "steps") {
		rate := rapid.OneOf(rapid.SampledFrom([]float64{0, 3, 97, 1000}), rapid.Float64Range(0.1, 300)).Draw(t, "rate")
		steps = append(steps, Step{at, rate})
		at += rapid.SampledFrom([]time.Duration{1, 100 * ms, time.Second / 3, 2 * time.Second}).Draw(t, "length")
		at += time.Duration(rapid.IntRange(0, 1000).Draw(t, "and"))
	}
	s, err := NewSchedule(steps, at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// before is the inverse of Due.
func TestScheduleBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		at := time.Duration(rapid.Int64Range(-1e9, int64(s.Total())+1e9).Draw(t, "at"))
		if n := rapid.Uint64Range(0, s.Count()).Draw(t, "n"); rapid.Bool().Draw(t, "exact") {
			at = s.Due(n)
		}
		want := uint64(0)
		for want < s.Count() && s.Due(want) < at {
			want++
		}
		if got := s.Before(at); got != want {
			t.Fatalf("%d operations are due before %v, not %d", want, at, got)
		}
	})
}

func TestBurstsArePlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		g, err := NewGenerator(shop(rapid.Uint64().Draw(t, "seed"), "run"))
		if err != nil {
			t.Fatal(err)
		}
		b := Bursts{
			Every: 1 + s.Total()/time.Duration(rapid.IntRange(1, 12).Draw(t, "periods")),
			Size:  rapid.IntRange(2, 3).Draw(t, "size"),
		}
		b.Quiet = b.Every * time.Duration(rapid.IntRange(0, 9).Draw(t, "quiet")) / 10
		a := Attack{Generator: g, Schedule: s, Bursts: b}
		plain := Attack{Generator: g, Schedule: s}
		p := a.plan()
		last, headKey, headDue := time.Duration(0), targets.Key{}, time.Duration(0)
		for n := range s.Count() {
			op, quiet := a.Operation(n)
			usual, _ := plain.Operation(n)
			if op.Due < last || op.Seq != n {
				t.Fatalf("operation %d is due at %v, after one at %v", n, op.Due, last)
			}
			last = op.Due
			// The definition, literally: how many earlier operations are in the same period?
			period, first := s.Due(n)/b.Every, n
			for first > 0 && s.Due(first-1)/b.Every == period {
				first--
			}
			if period == 0 || n-first >= uint64(b.Size) {
				if _, burst, _ := p.operation(n); op != usual || burst != 0 {
					t.Fatalf("operation %d, in no burst, is %+v", n, op)
				}
				if want := period > 0 && op.Kind != targets.Read && op.Key == headKey && op.Due < headDue+b.Quiet; quiet != want {
					t.Fatalf("operation %d, due at %v: quiet is %v, after a burst of %v at %v", n, op.Due, quiet, headKey, headDue)
				}
				continue
			}
			if n == first {
				headKey, headDue = op.Key, op.Due
			}
			_, burst, _ := p.operation(n)
			token, ok := targets.ParseToken(op.Token)
			if op.Kind != targets.Write || op.Key != headKey || op.Due != s.Due(first) || burst != first+1 || quiet ||
				p.due(n) != op.Due || !ok || token.Seq != n || !token.For(op.Key) {
				t.Fatalf("operation %d of the burst from %d is %+v", n, first, op)
			}
		}
	})
}

// At 10 writes a second to one key: two at 1 s, none until 1.5 s, and that one goes.
func TestQuietEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newRecord(t)
		sent, err := Attack{
			Target: idle{}, Schedule: constant(t, 10, 2*time.Second), Sink: sink, Sleep: time.Sleep,
			Generator: generator(t, Workload{Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Writes: 1}}}),
			Bursts:    Bursts{Every: time.Second, Size: 2, Quiet: 500 * ms},
		}.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, Withheld{Quiet: 3}, sent.Withheld)
		for n := range uint64(20) {
			op, went := sink.ended[n]
			require.Equal(t, n < 12 || n > 14, went, "operation %d", n)
			if n == 11 {
				require.Equal(t, time.Second, op.Sent)
			}
		}
	})
}

// Only families with writes get bursts, by their share and the popularity of their keys.
func TestBurstKeys(t *testing.T) {
	const draws = 20_000
	g := generator(t, Workload{Seed: 1, Run: "run", Mixes: []Mix{
		{Family: "fixed", Share: 0.5, Keys: 10}, {Family: "a", Share: 0.3, Keys: 10, Zipf: 1, Writes: 0.01},
		{Family: "never", Share: 0, Keys: 10, Writes: 1}, {Family: "b", Share: 0.2, Keys: 2, Writes: 0.5},
	}})
	seen := map[targets.Key]float64{}
	for n := range uint64(draws) {
		seen[g.burstKey(n)]++
	}
	for _, m := range []string{"fixed", "a", "never", "b"} {
		for rank, k := range g.Keys(m) {
			p := 0.0
			if m == "a" || m == "b" {
				p = g.Probability(m, rank) / 0.5
			}
			require.InDelta(t, p*draws, seen[k], 6*math.Sqrt(p*(1-p)*draws), "%v", k)
		}
	}
}

// Every attack gets the planned bursts, all of a burst at the same instant.
func TestBurstsAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newRecord(t)
		a := Attack{
			Target: idle{}, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 97, 10*time.Second), Sink: sink,
			Sleep: time.Sleep, Bursts: Bursts{Every: time.Second, Size: 3},
		}
		sent, err := a.Run(t.Context())
		require.NoError(t, err)
		require.Zero(t, sent.Withheld.Total(), "an instant target has nothing in flight, and there is no quiet")
		together := map[time.Duration]int{}
		for n, op := range sink.ended {
			planned, _ := a.Operation(n)
			require.Equal(t, planned.Request, op.Request)
			require.Equal(t, planned.Due, op.Sent)
			together[op.Sent]++
		}
		bursts := 0
		for at, n := range together {
			if n > 1 {
				require.Equal(t, 3, n)
				require.Less(t, at%time.Second, time.Second/97+1)
				bursts++
			}
		}
		require.Equal(t, 9, bursts)
	})
}

func TestBurstsRefuse(t *testing.T) {
	ok := Bursts{Every: time.Second, Size: 2, Quiet: 500 * ms}
	with := func(change func(*Bursts)) Bursts {
		b := ok
		change(&b)
		return b
	}
	writes := Workload{Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Writes: 0.1}}}
	for _, c := range []struct {
		says string
		b    Bursts
		w    Workload
	}{
		{"every 0s", with(func(b *Bursts) { b.Every = 0 }), writes},
		{"bursts of 1 writes", with(func(b *Bursts) { b.Size = 1 }), writes},
		{"bursts of 4 writes", with(func(b *Bursts) { b.Size = 4 }), writes},
		{"quiet for 1s", with(func(b *Bursts) { b.Quiet = time.Second }), writes},
		{"quiet for -1s", with(func(b *Bursts) { b.Quiet = -time.Second }), writes},
		{"no family has writes", ok, Workload{Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Deletes: 0.1}}}},
		{"writes need a run", ok, Workload{Mixes: []Mix{{Family: "f", Share: 1, Keys: 1}}}},
	} {
		_, err := Attack{Target: idle{}, Generator: generator(t, c.w), Schedule: constant(t, 1, time.Second), Bursts: c.b}.Run(t.Context())
		require.ErrorContains(t, err, c.says)
	}
}

// Bursts and their quiet are of the seed alone, however slow the target is and whatever it answers.
func TestDigestOfBurstsIsOfTheSeed(t *testing.T) {
	attack := func(seed uint64, workers uint64, slow time.Duration) (sent Sent) {
		synctest.Test(t, func(t *testing.T) {
			w := shop(seed, "run")
			w.Mixes[1].Deletes = 0.2
			var err error
			sent, err = Attack{
				Target: does(func(context.Context, targets.Request) (targets.Reply, error) {
					time.Sleep(slow)
					return targets.Reply{}, errors.New("reset")
				}),
				Generator: generator(t, w), Schedule: constant(t, 500, 4*time.Second), MaxWorkers: workers,
				Sleep: time.Sleep, Bursts: Bursts{Every: 200 * ms, Size: 2, Quiet: 100 * ms},
			}.Run(t.Context())
			require.NoError(t, err)
		})
		return sent
	}
	first, second := attack(7, 0, 0), attack(7, 3, 5*ms)
	require.NotZero(t, first.Withheld.Quiet)
	require.Equal(t, first.Withheld, second.Withheld)
	require.Equal(t, first.Digest, second.Digest)
	require.NotEqual(t, first.Digest, attack(8, 0, 0).Digest)
}
