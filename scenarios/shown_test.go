package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
)

const unshownSuite = `
version: 1
target:
  http:
    instances: ["http://127.0.0.1:1"]
    timeout: 2s
    read: {GET: "/{family}/{key}?tenant={tenant}"}
    write: {PUT: "/{family}/{key}?tenant={tenant}", body: "{token}"}
    bypass: {GET: "/{family}/{key}?tenant={tenant}&fresh=1"}
    answer: {token: body}
    families: {item: {class: bounded, within: 2s}, page: {}}
environment:
  edges: {redis: {listen: "127.0.0.1:2", upstream: "127.0.0.1:3", protocol: redis}}
workload: {rate: 100/s, tenants: 3, mix: {item: {share: 100%, keys: 50, writes: 2%}}}
phases: {warmup: 3s, steady: 5s, fault: 8s, recovery: 10s}
slo: {always: ["errors < 100%"]}
scenarios:
  quiet: {faults: [{sham: {for: 5s}}]}
  cut: {faults: [{network.blackhole: {edge: redis, for: 5s}}]}
`

// doubtsOf gives the doubts of the suite after changes, and what each scenario's objectives can't
// show.
func doubtsOf(t *testing.T, change ...string) (Suite, []string) {
	t.Helper()
	for i := 0; i < len(change); i += 2 {
		require.Contains(t, unshownSuite, change[i])
	}
	s, err := Parse("x.yaml", []byte(strings.NewReplacer(change...).Replace(unshownSuite)))
	require.NoError(t, err)
	return s, s.Warnings()
}

func unshownIn(t *testing.T, s Suite, scenario, group, expr string) string {
	t.Helper()
	sc, err := s.Scenario(scenario)
	require.NoError(t, err)
	o, bad := slo.ParseObjective(expr)
	require.Nil(t, bad)
	return sc.Unshown(slo.Group(group), o)
}

func TestAPlanThatShowsWhatItAsksForIsNotDoubted(t *testing.T) {
	_, doubts := doubtsOf(t)
	require.Empty(t, doubts)
	_, doubts = doubtsOf(t, `"errors < 100%"`, `"lost_writes == 0", "leaks == 0", "violations == 0", "staleness.max < 25s", "p99 < 2s", "stale > 0%", "staleness.max > 40s"`)
	require.Empty(t, doubts)
}

// A limit of 30 s in a drill of 26 s was once a pass, whatever the service did.
func TestLimitsThatThePlanCantReach(t *testing.T) {
	s, doubts := doubtsOf(t)
	require.Empty(t, doubts)
	for _, c := range []struct{ group, expr, want string }{
		{"always", "staleness.max < 25.9s", ""},
		{"always", "staleness.max < 30s", "not judged: the load ends 26s after the first write, and no answer in it can be older; write phases: {recovery: 15s} or more"},
		{"always", "staleness.max <= 26s", "not judged: the load ends 26s after the first write, and no answer in it can be older; write phases: {recovery: 11s} or more"},
		{"recovery", "staleness.p99{family=item} < 60s", "not judged: the recovery phase ends 26s after the first write, and no answer in it can be older; write phases: {recovery: 45s} or more"},
		{"steady", "staleness.max < 7s", ""},
		{"steady", "staleness.max < 9s", "not judged: the steady phase ends 8s after the first write, and no answer in it can be older; write phases: {steady: 7s} or more"},
		{"fault", "staleness.max < 16s", "not judged: the fault phase ends 16s after the first write, and no answer in it can be older; write phases: {fault: 9s} or more, and let the fault last as long: the phase ends when it has healed"},
		{"always", "staleness.max > 30s", ""},
		{"fault", "invalidation_lag.max < 17s", ""},
		{"fault", "invalidation_lag.p99 < 18s", "not judged: the drill ends 18s after the first write that counts, and no lag can be longer; write phases: {recovery: 11s} or more"},
		{"fault", "invalidation_lag.max{tier=l1} < 18s", ""}, // a tier that never reports misses it
		{"always", "errors < 1%", ""},
	} {
		require.Equal(t, c.want, unshownIn(t, s, "quiet", c.group, c.expr), "%s: %s", c.group, c.expr)
	}
	_, doubts = doubtsOf(t, `"errors < 100%"`, `"staleness.max < 30s"`)
	require.Equal(t, []string{`x.yaml:16:16: warning: "staleness.max < 30s": the load ends 26s after the first write, and no answer in it can be older; write phases: {recovery: 15s} or more`}, doubts)
	_, doubts = doubtsOf(t, `"errors < 100%"`, `"staleness.max < 30s"`, "recovery: 10s", "recovery: 15s")
	require.Empty(t, doubts, "the length that the message names will do")
	_, doubts = doubtsOf(t, `"errors < 100%"`, `"p99 < 3s"`)
	require.Equal(t, []string{`x.yaml:16:16: warning: "p99 < 3s": no operation takes longer than the client's patience of 2s; a limit up to 2s, or timeout: 4s`}, doubts)
}

