package drill

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report/slo"
)

// A drill on two processors took 10 s: 20 s of processor time.
func TestStarvedMachines(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct {
		first, last cpuLoss
		want        string
	}{
		"nothing taken away":  {last: cpuLoss{known: true}},
		"a busy machine":      {last: cpuLoss{stolen: 4900 * time.Millisecond, known: true}},
		"stolen":              {last: cpuLoss{stolen: 6 * time.Second, known: true}, want: "30% of the processors' time was taken away (6.0s of 20.0s on 2 processors: 6.0s by the hypervisor, 0.0s by the control group's quota)"},
		"throttled":           {last: cpuLoss{throttled: 5 * time.Second, known: true}, want: "25% of the processors' time was taken away (5.0s of 20.0s on 2 processors: 0.0s by the hypervisor, 5.0s by the control group's quota)"},
		"both together":       {last: cpuLoss{stolen: 3 * time.Second, throttled: 3 * time.Second, known: true}, want: "30%"},
		"before the drill":    {first: cpuLoss{stolen: time.Hour}, last: cpuLoss{stolen: time.Hour + time.Second, known: true}},
		"a system that can't": {last: cpuLoss{stolen: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			c.first.known, c.first.at, c.last.at = c.last.known, began, began.Add(10*time.Second)
			readings := []cpuLoss{c.first, c.last}
			s := beginStarvation(func() cpuLoss {
				r := readings[0]
				readings = readings[1:]
				return r
			}, 2)
			got := s.starved()
			require.Contains(t, got, c.want)
			require.Equal(t, c.want == "", got == "")
		})
	}
}

// A starved machine makes the drill unknown, with the figures in the reason; what was proven wrong
// is a fail.
func TestADrillOnAStarvedMachineIsVoid(t *testing.T) {
	sc := variant{}.scenario(t)
	for policy, want := range map[string]slo.Outcome{"recommended": slo.Unknown, "naive": slo.Fail} {
		loss := cpuLoss{known: true}
		read := func() cpuLoss {
			loss.at = time.Now()
			loss.stolen += time.Hour
			return loss
		}
		res, err := RunIn(t.Context(), sc, environment.New, environment.Options{Policy: preset(t, policy), Backend: "embedded", Seed: 11},
			Options{Policy: policy, Seed: 11, cpuLoss: read})
		require.NoError(t, err)
		require.Equal(t, want, res.Scenario.Outcome, res.Scenario.Why)
		if want == slo.Unknown && !res.Scenario.Generator.Saturated {
			require.Contains(t, res.Scenario.Why, "of the processors' time was taken away")
		}
	}
}

func TestReadingsOfTheKernel(t *testing.T) {
	stolen, ok := parseSteal("cpu  10 20 30 40 50 60 70 80 90 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	require.True(t, ok)
	require.Equal(t, 800*time.Millisecond, stolen)
	for _, text := range []string{"", "cpu  1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 7 x 9"} {
		_, ok = parseSteal(text)
		require.False(t, ok, text)
	}
	require.Equal(t, 1500*time.Microsecond, parseThrottled("usage_usec 9\nthrottled_usec 1500\n"))
	require.Zero(t, parseThrottled("usage_usec 9\n"))
}
