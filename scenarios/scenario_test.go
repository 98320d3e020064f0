package scenarios

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A scenario's own objectives replace the suite's of the same metric and labels, and never each
// other.
func TestObjectivesOfAScenario(t *testing.T) {
	s, err := Parse("x", []byte(`
version: 1
target: {reference: {regions: {eu: 1}, families: {p: {class: bounded, within: 1s}}}}
workload: {rate: 10/s, mix: {p: {share: 100%}}}
slo: {fault: ["hit_ratio{tier=l2} > 50%", "errors < 1%"]}
scenarios:
  d:
    faults: [{sham: {for: 1s}}]
    slo: {fault: ["hit_ratio{tier=l2} > 60%", "hit_ratio{tier=l2} < 99%"]}
`))
	require.NoError(t, err)
	var got []string
	for _, o := range s.Scenarios[0].Objectives {
		got = append(got, o.Objective.Expr)
	}
	require.Equal(t, []string{"errors < 1%", "hit_ratio{tier=l2} > 60%", "hit_ratio{tier=l2} < 99%"}, got)
}

func TestImpossibleWorkloads(t *testing.T) {
	for says, change := range map[string][2]string{
		"a step begins at 1m0s":   {"rate: 10/s", "rate: [{at: 0s, rate: 10/s}, {at: 60s, rate: 20/s}]"},
		"timeout must be above 0": {"timeout: 1s", "timeout: 0s"},
		"last 0s together":        {"phases: {fault: 1s}", "phases: {warmup: 0s, steady: 0s, fault: 0s, recovery: 0s}"},
		"at most 1000000 keys":    {"keys: 10", "keys: 2000000"},
		"a ttl of at least 1ms":   {"ttl: 1s", "ttl: 500us"},
		"steps must follow":       {"rate: 10/s", "rate: [{at: 0s, rate: 10/s}, {at: 0s, rate: 20/s}]"},
		"the first step begins":   {"rate: 10/s", "rate: [{at: 1s, rate: 10/s}]"},
		"ends 2s after the start": {"{sham: {for: 1s}}", "{sham: {for: 2s}}"},
		"deletes add up to 110%":  {"keys: 10", "writes: 60%, deletes: 50%"},
		"deletes must be from 0%": {"keys: 10", "deletes: 120%"},
		"absent as a percentage":  {"keys: 10", "absent: 0.5"},
		"every must be above 0":   {"rate: 10/s", "rate: 10/s, bursts: {every: 0s}"},
		"need a time between":     {"rate: 10/s", "rate: 10/s, bursts: {size: 2}"},
		"a burst has 2 or 3":      {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, size: 4}"},
		"size must be at least 2": {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, size: 1}"},
		"quiet must be shorter":   {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, quiet: 1s}"},
		"no family of the mix":    {"rate: 10/s, timeout: 1s, mix: {p: {", "rate: 10/s, timeout: 1s, bursts: {every: 1s}, mix: {p: {writes: 0%, "},
		"first burst would be at": {"rate: 10/s", "rate: 10/s, bursts: {every: 1h}"},
		"unknown class":           {"class: bounded", "class: weak"},
	} {
		yaml := `
version: 1
target: {reference: {regions: {eu: 1}, families: {p: {class: bounded, within: 1s, ttl: 1s}}}}
workload: {rate: 10/s, timeout: 1s, mix: {p: {share: 100%, keys: 10}}}
phases: {fault: 1s}
scenarios: {d: {faults: [{sham: {for: 1s}}]}}
`
		_, err := Parse("x", []byte(yaml))
		require.NoError(t, err)
		require.Contains(t, yaml, change[0])
		broken := strings.Replace(yaml, change[0], change[1], 1)
		_, err = Parse("x", []byte(broken))
		require.ErrorContains(t, err, says)
	}
}

func TestWhatNothingCanShowIsRefused(t *testing.T) {
	const suite = `
version: 1
target: {reference: {regions: {eu: 1}, families: {page: {class: bounded, within: 2s, ttl: 2s}}}}
workload: {rate: 300/s, mix: {page: {share: 100%}}}
slo: {always: ["OBJECTIVE"]}
scenarios: {quiet: {faults: [{sham: {for: 500ms}}]}}
`
	for objective, want := range map[string]string{
		"cost_per_million < 1":     `suite:5:16: "cost_per_million < 1": there are no prices; write into the suite prices: {currency: EUR`,
		"cross_region_bytes < 1MB": `suite:5:16: "cross_region_bytes < 1MB": the target has one region only: nothing can cross`,
	} {
		_, err := Parse("suite", []byte(strings.Replace(suite, "OBJECTIVE", objective, 1)))
		require.ErrorContains(t, err, want)
	}
	_, err := Parse("suite", []byte(strings.Replace(suite, "OBJECTIVE", "redis_memory.max < 1MB", 1)+"prices: {currency: EUR}\n"))
	require.ErrorContains(t, err, "nothing has a price")
}

func TestDefaultSuiteIsValid(t *testing.T) {
	src, err := os.ReadFile("../scenarios.yaml")
	require.NoError(t, err)
	s, err := Parse("scenarios.yaml", src)
	require.NoError(t, err)
	require.Equal(t, []string{"redis-restart", "mass-expiry", "delayed-invalidation", "region-split"}, s.Names())
	for _, sc := range s.Scenarios {
		require.NotEmpty(t, sc.Why)
		require.NotEmpty(t, sc.Faults)
	}
}
