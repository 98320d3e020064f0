package drill

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/report/verdict"
)

// gauge asks how much memory a Redis uses.
type gauge func(context.Context) (used, peak int64, err error)

// gauged is an environment with one Redis, whose memory a gauge gives.
type gauged struct {
	*environment.Base
	ask gauge
}

func (g gauged) Capabilities() environment.Capabilities {
	c := g.Base.Capabilities()
	c.Memory = []string{"eu"}
	return c
}

func (g gauged) UsedMemory(ctx context.Context, redis string) (used, peak int64, err error) {
	return g.ask(ctx)
}

func (gauged) Close() error { return nil }

// looked is what a report says of the memory of a Redis that answers like this, asked from 0 s to 2
// s.
func looked(t *testing.T, ask gauge) (row report.SLO, asked int) {
	synctest.Test(t, func(t *testing.T) {
		o, bad := slo.ParseObjective("redis_memory.max < 5MB")
		require.Nil(t, bad)
		r := measure.NewRecorder(measure.RecorderConfig{Objectives: []slo.PhaseObjective{{Group: slo.GroupSteady, Objective: o}}})
		r.Mark(measure.Steady, 0)
		env := gauged{Base: environment.NewBase(nil, nil, faults.Site{}, environment.Options{}), ask: func(ctx context.Context) (int64, int64, error) {
			asked++
			return ask(ctx)
		}}
		a := newUsageSampler(env, r, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		a.run(ctx)
		r.Mark(measure.Fault, time.Since(a.epoch))
		r.Finish(oracle.Findings{}, time.Since(a.epoch))
		row = verdict.Evaluate(r, verdict.Input{}).SLOs[0]
	})
	return row, asked
}

func TestRedisIsAskedTenTimesASecond(t *testing.T) {
	row, asked := looked(t, func(context.Context) (int64, int64, error) { return 1e6, 2e6, nil })
	require.Equal(t, slo.Pass, row.Outcome, row.Why)
	require.InDelta(t, 20, asked, 1)
}

func TestARedisThatIsDownUsesNothing(t *testing.T) {
	row, asked := looked(t, func(context.Context) (int64, int64, error) { return 0, 0, fmt.Errorf("dial: %w", syscall.ECONNREFUSED) })
	require.Equal(t, slo.Pass, row.Outcome, row.Why)
	require.Greater(t, asked, 15)
}

func TestARedisThatHangsIsGivenUpAndAskedAgain(t *testing.T) {
	row, asked := looked(t, func(ctx context.Context) (int64, int64, error) { <-ctx.Done(); return 0, 0, ctx.Err() })
	require.Equal(t, slo.Unknown, row.Outcome)
	require.Contains(t, row.Why, "the Redis of eu did not show it: context deadline exceeded")
	require.InDelta(t, 4, asked, 1)
}

func TestARedisThatNeverTellsIsAskedOnce(t *testing.T) {
	row, asked := looked(t, func(context.Context) (int64, int64, error) { return 0, 0, fmt.Errorf("no: %w", errors.ErrUnsupported) })
	require.Equal(t, slo.Unknown, row.Outcome)
	require.Equal(t, 1, asked)
}
