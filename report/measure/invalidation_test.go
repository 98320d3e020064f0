package measure

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

var page = targets.Key{Family: "product", ID: "1"}

func committed(v uint64, at time.Duration) targets.Commit {
	return targets.Commit{Key: page, Version: v, At: at}
}

func droppedL1(worker string, v uint64, at time.Duration) targets.Invalidated {
	return targets.Invalidated{Key: page, Tier: targets.TierL1, Region: "eu", Worker: worker, Version: v, At: at}
}

func droppedL2(region string, v uint64, at time.Duration) targets.Invalidated {
	return targets.Invalidated{Key: page, Tier: targets.TierL2, Region: region, Version: v, At: at}
}

func TestInsideLag(t *testing.T) {
	type seen struct {
		tier string
		lag  time.Duration
		open bool
		last string
	}
	for _, c := range []struct {
		name  string
		facts []any
		want  []seen
	}{
		{"the last holder counts", []any{committed(2, 100*ms), droppedL1("eu-0", 2, 105*ms), droppedL1("eu-1", 2, 130*ms), droppedL2("eu", 2, 110*ms), droppedL2("us", 2, 109*ms)},
			[]seen{{"l1", 30 * ms, false, "l1 of eu-1"}, {"l2", 10 * ms, false, "l2 in eu"}}},
		{"the first version supersedes nothing", []any{committed(1, 100*ms), droppedL1("eu-0", 1, 105*ms)}, nil},
		{"without reports", []any{committed(2, 100*ms)}, nil},
		{"of nothing committed", []any{droppedL1("eu-0", 2, 105*ms)}, nil},
		{"a drop known before its commit", []any{droppedL1("eu-0", 2, 105*ms), committed(2, 100*ms)}, []seen{{"l1", 5 * ms, false, "l1 of eu-0"}}},
		{"clocks of one instant", []any{committed(2, 100*ms), droppedL1("eu-0", 2, 99*ms)}, []seen{{"l1", 0, false, "l1 of eu-0"}}},
		{"reported twice", []any{committed(2, 100*ms), droppedL1("eu-0", 2, 300*ms), droppedL1("eu-0", 2, 120*ms), droppedL1("eu-0", 2, 200*ms)},
			[]seen{{"l1", 20 * ms, false, "l1 of eu-0"}}},
		{"a newer one tells of the older", []any{committed(2, 100*ms), committed(3, 200*ms), droppedL1("eu-0", 3, 250*ms)},
			[]seen{{"l1", 150 * ms, false, "l1 of eu-0"}, {"l1", 50 * ms, false, "l1 of eu-0"}}},
		{"an older one does not tell of the newer", []any{committed(2, 100*ms), committed(3, 200*ms), droppedL1("eu-0", 2, 250*ms)},
			[]seen{{"l1", 150 * ms, false, "l1 of eu-0"}, {"l1", 0, true, "l1 of eu-0"}}},
		{"delivered in the wrong order", []any{committed(2, 100*ms), committed(3, 200*ms), droppedL1("eu-0", 3, 210*ms), droppedL1("eu-0", 2, 400*ms)},
			[]seen{{"l1", 110 * ms, false, "l1 of eu-0"}, {"l1", 10 * ms, false, "l1 of eu-0"}}},
		{"a holder that reported once has to report each time", []any{committed(2, 100*ms), committed(3, 200*ms),
			droppedL1("eu-0", 2, 110*ms), droppedL1("eu-1", 2, 120*ms), droppedL1("eu-0", 3, 230*ms)},
			[]seen{{"l1", 20 * ms, false, "l1 of eu-1"}, {"l1", 30 * ms, true, "l1 of eu-1"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 5 { // the order in which facts become known changes nothing, but for the last of equals
				var d invalidationLog
				for _, f := range c.facts {
					switch f := f.(type) {
					case targets.Commit:
						d.commit(f)
					case targets.Invalidated:
						d.drop(f)
					}
				}
				var got []seen
				for _, l := range d.lags() {
					got = append(got, seen{l.tier, l.lag, l.open, l.last.String()})
				}
				require.Equal(t, c.want, got)
				rand.Shuffle(len(c.facts), func(i, j int) { c.facts[i], c.facts[j] = c.facts[j], c.facts[i] })
			}
		})
	}
}

// Strong families are not cached in a worker's memory: no worker tells of them, and their commits
// are no commits of which somebody forgot to tell.
func TestInsideLagOfAFamilyThatATierDoesNotHold(t *testing.T) {
	var d invalidationLog
	price := targets.Key{Family: "price", ID: "1"}
	d.commit(committed(2, 100*ms))
	d.commit(targets.Commit{Key: price, Version: 2, At: 200 * ms})
	d.drop(droppedL1("eu-0", 2, 105*ms))
	require.Len(t, d.lags(), 1)

	d.drop(targets.Invalidated{Key: price, Tier: targets.TierL1, Region: "eu", Worker: "eu-1", Version: 2, At: 210 * ms})
	got := d.lags() // now both workers hold both
	require.Len(t, got, 2)
	require.Equal(t, "l1 of eu-1", got[0].last.String())
	require.True(t, got[0].open)
	require.Equal(t, "l1 of eu-0", got[1].last.String())
	require.True(t, got[1].open)
}

// Against the definition, read literally.
func TestInsideLagOfRandomHistories(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var d invalidationLog
		commits := map[uint64]time.Duration{}
		for v := range uint64(1 + rnd.IntN(8)) {
			commits[v+1] = time.Duration(v)*100*ms + time.Duration(rnd.IntN(100))*ms
			d.commit(committed(v+1, commits[v+1]))
		}
		var drops []targets.Invalidated
		for range rnd.IntN(25) {
			drop := droppedL1(string(rune('a'+rnd.IntN(3))), 1+rnd.Uint64N(8), time.Duration(rnd.IntN(1500))*ms)
			drops = append(drops, drop)
			d.drop(drop)
		}
		workers := map[string]bool{}
		for _, x := range drops {
			workers[x.Worker] = true
		}
		got := d.lags()
		n := 0
		for v := uint64(2); v <= 8; v++ {
			at, ok := commits[v]
			if !ok || len(workers) == 0 {
				continue
			}
			want, open := time.Duration(0), false
			for w := range workers {
				first, heard := time.Duration(0), false
				for _, x := range drops {
					if x.Worker == w && x.Version >= v && (!heard || x.At < first) {
						first, heard = x.At, true
					}
				}
				if !heard {
					open = true
					continue
				}
				want = max(want, first-at)
			}
			require.Less(t, n, len(got), "seed %d", seed)
			require.Equal(t, at, got[n].committed, "seed %d, v%d", seed, v)
			require.Equal(t, want, got[n].lag, "seed %d, v%d", seed, v)
			require.Equal(t, open, got[n].open, "seed %d, v%d", seed, v)
			n++
		}
		require.Len(t, got, n, "seed %d", seed)
	}
}
