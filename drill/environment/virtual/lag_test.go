package virtual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
)

// Held invalidations show from inside, in every tier that they should have reached; the sham of the
// same fault holds nothing.
func TestInvalidationLagFromInside(t *testing.T) {
	suite, err := scenarios.Parse("small", []byte(small))
	require.NoError(t, err)
	delay, err := suite.Scenario("delay")
	require.NoError(t, err)
	const seed = 1
	held := drilled(t, delay, suite.Policies["recommended"], seed, false).Phases[measure.Fault].InvalidationLagTierMS
	quiet := drilled(t, delay, suite.Policies["recommended"], seed, true).Phases[measure.Fault].InvalidationLagTierMS
	for _, tier := range []string{"l1", "l2"} { // l1 holds pages only
		require.Greater(t, held[tier].Commits, int64(4), "seed %d: %+v", seed, held)
		require.NotNil(t, held[tier].Max, "seed %d: %+v", seed, held)
		require.Greater(t, *held[tier].Max, 500.0, "seed %d, %s", seed, tier)
		require.NotNil(t, quiet[tier].Max, "seed %d: %+v", seed, quiet)
		require.Less(t, *quiet[tier].Max, 500.0, "seed %d, %s", seed, tier)
		t.Logf("%s: held %v ms, sham %v ms", tier, *held[tier].Max, *quiet[tier].Max)
	}
}
