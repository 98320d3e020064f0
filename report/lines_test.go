package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
)

func TestNinesAreShownOfFailedDrills(t *testing.T) {
	const line = "1,000 writes; visible everywhere: 90% at once, 99% at once, 99.9% within 70 ms"
	late := Drill{
		Name: "x", Consistency: []Consistency{{0, 1000, 995, 0.995, 2}, {100, 1000, 1000, 1, 3}},
		ConsistentWithin: []ConsistentWithin{{0.9, 0}, {0.99, 0}, {0.999, 70}},
	}
	for _, outcome := range []slo.Outcome{slo.Fail, slo.Pass, slo.Unknown} {
		d := late
		d.Outcome = outcome
		r := Report{Outcome: outcome, Scenarios: []Drill{d}}
		var text, md bytes.Buffer
		require.NoError(t, Text(&text, r, TextOptions{}))
		require.NoError(t, Markdown(&md, r))
		require.Equal(t, outcome == slo.Fail, bytes.Contains(text.Bytes(), []byte(line)), text.String())
		require.Equal(t, outcome == slo.Fail, bytes.Contains(md.Bytes(), []byte(line)), md.String())
	}
	require.Empty(t, consistencyLine(Drill{Outcome: slo.Fail, Consistency: []Consistency{{0, 1000, 1000, 1, 3}},
		ConsistentWithin: []ConsistentWithin{{0.9, 0}, {0.99, 0}, {0.999, 0}}}), "every write was consistent at once")
}

func TestWindowsAreShownWithTheirUnit(t *testing.T) {
	for ms, shown := range map[float64]string{0: "at once", 0.25: "within 250 us", 185: "within 185 ms", 1400: "within 1.4 s"} {
		require.Equal(t, shown, window(ms))
	}
}

func TestTheLineOfWhatCachesCounted(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	c := &CacheFigures{Reads: 240, HitRatio: HitRatio{num(0.8333), num(0.75)}, SourceLoads: n(14), SourceChecks: n(14),
		StaleServes: map[string]int64{"refresh": 8}, LeaseWaits: n(6), BreakerOpenings: n(2), BusGaps: n(4)}
	require.Equal(t, "cache: 240 reads, L1 hits 83.3%, L2 hits 75%, 14 source loads, 14 source checks, stale served: 8 refresh, 6 lease waits, 2 breaker openings, 4 bus gaps",
		cacheLine(c))
	require.Empty(t, cacheLine(nil))
}
