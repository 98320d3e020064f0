package virtual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

// The default suite in virtual time: recommended passes every drill, and naive is caught for what
// it is.
func TestDefaultSuite(t *testing.T) {
	suite, err := scenarios.Load("../../../scenarios.yaml")
	require.NoError(t, err)
	catches := map[string]string{"mass-expiry": "stampede.max", "delayed-invalidation": "stale{", "region-split": "stale{"}
	for _, sc := range suite.Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			s := drilled(t, sc, suite.Policies["recommended"], 1, false)
			require.Equal(t, slo.Pass, s.Outcome, s.Why)
			if objective, ok := catches[sc.Name]; ok {
				s = drilled(t, sc, suite.Policies["naive"], 1, false)
				require.True(t, caught(s, objective), "%s: %s", s.Outcome, s.Why)
			}
		})
	}
}
