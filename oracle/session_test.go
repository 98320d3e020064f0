package oracle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// The table remembers what a map would, except what it had to forget; it never makes a sight up,
// and stays in its bounds.
func TestSessionsForgetButNeverInvent(t *testing.T) {
	for _, c := range []struct {
		name            string
		keys, sessions  int
		steps           int
		leastRemembered float64
	}{
		{"few", 10, 20, 5_000, 1},
		{"more than fit", 300, 100, 90_000, 0.15},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 7))
			keys := make([]keyState, c.keys)
			for i := range keys {
				keys[i].hash = rng.Uint64()
			}
			type pair struct {
				k       *keyState
				session uint64
			}
			var s sessions
			truth := map[pair]uint64{}
			asked, remembered := 0, 0
			for step := range c.steps {
				k := &keys[rng.IntN(c.keys)]
				at := time.Duration(2 * step)
				op := targets.Operation{Request: targets.Request{Session: 1 + rng.Uint64N(uint64(c.sessions))}, Sent: at, Returned: at + 1}
				p := pair{k, op.Session}
				got, want := s.before(k, &op), truth[p]
				require.True(t, got == 0 || got <= want, "step %d: %d for %d", step, got, want)
				if want != 0 {
					asked++
					if got == want {
						remembered++
					}
				}
				v := uint64(1 + step/10)
				s.saw(k, &op, v)
				truth[p] = max(truth[p], v)
			}
			require.LessOrEqual(t, len(s.sights), maxSights)
			require.GreaterOrEqual(t, float64(remembered), c.leastRemembered*float64(asked), "%d of %d", remembered, asked)
			t.Logf("remembered %d of %d", remembered, asked)
		})
	}
}
