package virtual

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

// The shipped pair: below the derived load a mass expiry is survived, above it the failure sustains
// itself with a policy that has neither shedding nor a retry budget, and only lowering the load
// ends it; with both controls the same load recovers by itself.
func TestMetastability(t *testing.T) {
	suite, err := scenarios.Load("../../../scenarios/library/metastable.yaml")
	require.NoError(t, err)
	states := map[string]map[report.RecoveryState]int{}
	runs := int(seeds(t))
	for _, c := range []struct {
		drill, policy string
		state         report.RecoveryState
	}{
		{"below", "fragile", report.Recovered}, {"below", "sturdy", report.Recovered},
		{"above", "fragile", report.Stuck}, {"above", "sturdy", report.Recovered},
	} {
		sc, err := suite.Scenario(c.drill)
		require.NoError(t, err)
		name := c.drill + " " + c.policy
		states[name] = map[report.RecoveryState]int{}
		for seed := range runs {
			s := drilled(t, sc, suite.Policies[c.policy], uint64(seed), false)
			states[name][s.Recovery.State]++
			if s.Recovery.State != report.Stuck {
				continue
			}
			require.Equal(t, slo.Fail, s.Outcome, s.Why)
			require.Len(t, s.Recovery.SustainedBy, 3, "abandoned fills, retries, queueing: %v", s.Recovery.SustainedBy)
			require.NotNil(t, s.Recovery.Dip)
			if states[name+" dip"] == nil {
				states[name+" dip"] = map[report.RecoveryState]int{}
			}
			states[name+" dip"][s.Recovery.Dip.State]++
		}
		require.GreaterOrEqual(t, 10*states[name][c.state], 9*runs, "%s: %v", name, states[name])
	}
	require.GreaterOrEqual(t, 10*states["above fragile dip"][report.Recovered], 9*states["above fragile"][report.Stuck], "%v", states)
	t.Log(states)
}

// The derivation of docs/metastability.md, on the numbers of the shipped pair: below lies below the
// load at which a mass expiry times loads out, above lies above it, and both above what the failure
// needs to sustain itself.
func TestMetastablePairStraddlesTheDerivedLoad(t *testing.T) {
	suite, err := scenarios.Load("../../../scenarios/library/metastable.yaml")
	require.NoError(t, err)
	below, err := suite.Scenario("below")
	require.NoError(t, err)
	above, err := suite.Scenario("above")
	require.NoError(t, err)
	const attempt, attempts, loadTime = 0.4, 3, 1.0 // seconds, of package reference
	keys := float64(below.Workload.Mixes[0].Keys)
	spec, err := below.Reference()
	require.NoError(t, err)
	service := spec.Source.ServiceTime.Seconds()
	capacity := float64(spec.Source.Servers) / service
	backlog := func(load float64) float64 { // the largest after everything expired
		return keys*(1-capacity/load) - capacity*keys/load*math.Log(load/capacity)
	}
	trigger := capacity
	for backlog(trigger) < capacity*(attempt-service) {
		trigger++
	}
	sustain := 1.0
	for keys*attempts/(keys/sustain+loadTime) < capacity {
		sustain++
	}
	t.Logf("capacity %.0f/s: triggered from %.0f/s on, sustained from %.0f/s on", capacity, trigger, sustain)
	require.Less(t, below.Workload.Steps[0].Rate, 0.8*trigger)
	require.Greater(t, above.Workload.Steps[0].Rate, 1.1*trigger)
	require.Greater(t, below.Workload.Steps[0].Rate, sustain, "below must be saved by its trigger being too weak, not by luck")
}
