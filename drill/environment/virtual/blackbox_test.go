package virtual

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

// Judged by their answers alone, without versions and without the source's history, correct caches
// are still accused of nothing, and broken ones are still caught where their answers can tell.
func TestZooAsBlackBoxes(t *testing.T) {
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	// late-version can't be seen: versions are not shown. The drills of the others are about counts
	// of loads, which a stranger does not have.
	visible := []string{"without-class-routing", "without-age-clamp", "early-join", "negative-forever", "tenant-blind",
		"dual-write", "delete-first", "slow-fill", "deaf-memory", "no-clamp", "write-behind"}
	for _, a := range zoo.Specimens() {
		if !a.Correct() && !slices.Contains(visible, a.Name) {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			if a.Correct() {
				notAccused(t, suite, a, true)
				return
			}
			sc, err := suite.Scenario(a.Drill)
			require.NoError(t, err)
			escaped := 0
			for seed := range seeds(t) {
				if s := drilledWith(t, sc, environment.Options{Policy: a.Policy, Seed: seed, BlackBox: true}, false); len(missed(s, true)) == 0 {
					escaped++
				}
			}
			require.LessOrEqual(t, escaped, 1+int(seeds(t))/100)
		})
	}
}
