package habits

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

// load is what all services are drilled with: a few keys that are deleted and created again, and
// writes that collide.
func load(h Habits) string {
	tenants := ""
	if h.Is("tenants", "two") {
		tenants = "\n  tenants: 2"
	}
	return fmt.Sprintf(`workload:
  rate: 100/s%s
  mix: {item: {share: 100%%, keys: 12, zipf: 0.8, writes: 12%%, deletes: 2%%, absent: 4%%}}
  bursts: {every: 900ms, size: 2, quiet: 600ms}
phases: {warmup: 500ms, steady: 2s, fault: 2s, recovery: 3s}
slo: {always: ["lost_writes == 0", "leaks == 0", "corruptions == 0", "violations == 0"]}
scenarios: {calm: {why: a service by itself, faults: [{sham: {for: 1s}}]}}
`, tenants)
}

// drilled drills a service in virtual time. An error says why it can't be drilled.
func drilled(t *testing.T, s *Service, described bool, seed uint64) (out report.Drill, err error) {
	text := s.Suite(described, s.Addresses(), load(s.habits))
	suite, err := scenarios.Parse("drill.yaml", []byte(text))
	require.NoError(t, err, text)
	policy, err := suite.Policy(suite.DefaultPolicy())
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		var res drill.Result
		res, err = drill.RunIn(context.Background(), suite.Scenarios[0], s.Open,
			environment.Options{Policy: policy, Seed: seed}, drill.Options{Policy: policy.Name, Seed: seed, Qualify: true})
		out = res.Scenario
	})
	return out, err
}

// missed are the objectives that a drill failed.
func missed(s report.Drill) (out []string) {
	for _, r := range s.SLOs {
		if r.Outcome == slo.Fail {
			out = append(out, fmt.Sprintf("%s: observed %s: %s", r.Expr, r.Observed, r.Evidence))
		}
	}
	return out
}

// rows shows a drill.
func rows(s report.Drill) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.Outcome, s.Why)
	for _, r := range s.SLOs {
		fmt.Fprintf(&b, "  %s (%s): %s, observed %s, %s %s\n", r.Expr, r.Phase, r.Outcome, r.Observed, r.Why, r.Evidence)
	}
	for _, n := range s.Notes {
		b.WriteString("  note: " + n + "\n")
	}
	return b.String()
}
