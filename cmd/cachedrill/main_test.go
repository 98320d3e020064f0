package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill"
	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/tests/program"
)

// asProgram, in the environment, makes the tests' binary the program itself: for what starts one that needn't be built for it.
const asProgram = "CACHEDRILL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	reexec.Main(testRoles())
	if os.Getenv(asProgram) != "" {
		main()
	}
	goredis.SetLogger(silent{})
	os.Exit(program.Main(pgtest.Closing(m)))
}

// cli runs the program in an empty folder.
func cli(t *testing.T, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelpTeaches(t *testing.T) {
	code, out, _ := cli(t, nil, "--help")
	require.Equal(t, exitPass, code)
	for _, word := range []string{"run", "list", "validate", "init", "faults", "Exit codes"} {
		require.Contains(t, out, word)
	}
	code, out, _ = cli(t, nil, "run", "--help")
	require.Equal(t, exitPass, code)
	require.Contains(t, out, "--policy")
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"rnu"}, "unknown command"},
		{[]string{"run", "--polcy", "x"}, "unknown flag"},
		{[]string{"run", "--policy", "recomended"}, `did you mean "recommended"?`},
		{[]string{"run", "mass-expire"}, `did you mean "mass-expiry"?`},
		{[]string{"run", "--redis", "embeded"}, "did you mean embedded?"},
		{[]string{"run", "--redis", "container"}, "can't start containers"},
		{[]string{"run", "--redis", "redis://:secret@h:1"}, "embedded and process work"},
		{[]string{"run", "-f", "nowhere.yaml"}, "nowhere.yaml"},
		{[]string{"faults", "redis.restrat"}, `did you mean "redis.restart"?`},
	} {
		code, out, errs := cli(t, nil, c.args...)
		require.Equal(t, exitUsage, code, "%v", c.args)
		require.Contains(t, errs, c.says, "%v", c.args)
		require.NotContains(t, errs, "secret")
		require.Empty(t, out)
	}
}

func TestListInitValidate(t *testing.T) {
	code, out, errs := cli(t, nil, "list")
	require.Equal(t, exitPass, code)
	require.Contains(t, errs, "default suite")
	for _, name := range []string{"redis-restart", "mass-expiry", "delayed-invalidation", "region-split", "policies: naive, recommended"} {
		require.Contains(t, out, name)
	}

	code, _, _ = cli(t, nil, "init")
	require.Equal(t, exitPass, code)
	written, err := os.ReadFile("scenarios.yaml")
	require.NoError(t, err)
	require.Equal(t, string(cachedrill.DefaultSuite), string(written))
	var buf bytes.Buffer
	require.Equal(t, exitUsage, run(context.Background(), []string{"init"}, &buf, &buf))
	require.Contains(t, buf.String(), "--force")
	require.Equal(t, exitPass, run(context.Background(), []string{"init", "--force"}, &buf, &buf))
	buf.Reset()
	require.Equal(t, exitPass, run(context.Background(), []string{"validate"}, &buf, &buf))
	require.Contains(t, buf.String(), "4 scenarios, nothing wrong")
}

func TestValidateReportsAllErrorsAtOnce(t *testing.T) {
	bad, err := os.ReadFile(filepath.Join("testdata", "bad.yaml"))
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join("testdata", "bad.txt"))
	require.NoError(t, err)
	code, out, errs := cli(t, map[string]string{"scenarios.yaml": string(bad)}, "validate")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Equal(t, string(want), errs)
	code, _, errs = cli(t, map[string]string{"scenarios.yaml": string(bad)}, "run")
	require.Equal(t, exitUsage, code, "a bad suite is not run")
	require.Equal(t, string(want), errs)
}

func TestDryRunPrintsThePlan(t *testing.T) {
	code, out, _ := cli(t, nil, "run", "mass-expiry", "--dry-run", "--seed", "7", "--redis", "embedded", "--policy", "naive")
	require.Equal(t, exitPass, code)
	for _, part := range []string{"1 drill", "policy naive", "seed 7", "keys.expire{family: product", "stampede.max{family=product} <= 2", "fault    keys.expire"} {
		require.Contains(t, out, part)
	}
	require.NotContains(t, out, "redis-restart")
}

func TestFaultsExplains(t *testing.T) {
	code, out, _ := cli(t, nil, "faults")
	require.Equal(t, exitPass, code)
	require.GreaterOrEqual(t, strings.Count(out, "\n"), 5)
	code, out, _ = cli(t, nil, "faults", "keys.expire")
	require.Equal(t, exitPass, code)
	for _, part := range []string{"evidence:", "heal:", "share", "default 100%"} {
		require.Contains(t, out, part)
	}
}
