package cachedrill_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/cachedrill/cachedrill"

// allowed says which packages of ours a package may import. A name ending in /... stands for the
// packages below it too. docs/architecture.md shows the same as a picture.
var allowed = map[string][]string{
	"":               {},
	"cmd/cachedrill": {"..."},
	"examples/go":    {},
	"tests":          {"..."},
	"tests/habits":   {"..."},
	"tests/program":  {"report", "report/slo", "internal/pgtest", "internal/redistest"},
	"tests/reality":  {"..."},

	"scenarios":                    {"load", "targets/...", "faults/...", "report/slo", "internal/...", "reference/policy", "reference/key"},
	"drill":                        {"drill/environment", "drill/preflight", "scenarios", "load", "targets/...", "faults/...", "oracle", "report/...", "internal/..."},
	"drill/environment":            {"drill/environment/sourceload", "scenarios", "load", "targets/...", "faults/...", "report/...", "internal/...", "reference/invalidation"},
	"drill/environment/virtual":    {"drill/environment", "scenarios", "faults/...", "targets", "targets/service", "reference/...", "internal/pause"},
	"drill/environment/sourceload": {"scenarios", "load", "targets", "targets/origin"},
	"drill/preflight":              {"drill/environment", "scenarios", "targets", "faults/...", "report", "report/slo"},
	"drilltest":                    {"drill", "drill/environment", "scenarios", "targets", "report/...", "faults"},

	"load":                        {"targets"},
	"oracle":                      {"targets", "oracle/internal/..."},
	"oracle/internal/history":     {"targets"},
	"report":                      {"report/slo", "report/measure", "targets", "oracle", "internal/cost"},
	"report/slo":                  {},
	"report/measure":              {"report/slo", "oracle", "targets", "internal/cost"},
	"report/verdict":              {"report", "report/slo", "report/measure", "oracle", "targets", "internal/cost"},
	"faults":                      {"faults/link", "faults/rediskeys", "faults/undo", "targets", "internal/..."},
	"faults/link":                 {},
	"faults/proxy":                {"faults/link", "internal/..."},
	"faults/rediskeys":            {},
	"faults/undo":                 {"faults/rediskeys", "internal/..."},
	"targets":                     {},
	"targets/service":             {"targets", "reference/...", "internal/strictyaml", "internal/cost"},
	"targets/zoo":                 {"targets/service", "reference/..."},
	"targets/redis":               {"targets", "faults", "faults/rediskeys", "faults/undo", "internal/..."},
	"targets/http":                {"targets", "internal/strictyaml", "internal/patience"},
	"targets/origin":              {"targets"},
	"reference":                   {"reference/..."},
	"reference/source":            {"reference/key"},
	"reference/source/postgres":   {"reference/key", "reference/source", "reference/traffic"},
	"reference/source/sourcetest": {"reference/key", "reference/source"},
	"reference/invalidation":      {"reference/key", "reference/source", "reference/traffic"},
	"reference/purge": {"reference/key", "reference/policy", "reference/store", "reference/journal", "reference/internal/bus",
		"reference/internal/entry", "reference/internal/l2", "reference/internal/script", "reference/internal/token"},
	"reference/writebehind": {"reference/key", "reference/policy", "reference/source", "reference/journal",
		"reference/internal/background", "reference/internal/keylock", "reference/internal/token"},
	"reference/internal/background": {},
	"reference/internal/breaker":    {"reference/policy", "reference/store"},
	"reference/internal/bus":        {"reference/store", "reference/internal/script", "reference/internal/token"},
	"reference/internal/coalesce":   {},
	"reference/internal/entry":      {"reference/policy"},
	"reference/internal/keylock":    {},
	"reference/internal/l1":         {"reference/key", "reference/policy", "reference/internal/entry", "reference/internal/sourceclock"},
	"reference/internal/l2": {"reference/policy", "reference/store", "reference/internal/bus", "reference/internal/entry",
		"reference/internal/script", "reference/internal/token"},
	"reference/internal/script":      {},
	"reference/internal/sourceclock": {},
	"reference/internal/sourceguard": {"reference/key", "reference/policy", "reference/source"},
	"reference/internal/token":       {},
	"reference/policy":               {},
	"reference/key":                  {},
	"reference/store":                {},
	"reference/journal":              {},
	"reference/traffic":              {},
	"reference/metrics":              {"reference"},
	"reference/contract":             {"reference", "reference/key", "reference/policy", "internal/strictyaml"},
	"internal/strictyaml":            {},
	"internal/patience":              {},
	"internal/reexec":                {},
	"internal/supervise":             {"internal/reexec"},
	"internal/pause":                 {},
	"internal/thousands":             {},
	"internal/cost":                  {"internal/strictyaml"},
	"internal/gate":                  {},
	"internal/secret":                {},
	"internal/querycount":            {},
	"internal/redismonitor":          {},
	"internal/pgtest":                {"internal/reexec"},
	"internal/redistest":             {"internal/reexec", "targets/redis"},
}

// standardOnly must import nothing but the standard library: the decision core and the key contract
// are for anybody to take along.
var standardOnly = []string{"reference/policy", "reference/key", "targets"}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "./...").Output()
	require.NoError(t, err)
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		may, known := allowed[name]
		require.True(t, known, "package %q has no place in the layout: say in this test what it may import", name)
		seen++
		for imported := range strings.FieldsSeq(imports) {
			ours := imported == module || strings.HasPrefix(imported, module+"/")
			switch {
			case ours:
				target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
				require.True(t, matches(may, target), "%s must not import %s", name, target)
			case slices.Contains(standardOnly, name):
				first, _, _ := strings.Cut(imported, "/")
				require.NotContains(t, first, ".", "%s must import the standard library only, not %s", name, imported)
			}
		}
	}
	require.GreaterOrEqual(t, seen, len(allowed)-2, "the list of packages was not read")
}

// Programs that test their own cache import drilltest. It must not bring along the command line,
// nor what only that and the reference cache's databases need.
func TestDrilltestBringsNoCommandLine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./drilltest").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, module+"/scenarios", "the list of packages was not read")
	for _, d := range deps {
		for _, unwanted := range []string{module + "/cmd", "github.com/spf13/", "golang.org/x/term", "github.com/jackc/", "github.com/testcontainers/", "github.com/stretchr/"} {
			require.False(t, strings.HasPrefix(d, unwanted), "drilltest must not depend on %s", d)
		}
	}
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "..." {
			return true
		}
		base, below := strings.CutSuffix(p, "/...")
		return name == base || below && strings.HasPrefix(name, base+"/")
	})
}
