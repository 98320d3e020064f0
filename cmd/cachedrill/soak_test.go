package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
)

// TestSoak is the proof that the default suite tells good from bad: over many seeds, on both kinds of
// Redis, the recommended policy passes every drill, so does every sham, and naive is caught for the
// right reasons. CACHEDRILL_SOAK says over how many seeds; without it the test is left out, since a
// seed takes about five minutes. make soak runs it. A range, as in 4-10, takes those seeds.
func TestSoak(t *testing.T) {
	first, last, ok := seedRange(os.Getenv("CACHEDRILL_SOAK"))
	if !ok {
		t.Skip("CACHEDRILL_SOAK is not set to a number of seeds; make soak sets it")
	}
	needRedisServer(t)
	binary := build(t)
	digests := map[int]string{}
	for seed := first; seed <= last; seed++ {
		for _, redis := range []string{"embedded", "process"} {
			for _, extra := range [][]string{nil, {"--sham"}} {
				if (extra != nil || redis == "embedded") && os.Getenv("CI") == "true" {
					continue // a sample: other tests drill on the embedded one, and the sham
				}
				name := strings.Join(append([]string{"recommended", redis, strconv.Itoa(seed)}, extra...), " ")
				t.Run(name, func(t *testing.T) {
					r := drill(t, binary, append([]string{"--redis", redis, "--seed", strconv.Itoa(seed)}, extra...)...)
					require.Equal(t, report.Pass, r.Outcome, explain(r))
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
			r := drill(t, binary, "--policy", "naive", "--redis", "embedded", "--seed", strconv.Itoa(seed))
			require.Equal(t, report.Fail, r.Outcome, explain(r))
			requireCaught(t, r, "mass-expiry", "stampede.max")
			if !caught(r, "delayed-invalidation", "stale{") {
				requireCaught(t, r, "region-split", "stale{")
			}
			require.Equal(t, digests[seed], digestOf(t, r))
		})
		t.Run(fmt.Sprintf("metastable %d", seed), func(t *testing.T) {
			if os.Getenv("CI") == "true" {
				t.Skip("a sample; virtual time has it, over many seeds")
			}
			policies := map[string]report.RecoveryState{"fragile": report.Stuck, "sturdy": report.Recovered}
			for policy, above := range policies {
				r := drill(t, binary, "-f", "../../scenarios/metastable.yaml", "--policy", policy, "--redis", "embedded",
					"--retry-unknown", "1", "--seed", strconv.Itoa(seed)) // a minute each; the state is known also when the outcome is not
				require.Equal(t, report.Recovered, r.Scenarios[0].Recovery.State, explain(r))
				require.Equal(t, above, r.Scenarios[1].Recovery.State, explain(r))
				require.Equal(t, report.Recovered, r.Scenarios[1].Recovery.Push.State, explain(r))
			}
		})
	}
}

func seedRange(s string) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		from, to = "1", s
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	return first, last, err1 == nil && err2 == nil
}

// drill runs the binary and reads its report. Any outcome will do, an error will not.
func drill(t *testing.T, binary string, args ...string) report.Report {
	t.Helper()
	// A machine whose processors are taken away for a moment makes a drill unknown, which says nothing
	// about the cache: such a drill is repeated. A drill that failed never is.
	cmd := exec.Command(binary, append([]string{"run", "--quiet", "--json", "--retry-unknown", "8", "-f", "../../scenarios.yaml"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		require.NoError(t, err)
	}
	var r report.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r), stderr.String())
	require.Equal(t, r.Outcome.ExitCode(), cmd.ProcessState.ExitCode(), stderr.String())
	for _, s := range r.Scenarios {
		t.Logf("%-20s %-7s attempts %d  late p99 %.1fms  %s", s.Name, s.Outcome, max(1, s.Attempts), s.Generator.LatenessMS.P99, s.Why)
	}
	return r
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
			if s.Name == scenario && strings.HasPrefix(o.Expr, metric) && o.Outcome == report.Fail &&
				o.Observed != "" && o.Limit != "" && o.Evidence != "" {
				return true
			}
		}
	}
	return false
}

func requireCaught(t *testing.T, r report.Report, scenario, metric string) {
	t.Helper()
	require.True(t, caught(r, scenario, metric), "%s did not fail on %s with observed value, limit and evidence:\n%s", scenario, metric, explain(r))
}

// explain is the summary a user would see.
func explain(r report.Report) string {
	var b strings.Builder
	_ = report.Text(&b, r, report.TextOptions{})
	return b.String()
}

// build compiles the program as users have it.
func build(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/cachedrill"
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}
