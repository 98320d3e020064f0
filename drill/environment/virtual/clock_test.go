package virtual

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/service"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

// stepped drills while every store's wall clock jumps ahead by an hour, so that all keys expire,
// and back by two, so that keys live for hours too long.
func stepped(t *testing.T, sc scenarios.Scenario, p service.Policy, seed uint64) (out report.Drill) {
	synctest.Test(t, func(t *testing.T) {
		open := func(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (environment.Environment, error) {
			w, err := build(ctx, sc, opt)
			if err != nil {
				return nil, err
			}
			step := func(at, by time.Duration) *time.Timer {
				return time.AfterFunc(sc.Phases.Warmup+sc.Phases.Steady+at, func() {
					for _, s := range w.stores {
						s.Step(by)
					}
				})
			}
			first, second := step(200*time.Millisecond, time.Hour), step(700*time.Millisecond, -2*time.Hour)
			return steppedWorld{w, []*time.Timer{first, second}}, nil
		}
		res, err := drill.RunIn(t.Context(), sc, open, environment.Options{Policy: p, Seed: seed}, drill.Options{Policy: p.Name, Seed: seed})
		require.NoError(t, err)
		out = res.Scenario
	})
	return out
}

// steppedWorld ends its steps when it is closed.
type steppedWorld struct {
	*world
	steps []*time.Timer
}

func (s steppedWorld) Close() error {
	for _, step := range s.steps {
		step.Stop()
	}
	return s.world.Close()
}

// A wall clock that is stepped during a drill changes no verdict about what was true.
func TestSteppedClocks(t *testing.T) {
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	specimens := map[string]zoo.Specimen{}
	for _, a := range zoo.Specimens() {
		specimens[a.Name] = a
	}
	correct := []string{"recommended", "textbook", "shuffled", "lost-acks"}
	broken := []string{"without-class-routing", "early-join", "tenant-blind", "late-version", "delete-first"}
	if raced { // a sample: the same runs without the race detector
		correct, broken = correct[:1], broken[:1]
	}
	for seed := range max(1, seeds(t)/3) {
		for _, sc := range suite.Scenarios {
			for _, name := range correct {
				s := stepped(t, sc, specimens[name].Policy, seed)
				require.Empty(t, missed(s, true), "%s at %s, seed %d", name, sc.Name, seed)
			}
		}
		for _, name := range broken {
			a := specimens[name]
			sc, err := suite.Scenario(a.Drill)
			require.NoError(t, err)
			s := stepped(t, sc, a.Policy, seed)
			require.True(t, caught(s, a.Objective), "%s, seed %d: %s %s", name, seed, s.Outcome, s.Why)
		}
	}
}
