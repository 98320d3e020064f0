package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Of the latency of an operation that was sent late only the service time is proven to be the
// target's, unless it may have waited for a worker.
func TestTheGeneratorsLatenessProvesNothing(t *testing.T) {
	const late = "operations were sent late by the generator, and the limit lies between"
	for _, c := range []struct {
		name      string
		late      time.Duration // from due to sent
		service   time.Duration
		unlimited bool
		want      slo.Outcome
		why       string
	}{
		{"on time and fast", 0, 2 * ms, true, slo.Pass, ""},
		{"late and fast", 700 * ms, 2 * ms, true, slo.Unknown, late},
		{"late or waiting for a worker", 700 * ms, 2 * ms, false, slo.Fail, ""},
		{"late, and slow in itself", 700 * ms, 600 * ms, true, slo.Fail, ""},
		{"on time and slow", 0, 600 * ms, true, slo.Fail, ""},
		{"late within the limit", 300 * ms, 2 * ms, true, slo.Pass, ""},
	} {
		for _, expr := range []string{"p50 < 500ms", "p95{family=product} < 500ms", "p99{kind=read} < 500ms", "p999 < 500ms", "max < 500ms", "max{region=eu} < 500ms"} {
			t.Run(c.name+", "+expr, func(t *testing.T) {
				m := healthy()
				m.input.Generator.UnlimitedWorkers = c.unlimited
				m.op = func(p measure.Phase, _ int, op *targets.Operation) {
					if p == measure.Fault {
						op.Sent = op.Due + c.late
						op.Returned = op.Sent + c.service
					}
				}
				row := rowOf(t, m.run(t, "fault: "+expr), expr)
				require.Equal(t, c.want, row.Outcome, "%+v", row)
				require.Equal(t, c.why, row.Why)
				require.Equal(t, slo.FormatDuration(c.late+c.service), row.Observed, "what is shown counts from the due time")
			})
		}
	}
}

// Too few samples stay the reason where they would have been it without any lateness.
func TestTooFewSamplesAreNotBlamedOnTheGenerator(t *testing.T) {
	m := healthy()
	m.rate = 90
	m.input.Generator.UnlimitedWorkers = true
	m.op = func(_ measure.Phase, _ int, op *targets.Operation) {
		op.Sent = op.Due + 20*ms
		op.Returned = op.Sent + ms
	}
	row := m.run(t, "fault: p99 < 1s").SLOs[0]
	require.Equal(t, slo.Unknown, row.Outcome)
	require.Contains(t, row.Why, "samples are too few")
}
