package verdict

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

// withUnknownShare is a suite with an objective about a metric that only this test knows.
const withUnknownShare = `
version: 1
target: {reference: {regions: {eu: 1}, families: {product: {class: bounded, within: 1s, ttl: 1s}}}}
workload: {rate: 100/s, mix: {product: {share: 100%, keys: 3}}}
slo: {GROUP: [OBJECTIVE]}
scenarios: {s: {faults: [{sham: {for: 1s}}]}}
`

// parseObjective gives the objective of a suite in a language with the metrics.
func parseObjective(metrics slo.Catalogue, group, objective string) (slo.PhaseObjective, error) {
	l := scenarios.Builtin()
	l.Metrics = metrics
	text := strings.NewReplacer("GROUP", group, "OBJECTIVE", strconv.Quote(objective)).Replace(withUnknownShare)
	suite, err := l.Parse("x.yaml", []byte(text))
	if err != nil {
		return slo.PhaseObjective{}, err
	}
	return suite.Scenarios[0].Objectives[0], nil
}

// A new metric is one literal in one place: suites with it are valid, it is listed and documented,
// its groups and labels are checked, the samples that it needs are known, and it is measured.
func TestANewMetricIsAddedInOnePlace(t *testing.T) {
	unknownShare := &slo.Metric{
		Name: "unknown_share", Unit: slo.UnitRatio, Labels: []string{"family", "kind"}, Groups: []slo.Group{slo.GroupFault},
		Doc:   "operations of unknown outcome, of all that ended",
		Needs: slo.Needs{Samples: slo.SampleOperation},
		Measure: func(from slo.Measurements, _ slo.Objective) slo.Measurement {
			ops := from.Operations()
			return slo.Measurement{Known: slo.Share(ops.Unknown, 0, ops.Ended), Observed: slo.FormatCount(ops.Unknown)}
		},
	}
	all := slo.Metrics().With(unknownShare)
	require.Nil(t, slo.Metrics().Named("unknown_share"), "the catalogue of others stays as it is")
	require.Same(t, unknownShare, all.Named("unknown_share"))
	require.Panics(t, func() { all.With(unknownShare) }, "a name is taken once")
	require.Contains(t, all.Markdown(""), "| `unknown_share` | ratio | family, kind | fault | operations of unknown outcome, of all that ended |")

	for objective, problem := range map[string]string{
		"unknown_shar < 1%":            `did you mean "unknown_share"?`,
		"unknown_share < 1ms":          "does not fit unknown_share",
		"unknown_share{tier=l1} < 1%":  "unknown_share takes family, kind",
		"unknown_share{family=x} < 1%": "no family of this name",
	} {
		_, err := parseObjective(all, "fault", objective)
		require.ErrorContains(t, err, problem)
	}
	const expr = "unknown_share{family=product} < 1%"
	_, err := parseObjective(all, "steady", expr)
	require.ErrorContains(t, err, "fault")
	_, err = parseObjective(slo.Metrics(), "fault", expr)
	require.ErrorContains(t, err, "unknown metric", "the builtin language is as it was")
	written, err := parseObjective(all, "fault", expr)
	require.NoError(t, err)
	require.EqualValues(t, 1, written.Objective.LeastSamples())

	f := &feed{Recorder: measure.NewRecorder(measure.RecorderConfig{Objectives: []slo.PhaseObjective{written}})}
	f.Mark(measure.Fault, 0)
	f.ops(0, time.Second, 100, nil)
	f.Finish(oracle.Findings{}, time.Second)
	row := rowOf(t, Evaluate(f.Recorder, Input{}), expr)
	require.Equal(t, slo.Pass, row.Outcome, row.Why)
	require.Equal(t, "0", row.Observed)
}
