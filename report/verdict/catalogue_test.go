package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// A new metric is one literal in one place: it parses, is listed and documented, checks its groups and
// labels, says how many samples it needs, and is measured.
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

	_, bad := all.Parse("unknown_shar < 1%")
	require.Equal(t, `did you mean "unknown_share"?`, bad.Hint)
	_, bad = all.Parse("unknown_share < 1ms")
	require.Contains(t, bad.Msg, "does not fit unknown_share")
	_, bad = all.Parse("unknown_share{tier=l1} < 1%")
	require.Contains(t, bad.Hint, "unknown_share takes family, kind")
	o, bad := all.Parse("unknown_share{family=product} < 1%")
	require.Nil(t, bad)
	require.NotNil(t, o.CheckGroup(slo.GroupSteady))
	require.Nil(t, o.CheckGroup(slo.GroupFault))
	require.EqualValues(t, 1, o.LeastSamples())

	f := &feed{Recorder: measure.NewRecorder(measure.RecorderConfig{
		Objectives: []slo.PhaseObjective{{Group: slo.GroupFault, Objective: o}},
	})}
	f.Mark(measure.Fault, 0)
	f.ops(0, time.Second, 100, nil)
	f.Finish(oracle.Findings{}, time.Second)
	row := rowOf(t, Evaluate(f.Recorder, Input{}), "unknown_share{family=product} < 1%")
	require.Equal(t, slo.Pass, row.Outcome, row.Why)
	require.Equal(t, "0", row.Observed)
}
