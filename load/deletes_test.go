package load

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/targets"
)

func TestDeleteFrequencies(t *testing.T) {
	const draws = 50_000
	g := generator(t, Workload{Seed: 5, Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 10, Writes: 0.1, Deletes: 0.03}}})
	seen := map[targets.Kind]float64{}
	for n := range uint64(draws) {
		r := g.Request(n)
		seen[r.Kind]++
		require.Equal(t, r.Kind == targets.Write, r.Token != "", "a delete has no token")
	}
	for kind, p := range map[targets.Kind]float64{targets.Read: 0.87, targets.Write: 0.1, targets.Delete: 0.03} {
		require.InDelta(t, p*draws, seen[kind], 6*math.Sqrt(p*(1-p)*draws), "%v", kind)
	}
}

// Deletes take the place of reads, and absent keys are only missing at the start: nothing else
// changes.
func TestDeletesChangeNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := shop(rapid.Uint64().Draw(t, "seed"), "run")
		before, err := NewGenerator(w)
		if err != nil {
			t.Fatal(err)
		}
		w.Mixes[0].Deletes, w.Mixes[0].Absent = 0.2, 0.3
		after, err := NewGenerator(w)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			n := rapid.Uint64().Draw(t, "n")
			a, b := before.Request(n), after.Request(n)
			if b.Kind == targets.Delete {
				b.Kind = targets.Read
			}
			if a != b {
				t.Fatalf("operation %d was %+v and is %+v", n, a, b)
			}
		}
	})
}

// Which keys are absent: a share of hot and cold ones alike, by seed, family and rank, and by
// nothing else.
func TestAbsentKeys(t *testing.T) {
	const keys = 20_000
	seeded := func(seed uint64, family string, n int, absent, writes float64) map[targets.Key]bool {
		g := generator(t, Workload{Seed: seed, Run: "run", Mixes: []Mix{
			{Family: "other", Share: 0.5, Keys: 10}, {Family: family, Share: 0.5, Keys: n, Absent: absent, Writes: writes},
		}})
		require.Len(t, g.Seeded("other"), 10)
		require.Nil(t, g.Seeded("neither"))
		all, rank := g.Keys(family), 0
		out := map[targets.Key]bool{}
		for _, k := range g.Seeded(family) {
			for rank < len(all) && all[rank] != k {
				rank++
			}
			require.Less(t, rank, len(all), "in the order of Keys")
			out[k] = true
		}
		return out
	}
	some := seeded(1, "f", keys, 0.05, 0)
	require.InDelta(t, 0.95*keys, len(some), 6*math.Sqrt(0.05*0.95*keys))
	require.Equal(t, some, seeded(1, "f", keys, 0.05, 0.5))
	require.NotEqual(t, some, seeded(2, "f", keys, 0.05, 0))
	require.Len(t, seeded(1, "f", keys, 0, 0), keys)
	require.Empty(t, seeded(1, "f", keys, 1, 0))

	for k := range seeded(1, "f", keys/2, 0.05, 0) {
		require.True(t, some[k], "fewer keys are a part of more keys")
	}
	for k := range seeded(1, "f", keys, 0.2, 0) {
		require.True(t, some[k], "a higher share only adds absent keys")
	}
	hot := 0
	for _, k := range generator(t, Workload{Mixes: []Mix{{Family: "f", Share: 1, Keys: keys}}}).Keys("f")[:keys/10] {
		if !some[k] {
			hot++
		}
	}
	require.InDelta(t, 0.05*keys/10, hot, 6*math.Sqrt(0.05*0.95*keys/10), "the hottest tenth has its share of them")
	f, g := seeded(1, "f", keys, 0.5, 0), seeded(1, "g", keys, 0.5, 0)
	both := 0
	for k := range f {
		k.Family = "g"
		if g[k] {
			both++
		}
	}
	require.InDelta(t, keys/4, both, 6*math.Sqrt(0.25*0.75*keys), "families are independent of each other")
}
