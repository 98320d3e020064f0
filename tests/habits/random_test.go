package habits

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
)

// randomCase is a service with habits that were drawn, correct or not, and whether its suite
// describes them.
type randomCase struct {
	seed      uint64
	habits    Habits
	class     Class
	defect    string
	described bool
}

// draw makes up a case. A seed gives the same case at all times.
func draw(seed uint64) randomCase {
	rng := rand.New(rand.NewPCG(seed, 7))
	c := randomCase{seed: seed, class: []Class{Strong, Bounded, Eventual}[rng.IntN(3)], described: rng.IntN(2) == 0}
	c.habits = Draw(rng, []float64{0.08, 0.16, 0.3}[rng.IntN(3)])
	if rng.IntN(2) == 0 {
		for c.defect == "" || !c.habits.Suits(c.defect) {
			c.defect = Defects[1+rng.IntN(len(Defects)-1)]
		}
	}
	return c
}

// String says what a case is.
func (c randomCase) String() string {
	return fmt.Sprintf("case %d: %s %q, described %v [%s]", c.seed, c.class, c.defect, c.described, c.habits)
}

// tally counts the broken services that were drilled and caught, and keeps cases that must not be.
type tally struct {
	mu             sync.Mutex
	correct        int
	broken, caught map[bool]int // by whether the suite describes the habits
	refused        int          // to be drilled
	accused        []string
	escaped        []string
}

func (a *tally) add(c randomCase, s report.Drill, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil: // the service takes no such values or keys, and the suite doesn't say so
		a.refused++
	case c.defect == "":
		a.correct++
		if s.Outcome == slo.Fail || len(missed(s)) > 0 {
			a.accused = append(a.accused, fmt.Sprintf("%s: %s", c, rows(s)))
		}
	default:
		a.broken[c.described]++
		if s.Outcome == slo.Fail {
			a.caught[c.described]++
		} else {
			a.escaped = append(a.escaped, c.String())
		}
	}
}

// Whatever habits come together, no drill accuses a correct service, described or not.
// CACHEDRILL_SOAK is how many cases there are; they say which share of the broken ones is caught.
func TestRandomHabits(t *testing.T) {
	cases := uint64(60)
	if v := os.Getenv("CACHEDRILL_SOAK"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
		cases = n
	}
	const lanes = 4
	found := tally{broken: map[bool]int{}, caught: map[bool]int{}}
	t.Run("cases", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(strconv.FormatUint(lane, 10), func(t *testing.T) {
				t.Parallel()
				for seed := lane; seed < cases; seed += lanes {
					c := draw(seed)
					s, err := drilled(t, New(c.habits, c.class, c.defect, c.seed), c.described, c.seed)
					found.add(c, s, err)
				}
			})
		}
	})
	slices.Sort(found.escaped)
	t.Logf("%d correct services, %d accused; caught of the broken ones: %d of %d that the suite describes, %d of %d others; %d could not be drilled; not caught:\n%s",
		found.correct, len(found.accused), found.caught[true], found.broken[true], found.caught[false], found.broken[false], found.refused,
		strings.Join(found.escaped, "\n"))
	require.Empty(t, found.accused)
	require.Positive(t, found.correct)
}
