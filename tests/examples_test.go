package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/tests/program"
)

// The examples are drilled as their readers do it: the program is built, and starts the service by
// the suite beside it. A copy of the suite has free ports, and shorter phases.

// shorter makes the suites' phases what CI has time for.
var shorter = []string{
	"rate: 150/s", "rate: 100/s", `"p99 < 500ms"`, `"p95 < 500ms"`,
	"phases: {warmup: 1s, steady: 4s, fault: 6s, recovery: 6s}", "phases: {warmup: 500ms, steady: 2s, fault: 5s, recovery: 4s}",
	"phases: {fault: 8s}", "phases: {fault: 7s}",
	`CACHE_TTL: "8"`, `CACHE_TTL: "4"`,
	"for: 8s", "for: 7s",
	"recovery_time < 4s", "recovery_time < 2s", "recovery_time < 3s", "recovery_time < 2s",
	"network.blackhole: {edge: redis, for: 4s}", "network.blackhole: {edge: redis, for: 2500ms}",
	"phases: {warmup: 1s, steady: 3s, fault: 5s, recovery: 4s}", "phases: {warmup: 500ms, steady: 2s, fault: 4s, recovery: 3s}",
}

// example copies an example into a folder of the test's own.
func example(t *testing.T, name string, replace ...string) (suite string) {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("../examples/" + name + "/*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // a folder
			continue
		}
		if filepath.Base(file) == "drill.yaml" {
			short := strings.NewReplacer(replace...).Replace(string(text))
			require.NotEqual(t, string(text), short)
			text = []byte(short)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644))
	}
	return filepath.Join(dir, "drill.yaml")
}

func pythonExample(t *testing.T, replace ...string) string {
	p := []string{program.FreePort(), program.FreePort()}
	return example(t, "python", append([]string{"18091", p[0], "18092", p[1],
		`REDIS: "{edge.redis}"`, fmt.Sprintf(`REDIS: "{edge.redis}", PORT: "%s", DB_PORT: "%s"`, p[0], p[1])}, replace...)...)
}

func goExample(t *testing.T, replace ...string) string {
	p := []string{program.FreePort()}
	suite := example(t, "go", append([]string{"18095", p[0], "start: [./shop]", `start: [./shop, -listen, "127.0.0.1:` + p[0] + `"]`}, replace...)...)
	out, err := exec.Command("go", "build", "-o", filepath.Join(filepath.Dir(suite), "shop"), "../examples/go").CombinedOutput()
	require.NoError(t, err, string(out))
	return suite
}

// findPython puts a python3 on PATH that has redis-py, if there is one.
func findPython(t *testing.T) bool {
	t.Helper()
	has := func(python string) bool { return exec.Command(python, "-c", "import redis").Run() == nil }
	switch {
	case has("python3"):
	case has("/usr/bin/python3"): // the distribution's, behind another one
		dir := t.TempDir()
		require.NoError(t, os.Symlink("/usr/bin/python3", filepath.Join(dir, "python3")))
		t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	default:
		return false
	}
	return true
}

func needPython(t *testing.T, found bool) {
	t.Helper()
	switch {
	case found:
	case program.InCI():
		t.Fatal("no python3 with redis-py: scripts/setup installs python3-redis")
	default:
		t.Skip("no python3 with redis-py: make test installs python3-redis where it can")
	}
}

// guilty drills until an objective is missed, and gives the row. A busy machine makes what is not
// about safety unknown, which says nothing about the cache; a drill in which another objective was
// missed is not repeated for that by the program.
func guilty(t *testing.T, drill func(scenario string) report.Report, scenario, expr string) report.SLO {
	t.Helper()
	var r report.Report
	for range 3 {
		r = drill(scenario)
		for _, o := range r.Scenarios[0].SLOs {
			if o.Expr == expr && o.Outcome == slo.Fail {
				t.Logf("%s: observed %s: %s", o.Expr, o.Observed, o.Evidence)
				return o
			}
		}
	}
	t.Fatalf("%s did not miss %s:\n%s", scenario, expr, program.Explain(r))
	return report.SLO{}
}