// A recovery shorter than the staleness that the class allows shows nothing of what a fault leaves
// behind.
func TestPromisesThatThePlanCantBreak(t *testing.T) {
	s, doubts := doubtsOf(t, "within: 2s", "within: 30s")
	require.Equal(t, []string{
		`x.yaml:18:3: warning: "quiet": item may answer what is 30s old, and the load ends 26s after the first write: no answer in it can be older; write phases: {recovery: 15s} or more`,
		`x.yaml:19:3: warning: "cut": item may answer what is 30s old, and the drill ends 13s after its fault: what the fault leaves behind can't be shown to be older; write phases: {recovery: 28s} or more`,
	}, doubts)
	require.Contains(t, unshownIn(t, s, "cut", "always", "violations == 0"), "not judged: item may answer what is 30s old")
	require.Empty(t, s.Scenarios[1].UnshownClasses(), "the objective says so itself")

	s, doubts = doubtsOf(t, "within: 2s", "within: 13s")
	require.Len(t, doubts, 1, "without a fault the whole drill counts")
	require.Empty(t, unshownIn(t, s, "quiet", "always", "violations == 0"))
	require.NotEmpty(t, unshownIn(t, s, "cut", "recovery", "violations == 0"))
	_, doubts = doubtsOf(t, "within: 2s", "within: 13s", "recovery: 10s", "recovery: 11s")
	require.Empty(t, doubts, "the length that the message names will do")

	// Others can be judged: the objective is, and the family that can't is a note.
	s, doubts = doubtsOf(t, "within: 2s", "within: 30s", "page: {}", "page: {class: strong}",
		"mix: {item: {share: 100%, keys: 50, writes: 2%}}", "mix: {item: {share: 50%, keys: 50, writes: 2%}, page: {share: 50%, keys: 50, writes: 2%}}")
	require.Len(t, doubts, 2)
	require.Empty(t, unshownIn(t, s, "cut", "always", "violations == 0"))
	require.NotEmpty(t, unshownIn(t, s, "cut", "always", "violations{family=item} == 0"))
	require.NotEmpty(t, unshownIn(t, s, "cut", "always", "violations{class=bounded} == 0"))
	require.Len(t, s.Scenarios[1].UnshownClasses(), 1)

	// Who writes nothing, or promises nothing, asked for nothing.
	_, doubts = doubtsOf(t, "within: 2s", "within: 30s", "writes: 2%", "writes: 0%")
	require.Empty(t, doubts)
}

func TestWhatNothingCanTell(t *testing.T) {
	for _, c := range []struct {
		objective string
		change    []string
		want      string
	}{
		{"lost_writes == 0", []string{`    bypass: {GET: "/{family}/{key}?tenant={tenant}&fresh=1"}` + "\n", ""},
			`no request goes past the caches, so that nothing can tell what is lost: it stays unknown; target: {http: {bypass: {GET: "/products/{key}?fresh=1"}}}`},
		{"lost_writes == 0", []string{"writes: 2%", "writes: 0%"}, "nothing is written, so that nothing can be lost: it stays unknown; mix: {item: {writes: 2%}}"},
		{"leaks == 0", []string{"tenants: 3, ", ""}, "there are no two tenants, locales or currencies whose values could be mixed up: it stays unknown; workload: {tenants: 3}"},
		{"violations == 0", []string{"{class: bounded, within: 2s}", "{}"}, "no family promises anything that could be violated: it stays unknown; families: {item: {class: bounded"},
		{"staleness.max < 1s", []string{"writes: 2%", "writes: 0%"}, "nothing is written, so that no answer can be stale"},
	} {
		s, doubts := doubtsOf(t, append(c.change, `"errors < 100%"`, fmt.Sprintf("%q", c.objective))...)
		require.Len(t, doubts, 1, c.objective)
		require.Contains(t, doubts[0], fmt.Sprintf("warning: %q: ", c.objective))
		require.Contains(t, doubts[0], c.want)
		require.Len(t, s.Scenarios, 2, "it can be drilled all the same")
	}
	// A tier in the answers tells what came from the source.
	_, doubts := doubtsOf(t, `"errors < 100%"`, `"lost_writes == 0"`, `    bypass: {GET: "/{family}/{key}?tenant={tenant}&fresh=1"}`+"\n", "", "{token: body}", "{token: body, tier: {header: X-Cache}}")
	require.Empty(t, doubts)
}
