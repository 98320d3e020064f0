package virtual

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

// seeds is how many seeds each animal is shown to: a few, or as many as CACHEDRILL_VIRTUAL_SEEDS says.
func seeds(t *testing.T) uint64 {
	said := os.Getenv("CACHEDRILL_VIRTUAL_SEEDS")
	if said == "" {
		return 3
	}
	n, err := strconv.ParseUint(said, 10, 32)
	require.NoError(t, err)
	return n
}

func missed(s report.Scenario, costly bool) (out []string) {
	for _, o := range s.SLOs {
		if o.Outcome == report.Fail && !(costly && zoo.AboutCost(o.Expr)) {
			out = append(out, fmt.Sprintf("%s: observed %s; %s", o.Expr, o.Observed, o.Evidence))
		}
	}
	return out
}

// caught says whether the objective that must catch an animal did, with evidence.
func caught(s report.Scenario, objective string) bool {
	return slices.ContainsFunc(s.SLOs, func(o report.SLO) bool {
		return o.Outcome == report.Fail && strings.HasPrefix(o.Expr, objective)
	})
}

// Every broken animal is caught by its own drill and objective, and no correct one is accused in any drill.
func TestZoo(t *testing.T) {
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	for _, a := range zoo.Animals() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds(t) {
				if a.Correct() {
					for _, sc := range suite.Scenarios {
						s := drill(t, sc, a.Policy, seed, false)
						require.Empty(t, missed(s, a.Costly), "%s, seed %d", sc.Name, seed)
						if !a.Costly {
							require.Equal(t, report.Pass, s.Outcome, "%s, seed %d: %s", sc.Name, seed, s.Why)
						}
					}
					continue
				}
				sc, err := suite.Scenario(a.Drill)
				require.NoError(t, err)
				s := drill(t, sc, a.Policy, seed, false)
				if !caught(s, a.Objective) {
					t.Errorf("seed %d: %s does not catch it: %s %s\n%s", seed, a.Objective, s.Outcome, s.Why, strings.Join(missed(s, false), "\n"))
				}
			}
		})
	}
}
