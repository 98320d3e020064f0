package verdict

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// A drill in which nothing happened has no numbers, and none that is not one.
func TestAnEmptyDrillIsValidJSON(t *testing.T) {
	f := newFeed(t, "fault: p99 < 1s")
	f.Mark(measure.Audit, time.Second)
	f.Finish(oracle.Findings{}, time.Second)
	s := Evaluate(f.Recorder, Input{Loads: slo.LoadDetail{Counted: true}})
	var buf bytes.Buffer
	require.NoError(t, report.JSON(&buf, report.Report{Scenarios: []report.Drill{s}}.Conclude()))
	require.NotContains(t, buf.String(), "NaN")
	require.Nil(t, s.Phases[0].LatencyMS)
	require.Nil(t, s.RecoveryS)
	require.Nil(t, rounded(math.NaN(), 3))
	require.Nil(t, rounded(math.Inf(1), 3))
	require.Contains(t, buf.String(), `"faults": []`)
}
