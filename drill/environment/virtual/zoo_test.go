package virtual

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

// seeds is how many seeds each animal is shown to: a few, or as many as CACHEDRILL_VIRTUAL_SEEDS
// says.
func seeds(t *testing.T) uint64 {
	seeds := os.Getenv("CACHEDRILL_VIRTUAL_SEEDS")
	switch {
	case seeds == "" && raced:
		return 1
	case seeds == "":
		return 3
	}
	n, err := strconv.ParseUint(seeds, 10, 32)
	require.NoError(t, err)
	return n
}

func missed(s report.Drill, costly bool) (out []string) {
	for _, o := range s.SLOs {
		if o.Outcome == slo.Fail && !(costly && zoo.AboutCost(o.Expr)) {
			out = append(out, fmt.Sprintf("%s: observed %s; %s", o.Expr, o.Observed, o.Evidence))
		}
	}
	return out
}

// caught says whether the objective that must catch an animal did, with evidence.
func caught(s report.Drill, objective string) bool {
	return slices.ContainsFunc(s.SLOs, func(o report.SLO) bool {
		return o.Outcome == slo.Fail && strings.HasPrefix(o.Expr, objective)
	})
}

// Every broken animal is caught by its own drill and objective, in all seeds but one in a hundred,
// and one more; no correct one is accused in any drill.
func TestZoo(t *testing.T) {
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	for _, a := range zoo.Specimens() {
		t.Run(a.Name, func(t *testing.T) {
			if raced && a.Cost {
				t.Skip("under the race detector a sample is enough; the same runs without it")
			}
			t.Parallel()
			if a.Correct() {
				notAccused(t, suite, a, false)
				return
			}
			sc, err := suite.Scenario(a.Drill)
			require.NoError(t, err)
			escaped := 0
			for seed := range seeds(t) {
				s := drilled(t, sc, a.Policy, seed, false)
				if !caught(s, a.Objective) {
					escaped++
					t.Logf("seed %d: %s does not catch it: %s %s\n%s", seed, a.Objective, s.Outcome, s.Why, strings.Join(missed(s, false), "\n"))
				}
			}
			require.LessOrEqual(t, escaped, 1+int(seeds(t))/100)
		})
	}
}

// notAccused drills a correct animal: every drill once at least, with the seeds in turn.
func notAccused(t *testing.T, suite scenarios.Suite, a zoo.Specimen, blackBox bool) {
	t.Helper()
	drills := max(seeds(t), uint64(len(suite.Scenarios)))
	if raced {
		drills = 2
	}
	for i := range drills {
		sc := suite.Scenarios[i%uint64(len(suite.Scenarios))]
		s := drilledWith(t, sc, environment.Options{Policy: a.Policy, Seed: i, BlackBox: blackBox}, false)
		require.Empty(t, missed(s, a.Costly || blackBox), "%s, seed %d", sc.Name, i)
		if !a.Costly && !blackBox {
			require.Equal(t, slo.Pass, s.Outcome, "%s, seed %d: %s", sc.Name, i, s.Why)
		}
	}
}
