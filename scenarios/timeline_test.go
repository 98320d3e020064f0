package scenarios

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/report"
)

// scripted is a fault that keeps a diary.
type scripted struct {
	hold             time.Duration
	injectErr, heal  error
	injected, healed *[]time.Duration
	start            time.Time
}

func (f scripted) String() string { return "scripted" }

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
	phases := Phases{Warmup: s, Steady: 2 * s, Fault: 3 * s, Recovery: 4 * s}
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
				var injected, healed []time.Duration
				c.fault.start, c.fault.injected, c.fault.healed = start, &injected, &healed
				marks := map[report.Phase]time.Duration{}
				line := &timeline{phases: phases, epoch: start, note: func(string) {},
					faults: []faults.Planned{{Fault: c.fault, At: c.at, Observe: c.observe}},
					mark:   func(p report.Phase, at time.Duration) { marks[p] = at }}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancelAt > 0 {
					time.AfterFunc(c.cancelAt, cancel)
				}
				runs, err := line.run(ctx)
				require.Equal(t, c.unhealed, err != nil)
				require.Len(t, runs, 1)
				require.Equal(t, c.problem, runs[0].Problem)
				require.Equal(t, c.recovery, marks[report.Recovery])
				if c.healed == 0 {
					require.Empty(t, injected)
					require.Zero(t, runs[0].Injected)
					require.Empty(t, healed)
					return
				}
				require.Equal(t, []time.Duration{c.healed}, healed, "healed once, on time")
				require.Equal(t, injected[0], runs[0].Injected)
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

// A scenario's own objectives replace the suite's of the same metric and labels, and never each other.
func TestObjectivesOfAScenario(t *testing.T) {
	s, err := Parse("x", []byte(`
version: 1
target: {reference: {regions: {eu: 1}, families: {p: {class: bounded, within: 1s}}}}
workload: {rate: 10/s, mix: {p: {share: 100%}}}
slo: {fault: ["hit_ratio{tier=l2} > 50%", "errors < 1%"]}
scenarios:
  d:
    faults: [{sham: {for: 1s}}]
    slo: {fault: ["hit_ratio{tier=l2} > 60%", "hit_ratio{tier=l2} < 99%"]}
`))
	require.NoError(t, err)
	var got []string
	for _, o := range s.Scenarios[0].Objectives {
		got = append(got, o.Objective.Expr)
	}
	require.Equal(t, []string{"errors < 1%", "hit_ratio{tier=l2} > 60%", "hit_ratio{tier=l2} < 99%"}, got)
}

func TestImpossibleWorkloads(t *testing.T) {
	for says, change := range map[string][2]string{
		"a step begins at 1m0s":   {"rate: 10/s", "rate: [{at: 0s, rate: 10/s}, {at: 60s, rate: 20/s}]"},
		"timeout must be above 0": {"timeout: 1s", "timeout: 0s"},
		"last 0s together":        {"phases: {fault: 1s}", "phases: {warmup: 0s, steady: 0s, fault: 0s, recovery: 0s}"},
		"at most 1000000 keys":    {"keys: 10", "keys: 2000000"},
		"a ttl of at least 1ms":   {"ttl: 1s", "ttl: 500us"},
		"steps must follow":       {"rate: 10/s", "rate: [{at: 0s, rate: 10/s}, {at: 0s, rate: 20/s}]"},
		"the first step begins":   {"rate: 10/s", "rate: [{at: 1s, rate: 10/s}]"},
		"ends 2s after the start": {"{sham: {for: 1s}}", "{sham: {for: 2s}}"},
		"deletes add up to 110%":  {"keys: 10", "writes: 60%, deletes: 50%"},
		"deletes must be from 0%": {"keys: 10", "deletes: 120%"},
		"absent as a percentage":  {"keys: 10", "absent: 0.5"},
		"every must be above 0":   {"rate: 10/s", "rate: 10/s, bursts: {every: 0s}"},
		"need a time between":     {"rate: 10/s", "rate: 10/s, bursts: {size: 2}"},
		"a burst has 2 or 3":      {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, size: 4}"},
		"size must be at least 2": {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, size: 1}"},
		"quiet must be shorter":   {"rate: 10/s", "rate: 10/s, bursts: {every: 1s, quiet: 1s}"},
		"no family of the mix":    {"rate: 10/s, timeout: 1s, mix: {p: {", "rate: 10/s, timeout: 1s, bursts: {every: 1s}, mix: {p: {writes: 0%, "},
		"first burst would be at": {"rate: 10/s", "rate: 10/s, bursts: {every: 1h}"},
		"unknown class":           {"class: bounded", "class: weak"},
	} {
		yaml := `
version: 1
target: {reference: {regions: {eu: 1}, families: {p: {class: bounded, within: 1s, ttl: 1s}}}}
workload: {rate: 10/s, timeout: 1s, mix: {p: {share: 100%, keys: 10}}}
phases: {fault: 1s}
scenarios: {d: {faults: [{sham: {for: 1s}}]}}
`
		_, err := Parse("x", []byte(yaml))
		require.NoError(t, err)
		require.Contains(t, yaml, change[0])
		broken := strings.Replace(yaml, change[0], change[1], 1)
		_, err = Parse("x", []byte(broken))
		require.ErrorContains(t, err, says)
	}
}
