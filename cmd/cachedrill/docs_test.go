package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// The catalogues in docs come from the code, and with UPDATE_DOCS=1 this test writes them.
func TestGeneratedDocs(t *testing.T) {
	for file, content := range map[string]string{
		"../../docs/faults.md":   faultsPage(),
		"../../docs/metrics.md":  metricsPage(),
		"../../docs/policies.md": policiesPage(),
	} {
		if os.Getenv("UPDATE_DOCS") != "" {
			require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
		}
		have, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, content, string(have), "%s is not what the code says: UPDATE_DOCS=1 go test -run TestGeneratedDocs ./cmd/cachedrill", file)
	}
}

// What the page on services of one's own shows, piece by piece, is a suite together.
func TestTheDocumentedServiceIsValid(t *testing.T) {
	text, err := os.ReadFile("../../docs/drill-your-service.md")
	require.NoError(t, err)
	var suite strings.Builder
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(block, "```")
		suite.WriteString(block)
	}
	suite.WriteString("workload: {rate: 100/s, tenants: 2, mix: {product: {share: 50%, writes: 1%, deletes: 1%}, price: {share: 50%}}}\n" +
		"scenarios: {all: {why: x, faults: [{network.refuse: {edge: redis, for: 1s}}, {source.slow: {by: 100ms, for: 1s}}, {keys.flush: {}}]}}\n")
	s, err := scenarios.Parse("the page", []byte(suite.String()))
	require.NoError(t, err)
	require.Equal(t, []string{"as-is", "longer"}, s.PolicyNames())
	for _, example := range []string{"nginx/drill.yaml", "nginx/drill-too-tight.yaml"} {
		_, err := scenarios.Load("../../examples/" + example)
		require.NoError(t, err)
	}
}

// Every suite that the documentation shows is a valid one.
func TestDocumentedSuitesAreValid(t *testing.T) {
	found := 0
	for _, file := range []string{"../../README.md", "../../docs/scenarios.md", "../../docs/ci.md", "../../docs/game-days.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for i, block := range strings.Split(string(text), "```yaml\n")[1:] {
			block, _, ok := strings.Cut(block, "```")
			require.True(t, ok, file)
			if !strings.HasPrefix(block, "version:") {
				continue
			}
			found++
			_, err := scenarios.Parse(fmt.Sprintf("%s, suite %d", file, i+1), []byte(block))
			require.NoError(t, err)
		}
	}
	require.Positive(t, found)
}

const generated = "<!-- Generated from the code: UPDATE_DOCS=1 go test -run TestGeneratedDocs ./cmd/cachedrill -->\n\n"

func faultsPage() string {
	var b strings.Builder
	b.WriteString("# Fault catalogue\n\n" + generated)
	b.WriteString("`cachedrill faults NAME` shows the same. Every fault is proven through another channel than its own word, and\n" +
		"healed on every way out: at its end, on an error, on Ctrl-C. Nothing that a fault without evidence showed counts: its\n" +
		"drill is *unknown*, unless a safety violation was proven, which fails it in any case.\n\n" +
		"What undoes a fault is written to an undo journal, and is on disk, before it is injected: when a drill was killed,\n" +
		"`cachedrill heal` undoes what it left, and lists what had ended by itself and what can't be undone. The audit log\n" +
		"holds when each fault was injected and healed, by which user and process, and where.\n\n" +
		"An edge is a network link, by name (`worker@eu -> redis@eu`) or as a glob with `*` (`worker@eu -> *`); a list means all\n" +
		"of them. Faults that have the same edge at the same time add up, and the heal of one leaves what is another's.\n\n" +
		"What a fault needs, the target must have: `cachedrill validate` refuses a fault that is not possible there, and\n" +
		"`cachedrill check` lists which are. What can be done to a Redis is up to where it comes from:\n\n")
	b.WriteString(redis.All().Markdown())
	b.WriteString(faults.All().Markdown())
	return b.String()
}

func metricsPage() string { return slo.Metrics().Markdown(generated) }

func policiesPage() string {
	var b strings.Builder
	b.WriteString("# Policies and controls of the reference cache\n\n" + generated)
	b.WriteString("A policy is a preset, `recommended` (every control) or `naive` (plain TTL cache-aside in Redis with messages to the\n" +
		"other region), without some controls: `mine: {preset: recommended, without: [jitter, fill-lease]}`.\n" +
		"[Races](races.md) shows step by step what goes wrong without them.\n\n" +
		"| control | protects | what backs it up | what shows without both |\n| --- | --- | --- | --- |\n")
	for _, c := range policy.Table {
		backup := c.Backup
		if backup == "" {
			backup = "nothing"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, c.Protects, backup, c.Shows)
	}
	return b.String()
}
