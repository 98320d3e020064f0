package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const contractExample = "../../examples/contract/cache-contract.yaml"

func contractRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"contract"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestContractCheck(t *testing.T) {
	code, out, _ := contractRun(t, "check", "-f", contractExample, "--on", "2026-11-24")
	require.Equal(t, exitPass, code)
	require.Contains(t, out, "PASS  shop  families: 3")

	code, out, _ = contractRun(t, "check", "-f", contractExample, "--on", "2027-01-15", "--release", "4.4")
	require.Equal(t, exitFail, code)
	require.Regexp(t, `(?m)^\.\./\.\./examples/contract/cache-contract\.yaml:\d+:\d+: the exception without stale-while-revalidate expired on 2027-01-15; `, out)
	require.Regexp(t, `(?m)^\.\./\.\./examples/contract/cache-contract\.yaml:\d+:\d+: rollback toggle old-ttl was to be gone in release 4\.4`, out)
	require.Contains(t, out, "FAIL  shop  defects: 2")
}

func TestContractCheckAgainst(t *testing.T) {
	src, err := os.ReadFile(contractExample)
	require.NoError(t, err)
	old := filepath.Join(t.TempDir(), "old.yaml")
	require.NoError(t, os.WriteFile(old, []byte(strings.Replace(string(src), "ttl: 10s", "ttl: 9s", 1)), 0o600))
	code, out, _ := contractRun(t, "check", "-f", contractExample, "--on", "2026-11-24", "--against", old)
	require.Equal(t, exitFail, code)
	require.Contains(t, out, "the contract was changed, and no decision says why")
}

func TestContractUsage(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("version: 1\nservise: shop\n"), 0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"check", "-f", "nowhere.yaml"}, "there is no nowhere.yaml here: -f names another file"},
		{[]string{"check", "-f", broken}, `broken.yaml:2:1: "servise"`},
		{[]string{"check", "-f", contractExample, "--on", "soon"}, `--on "soon" is no date`},
		{[]string{"render", "-f", contractExample, "--release", "next"}, `--release "next" is no release`},
	} {
		code, _, stderr := contractRun(t, c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, stderr, c.want)
	}
}

func TestContractRender(t *testing.T) {
	want, err := os.ReadFile("../../examples/contract/cache-contract.md")
	require.NoError(t, err)
	code, out, _ := contractRun(t, "render", "-f", contractExample, "--on", "2026-11-24")
	require.Equal(t, exitPass, code)
	require.Equal(t, string(want), out)
}