// requireGuilty holds that the textbook's cache is found guilty of what is wrong with it, each with
// its evidence.
func requireGuilty(t *testing.T, drill func(scenario string) report.Report) {
	t.Helper()
	require.Contains(t, guilty(t, drill, "writes-under-load", "violations == 0").Evidence, "a later write was acknowledged at")
	require.Contains(t, guilty(t, drill, "redis-gone", "errors < 5%").Evidence, "no answer in time")
	twice := guilty(t, drill, "slow-source", "stampede.max <= 1").Evidence
	require.Contains(t, twice, "loads of one key under way at once")
	require.Regexp(t, `MONITOR.*s \S+ SET (\S+) 1 EX 3 NX; \S+s that lock (ran out|was deleted).*s \S+ SET \S+ 1 EX 3 NX; .*s \S+ DEL \S+ \(the lock of `, twice)
}

func TestExamples(t *testing.T) {
	redistest.Need(t)
	python := findPython(t)
	t.Run("at once", func(t *testing.T) { // most of their time is waiting
		t.Run("python, textbook", func(t *testing.T) {
			needPython(t, python)
			suite := pythonExample(t, append(shorter, "within: 3s", "within: 1s")...)
			t.Parallel()
			requireGuilty(t, func(scenario string) report.Report {
				return program.Drill(t, scenario, "-f", suite, "--policy", "textbook", "--seed", "1")
			})
		})
		t.Run("python, repaired", func(t *testing.T) {
			needPython(t, python)
			suite := pythonExample(t, shorter...)
			t.Parallel()
			r := program.Drill(t, "writes-under-load", "redis-gone", "slow-source", "-f", suite, "--policy", "repaired", "--seed", "1")
			require.Equal(t, slo.Pass, r.Outcome, program.Explain(r))
		})
		t.Run("go", func(t *testing.T) {
			suite := goExample(t, shorter...)
			t.Parallel()
			r := program.Drill(t, "redis-gone", "-f", suite, "--seed", "1")
			require.Equal(t, slo.Pass, r.Outcome, program.Explain(r))
			guilty(t, func(scenario string) report.Report {
				return program.Drill(t, scenario, "-f", suite, "--policy", "forgetful", "--seed", "1")
			}, "writes-under-load", "violations == 0")
		})
	})
}

// TestSoakExamples is the long form: whole suites, as they are, over many seeds.
func TestSoakExamples(t *testing.T) {
	first, last, ok := program.Seeds("CACHEDRILL_SOAK")
	if !ok {
		t.Skip("CACHEDRILL_SOAK is not set to a number of seeds; make soak sets it")
	}
	redistest.Need(t)
	needPython(t, findPython(t))
	for seed := first; seed <= last; seed++ {
		for name, suite := range map[string]string{"repaired": pythonExample(t), asGiven: goExample(t)} {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				r := program.Drill(t, "-f", suite, "--policy", name, "--seed", strconv.Itoa(seed))
				require.Equal(t, slo.Pass, r.Outcome, program.Explain(r))
			})
		}
		t.Run(fmt.Sprintf("textbook %d", seed), func(t *testing.T) {
			suite := pythonExample(t)
			requireGuilty(t, func(scenario string) report.Report {
				return program.Drill(t, scenario, "-f", suite, "--policy", "textbook", "--seed", strconv.Itoa(seed))
			})
		})
		t.Run(fmt.Sprintf("forgetful %d", seed), func(t *testing.T) {
			suite := goExample(t)
			guilty(t, func(scenario string) report.Report {
				return program.Drill(t, scenario, "-f", suite, "--policy", "forgetful", "--seed", strconv.Itoa(seed))
			}, "writes-under-load", "violations == 0")
		})
	}
}

// asGiven is the policy of a service that is started as the suite says, and no other way.
const asGiven = "as-is"
