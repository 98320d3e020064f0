package drill

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
)

// scripted is a fault that keeps a diary.
type scripted struct {
	hold             time.Duration
	injectErr, heal  error
	injected, healed *[]time.Duration
	start            time.Time
}

func (f scripted) String() string { return "scripted" }

func (f scripted) Lasts() time.Duration { return f.hold }

func (f scripted) Inject(context.Context, faults.Site) (faults.Injected, error) {
	if f.injectErr != nil {
		return faults.Injected{}, f.injectErr
	}
	*f.injected = append(*f.injected, time.Since(f.start))
	return faults.Injected{Began: time.Now(), Hold: f.hold, Heal: func(context.Context) (string, error) {
		*f.healed = append(*f.healed, time.Since(f.start))
		return "it bit", f.heal
	}}, nil
}

func TestTimeline(t *testing.T) {
	const s = time.Second
	phases := scenarios.Phases{Warmup: s, Steady: 2 * s, Fault: 3 * s, Recovery: 4 * s}
	for name, c := range map[string]struct {
		fault       scripted
		at, observe time.Duration
		cancelAt    time.Duration
		healed      time.Duration // 0: never injected
		recovery    time.Duration // 0: never reached
		unhealed    bool
		problem     string
	}{
		"kept for as long as it lasts":           {fault: scripted{hold: s}, healed: 4 * s, recovery: 4 * s},
		"observing does not lengthen the fault":  {fault: scripted{hold: s}, observe: 3 * s, healed: 4 * s, recovery: 6 * s},
		"over at once: watched for the phase":    {fault: scripted{}, healed: 6 * s, recovery: 6 * s},
		"over at once, and watched as asked":     {fault: scripted{}, observe: 2 * s, healed: 5 * s, recovery: 5 * s},
		"over at once, too late to be seen long": {fault: scripted{}, at: 2500 * time.Millisecond, healed: 6500 * time.Millisecond, recovery: 6500 * time.Millisecond},
		"stopped in the middle":                  {fault: scripted{hold: 3 * s}, cancelAt: 4 * s, healed: 4 * s},
		"stopped before":                         {fault: scripted{hold: s}, cancelAt: s / 2, problem: "not injected: the drill was stopped"},
		"can't be injected":                      {fault: scripted{injectErr: errors.New("scripted: no")}, recovery: 3 * s, problem: "not injected: no"},
		"can't be healed":                        {fault: scripted{hold: s, heal: errors.New("scripted: stuck")}, healed: 4 * s, recovery: 4 * s, unhealed: true, problem: "not healed: stuck"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var injected, healed, struck []time.Duration
				c.fault.start, c.fault.injected, c.fault.healed = start, &injected, &healed
				marks := map[measure.Phase]time.Duration{}
				line := &timeline{phases: phases, epoch: start, publish: func(Event) {},
					faults: []faults.Planned{{Fault: c.fault, At: c.at, Observe: c.observe}},
					mark:   func(p measure.Phase, at time.Duration) { marks[p] = at },
					struck: func(at time.Duration) {
						require.Empty(t, injected, "before it can be felt")
						struck = append(struck, at)
					}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancelAt > 0 {
					time.AfterFunc(c.cancelAt, cancel)
				}
				runs, err := line.run(ctx)
				require.Equal(t, c.unhealed, err != nil)
				require.Len(t, runs, 1)
				require.Equal(t, c.problem, runs[0].Problem)
				require.Equal(t, c.recovery, marks[measure.Recovery])
				if c.healed == 0 {
					require.Empty(t, injected)
					require.Zero(t, runs[0].Injected)
					require.Empty(t, healed)
					return
				}
				require.Equal(t, []time.Duration{c.healed}, healed, "healed once, on time")
				require.Equal(t, injected[0], runs[0].Injected)
				require.Equal(t, injected, struck)
				if c.unhealed {
					require.Zero(t, runs[0].Healed)
					require.Empty(t, runs[0].Evidence)
					return
				}
				require.Equal(t, c.healed, runs[0].Healed)
				require.Equal(t, "it bit", runs[0].Evidence)
			})
		})
	}
}
