package oracle

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

const histories = 6000

// each plays many worlds, each with its own seed, which failures show.
func worlds(t *testing.T, n int, r recipe, check func(t *testing.T, name string, rng *rand.Rand, w *world)) {
	t.Helper()
	for seed := range n {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		w := newWorld(rng, r)
		check(t, fmt.Sprintf("seed %d\n%s", seed, w), rng, w)
		if t.Failed() {
			return
		}
	}
}

var blackBox = recipe{seeded: true, unknown: true, silent: true, stale: true, writes: 4, reads: 5, span: 9}

// Every answer equals what enumerating all commit orders and times says, and does not depend on the interleaving.
func TestAnswersEqualEnumeration(t *testing.T) {
	counted := map[Answer]int{}
	worlds(t, histories, blackBox, func(t *testing.T, name string, rng *rand.Rand, w *world) {
		judged, _ := w.stream(rng, Config{})
		again, _ := w.stream(rng, Config{})
		require.Equal(t, judged, again, "interleaving mattered: %s", name)
		for _, a := range w.acts {
			if a.op.Kind != targets.Read {
				continue
			}
			d := judged[a.op.Seq]
			answer, low, high := w.bruteForce(a.op)
			counted[answer]++
			require.Equal(t, answer.String(), d.Answer.String(), "read %d of %s", a.op.Seq, name)
			require.Equal(t, low, d.Low, "low of read %d of %s", a.op.Seq, name)
			require.Equal(t, high, d.High, "high of read %d of %s", a.op.Seq, name)
		}
	})
	for _, a := range []Answer{Fresh, Stale, Indeterminate} {
		require.Greater(t, counted[a], histories/20, "the worlds must exercise %s: %v", a, counted)
	}
}
