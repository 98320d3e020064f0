package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTimelineIsBounded(t *testing.T) {
	var line Timeline
	const windows = 3*maxTimelinePoints + 1
	for i := range windows {
		line.Add(TimelinePoint{FromS: float64(i), ToS: float64(i + 1), Rate: 10, P99MS: float64(i), Violations: i})
	}
	points := line.Points()
	require.LessOrEqual(t, len(points), maxTimelinePoints)
	require.Greater(t, len(points), maxTimelinePoints/3)
	require.Zero(t, points[0].FromS)
	for i, p := range points {
		require.InDelta(t, 10, p.Rate, 1e-9)
		if i > 0 {
			require.Equal(t, points[i-1].ToS, p.FromS, "no gap and no overlap")
		}
	}
	last := points[len(points)-1]
	require.EqualValues(t, windows, last.ToS)
	require.EqualValues(t, windows-1, last.P99MS, "the worst percentile of those joined")
	require.Equal(t, windows-1, last.Violations)
}
