package tests

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/tests/program"
)

// TestSoak is the proof that the default suite tells good from bad: over many seeds, on both kinds
// of Redis, the recommended policy passes every drill, so does every sham, and naive is caught for
// the right reasons. CACHEDRILL_SOAK says over how many seeds; without it the test is left out,
// since a seed takes about five minutes. make soak runs it. A range, as in 4-10, takes those seeds.
func TestSoak(t *testing.T) {
	first, last, ok := program.Seeds("CACHEDRILL_SOAK")
	if !ok {
		t.Skip("CACHEDRILL_SOAK is not set to a number of seeds; make soak sets it")
	}
	redistest.Need(t)
	digests := map[int]string{}
	for seed := first; seed <= last; seed++ {
		for _, redis := range []string{"embedded", "process"} {
			for _, extra := range [][]string{nil, {"--sham"}} {
				if (extra != nil || redis == "embedded") && program.InCI() {
					continue // a sample: other tests drill on the embedded one, and the sham
				}
				name := strings.Join(append([]string{"recommended", redis, strconv.Itoa(seed)}, extra...), " ")
				t.Run(name, func(t *testing.T) {
					r := program.Drill(t, append([]string{"-f", "../scenarios.yaml", "--redis", redis, "--seed", strconv.Itoa(seed)}, extra...)...)
					require.Equal(t, slo.Pass, r.Outcome, program.Explain(r))
					require.True(t, strings.HasPrefix(r.Environment.Redis, redis), r.Environment.Redis)
					sent := digestOf(t, r)
					if digests[seed] == "" {
						digests[seed] = sent
					}
					require.Equal(t, digests[seed], sent, "the same seed must send the same operations")
				})
			}
		}
		t.Run(fmt.Sprintf("naive %d", seed), func(t *testing.T) {
			r := program.Drill(t, "-f", "../scenarios.yaml", "--policy", "naive", "--redis", "embedded", "--seed", strconv.Itoa(seed))
			require.Equal(t, slo.Fail, r.Outcome, program.Explain(r))
			requireCaught(t, r, "mass-expiry", "stampede.max")
			if !caught(r, "delayed-invalidation", "stale{") {
				requireCaught(t, r, "region-split", "stale{")
			}
			require.Equal(t, digests[seed], digestOf(t, r))
		})
		t.Run(fmt.Sprintf("metastable %d", seed), func(t *testing.T) {
			if program.InCI() {
				t.Skip("a sample; virtual time has it, over many seeds")
			}
			policies := map[string]report.RecoveryState{"fragile": report.Stuck, "sturdy": report.Recovered}
			for policy, above := range policies {
				r := program.Drill(t, "-f", "../scenarios/library/metastable.yaml", "--policy", policy, "--redis", "embedded",
					"--retry-unknown", "1", "--seed", strconv.Itoa(seed)) // a minute each; the state is known also when the outcome is not
				require.Equal(t, report.Recovered, r.Scenarios[0].Recovery.State, program.Explain(r))
				require.Equal(t, above, r.Scenarios[1].Recovery.State, program.Explain(r))
				require.Equal(t, report.Recovered, r.Scenarios[1].Recovery.Dip.State, program.Explain(r))
			}
		})
	}
}

// digestOf puts the digests of all drills together; all must have sent what they planned.
func digestOf(t *testing.T, r report.Report) string {
	var all []string
	for _, s := range r.Scenarios {
		require.Equal(t, s.Operations.Planned, s.Operations.Sent, s.Name)
		all = append(all, s.Operations.Digest)
	}
	return strings.Join(all, " ")
}

func caught(r report.Report, scenario, metric string) bool {
	for _, s := range r.Scenarios {
		for _, o := range s.SLOs {
			if s.Name == scenario && strings.HasPrefix(o.Expr, metric) && o.Outcome == slo.Fail &&
				o.Observed != "" && o.Limit != "" && o.Evidence != "" {
				return true
			}
		}
	}
	return false
}

func requireCaught(t *testing.T, r report.Report, scenario, metric string) {
	t.Helper()
	require.True(t, caught(r, scenario, metric), "%s did not fail on %s with observed value, limit and evidence:\n%s", scenario, metric, program.Explain(r))
}
