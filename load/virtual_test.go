package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// A whole attack in virtual time, exact to the nanosecond. What it costs is logged: run with -v.
func TestVirtualTime(t *testing.T) {
	for _, service := range []time.Duration{0, 50 * ms} {
		sink, sent, began := &sentLate{by: make([]time.Duration, 20_000)}, Sent{}, time.Now()
		synctest.Test(t, func(t *testing.T) {
			target := does(func(context.Context, targets.Request) (targets.Reply, error) {
				time.Sleep(service)
				return targets.Reply{}, nil
			})
			var err error
			sent, err = Attack{
				Target: target, Generator: generator(t, shop(1, "run")), Schedule: constant(t, 1000, 20*time.Second),
				Sleep: time.Sleep, Sink: sink,
			}.Run(t.Context())
			require.NoError(t, err)
		})
		took := time.Since(began)
		require.EqualValues(t, 20_000, sent.Sent)
		for n, late := range sink.by {
			require.Zero(t, late, "operation %d", n)
		}
		t.Logf("target takes %v: %.1f us per operation", service, float64(took.Microseconds())/20_000)
	}
}
