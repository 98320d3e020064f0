package virtual

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
)

// Tools read report.json: fields may be added, and none is renamed, removed or given another type.
// The files in testdata were written by the first version of the schema.
func TestReportKeepsItsFields(t *testing.T) {
	suite, err := scenarios.Parse("small", []byte(small))
	require.NoError(t, err)
	fields := map[string]bool{}
	var facts []string
	for _, sc := range suite.Scenarios {
		for _, policy := range []string{"recommended", "naive"} {
			s := drilledWith(t, sc, environment.Options{Policy: suite.Policies[policy], Seed: 7, Run: "00c0ffee"}, false)
			text, err := json.Marshal(report.Report{Scenarios: []report.Drill{s}}.Conclude())
			require.NoError(t, err)
			var document any
			require.NoError(t, json.Unmarshal(text, &document))
			collectFields(document, "report", fields)
			facts = append(facts, fixedFacts(s, policy)...)
		}
	}
	compareLines(t, "testdata/fields.txt", slices.Sorted(maps.Keys(fields)), func(was, is []string) []string {
		return slices.DeleteFunc(was, func(line string) bool { return slices.Contains(is, line) })
	})
	compareLines(t, "testdata/facts.txt", facts, func(was, is []string) []string {
		if slices.Equal(was, is) {
			return nil
		}
		return is
	})
}

// collectFields notes the path and the type of each value. Elements of a list share a path; the
// names of tiers, families and other labels stand in it as they are.
func collectFields(v any, path string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			collectFields(value, path+"."+name, into)
		}
	case []any:
		for _, value := range v {
			collectFields(value, path+"[]", into)
		}
	case nil:
		// a field without data has no type
	default:
		into[fmt.Sprintf("%s %T", path, v)] = true
	}
}

// fixedFacts are what the seed alone decides: what was sent, and the verdicts.
func fixedFacts(s report.Drill, policy string) []string {
	facts := []string{fmt.Sprintf("%s %s: planned %d, sent %d, digest %s, %s", s.Name, policy, s.Operations.Planned, s.Operations.Sent, s.Operations.Digest, s.Outcome)}
	for _, o := range s.SLOs {
		facts = append(facts, fmt.Sprintf("  %s %s %s", o.Phase, o.Expr, o.Outcome))
	}
	return facts
}

func compareLines(t *testing.T, file string, is []string, differ func(was, is []string) []string) {
	if os.Getenv("UPDATE_FIELDS") != "" {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(is, "\n")+"\n"), 0o644))
		return
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, differ(strings.Split(strings.TrimSpace(string(text)), "\n"), is), "%s no longer holds", file)
}
