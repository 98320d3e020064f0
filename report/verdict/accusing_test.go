package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/targets"
)

// An allowed stale read once stood as the first accusation of a drill that had failed by a
// stampede, and five of them in drills that had passed.
func TestAllowedStalenessAccusesNobody(t *testing.T) {
	read := func(family string, due, low time.Duration) oracle.Accusation {
		op := targets.Operation{Request: targets.Request{Seq: uint64(due), Key: targets.Key{Family: family, ID: "1"}, Region: "eu"}, Due: due, Sent: due, Returned: due + ms}
		return oracle.Accusation{Kind: "stale", Key: op.Key, At: due, Op: op, Low: low, Text: family + " stale by " + low.String()}
	}
	drilled := func(edit func(*made), objectives ...string) (kept []string) {
		m := healthy()
		m.findings.Accusations = []oracle.Accusation{
			read("product", 2*time.Second, 19*ms), read("product", 4*time.Second, 900*ms), read("price", 5*time.Second, 2*time.Second),
			{Kind: "leak", Text: "a leak"},
		}
		m.verdict = func(p measure.Phase, i int, v *oracle.Judgement) {
			if i == 5 && p == measure.Fault {
				v.Answer, v.Low, v.High = oracle.Stale, 900*ms, 900*ms
			}
		}
		if edit != nil {
			edit(m)
		}
		for _, a := range m.run(t, objectives...).Accusations {
			kept = append(kept, a.Text)
		}
		return kept
	}
	const small, large, other, leak = "product stale by 19ms", "product stale by 900ms", "price stale by 2s", "a leak"
	require.Equal(t, []string{leak}, drilled(nil), "nothing limits staleness")
	require.Equal(t, []string{leak}, drilled(nil, "always: staleness.max < 1s", "fault: stale < 1%"), "the limits were kept")
	require.Equal(t, []string{leak}, drilled(func(m *made) {
		m.load = func(_ measure.Phase, _ int, l *targets.Load) { l.Width = 9 }
	}, "fault: stampede.max <= 2"))

	require.Equal(t, []string{leak, large, other}, drilled(nil, "always: staleness.max < 500ms"), "what is within the limit supports no miss")
	require.Equal(t, []string{leak, large}, drilled(nil, "always: staleness.max{family=product} < 500ms"))
	require.Equal(t, []string{leak, large}, drilled(nil, "fault: stale{family=product} < 0.001%"), "steady is another phase")
	require.Equal(t, []string{leak, small, large, other}, drilled(func(m *made) { m.findings.StaleIncidents = 3 }, "always: stale_incidents == 0"))
	require.Equal(t, []string{leak}, drilled(func(m *made) { m.input.Generator.Saturated = true }, "always: staleness.max < 500ms"), "what was not judged accuses nobody")
}
