package scenarios

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

const planned = `
version: 1
target:
  reference:
    regions: {eu: 1, us: 1}
    source: {service_time: 3ms}
    families:
      page: {class: bounded, within: 2s, ttl: 2s, vary: [tenant]}
      price: {class: strong, ttl: 30s, vary: [tenant]}
      basket: {class: strong, ttl: 30s, vary: [tenant]}
workload:
  rate: 1000/s
  tenants: 2
  mix:
    page:  {share: 80%, keys: 50, zipf: 0, writes: 10%, deletes: 5%}
    price: {share: 20%, keys: 10, zipf: 0, writes: 0%}
phases: {warmup: 1s, steady: 2s, fault: 3s, recovery: 4s}
slo: {%GROUP%: ["%EXPR%"]}
scenarios:
  quiet: {faults: [{sham: {for: 1s}}]}
`

func TestWhatAPlanCantShowIsRefused(t *testing.T) {
	for _, c := range []struct{ group, expr, want string }{
		// 1,000/s, of which 800/s page: 680/s reads, 80/s writes, 40/s deletes; 200/s price.
		{"steady", "p99 < 9s", ""},
		{"steady", "p999 < 9s", "about 2000 operations of these labels are planned in the steady phase of quiet (2s), and it can't pass with fewer than 2995; write phases: {steady: 3s} or more"},
		{"fault", "p999 < 9s", ""},
		{"fault", "p999{region=eu} < 9s", "about 1500 operations of these labels are planned in the fault phase of quiet (3s), and it can't pass with fewer than 2995; write phases: {fault: 6s} or more, and let the fault last as long: the phase ends when it has healed"},
		{"fault", "p999{region=eu} > 9s", ""},
		{"steady", "p99{kind=write} < 9s", "about 160 operations of these labels are planned in the steady phase of quiet (2s), and it can't pass with fewer than 299; write phases: {steady: 3.8s} or more"},
		{"steady", "p99{kind=delete} < 9s", "about 80 operations of these labels"},
		{"steady", "p50{kind=delete} < 9s", ""},
		{"steady", "p99{family=price} < 9s", ""},
		{"steady", "p99{family=price, tenant=t2} < 9s", "about 200 operations of these labels"},
		{"steady", "p99{class=bounded, tenant=t2} < 9s", ""},
		{"steady", "p99{tier=l1} < 9s", ""}, // it can't be planned which tier answers
		{"steady", "p999{endpoint=read page} < 9s", "about 1360 operations of these labels"},
		{"steady", "staleness.p99{family=price} < 9s", ""},
		{"fault", "invalidation_lag.p99 < 9s", ""}, // 360
		{"steady", "invalidation_lag.p99 < 9s", "about 240 writes of these labels are planned in the steady phase of quiet (2s), and it can't pass with fewer than 299; write phases: {steady: 2.5s} or more"},
		{"recovery", "invalidation_lag.p999 < 9s", "about 720 writes of these labels are planned in the recovery phase of quiet (6s), and it can't pass with fewer than 2995; write phases: {recovery: 23s} or more"},
		{"always", "invalidation_lag.p999 < 9s", "about 1080 writes of these labels are planned in the recovery phase of quiet (9s)"},
		{"fault", "errors{kind=write, family=price} < 1%", "the workload of quiet has no operations of these labels"},
		{"fault", "stale{family=basket} < 1%", "the workload of quiet has no reads of these labels"},
		{"fault", "invalidation_lag.max{class=strong} < 1s", "the workload of quiet has no writes of these labels"},
		{"fault", "errors < 1%", ""},
		{"always", "lost_writes == 0", ""},
		{"fault", "errors{tenant=t3} < 1%", `"t3": no tenant of this name; did you mean "t1"?`},
		{"fault", "errors{endpoint=raed page} < 1%", `"raed page": no endpoint of this name; did you mean "read page"?`},
		{"fault", "errors{endpoint=read basket} < 1%", `"read basket": no endpoint of this name`},
		{"fault", "hit_ratio{tier=source} > 1%", `"source": no tier of this name; known: l1, l2`},
		{"fault", "invalidation_lag.max{tier=l3} < 1s", `"l3": no tier of this name; did you mean "l1"?`},
		{"fault", "errors{region=su} < 1%", `"su": no region of this name; did you mean`},
		{"fault", "errors{class=strnog} < 1%", `"strnog": no class of this name; did you mean "strong"?`},
		{"fault", "errors{kind=raed} < 1%", `"raed": no kind of this name; did you mean "read"?`},
	} {
		_, err := Parse("f", []byte(strings.NewReplacer("%GROUP%", c.group, "%EXPR%", c.expr).Replace(planned)))
		if c.want == "" {
			require.NoError(t, err, "%s: %s", c.group, c.expr)
			continue
		}
		var bad *Error
		require.True(t, errors.As(err, &bad), "%s: %s: %v", c.group, c.expr, err)
		require.Len(t, bad.Problems, 1, "%s: %s: %v", c.group, c.expr, err)
		require.Equal(t, 18, bad.Problems[0].Line)
		require.Contains(t, err.Error(), c.want, "%s: %s", c.group, c.expr)
	}
}

func TestPeakNeedsAWholeSecond(t *testing.T) {
	suite := strings.NewReplacer("%GROUP%", "fault", "%EXPR%", "source_qps.peak < 900/s", "fault: 3s", "fault: 800ms", "for: 1s", "for: 500ms").Replace(planned)
	_, err := Parse("f", []byte(suite))
	require.ErrorContains(t, err, "the fault phase of 800ms in quiet is too short to show it: it counts loads by whole seconds; write phases: {fault: 1s} or more, and let the fault last as long")
}

// The length that the message names is enough, and the next shorter one is not.
func TestTheLengthAskedForWillDo(t *testing.T) {
	at := func(steady string) error {
		_, err := Parse("f", []byte(strings.NewReplacer("%GROUP%", "steady", "%EXPR%", "p99{kind=write} < 9s", "steady: 2s", "steady: "+steady).Replace(planned)))
		return err
	}
	require.NoError(t, at("3.8s"))
	require.ErrorContains(t, at("3.7s"), "{steady: 3.8s}")
}

// What a scenario replaces need not be possible in it.
func TestAReplacedObjectiveIsNotHeldAgainstTheScenario(t *testing.T) {
	suite := strings.NewReplacer("%GROUP%", "steady", "%EXPR%", "p99{kind=write} < 9s").Replace(planned)
	_, err := Parse("f", []byte(suite))
	require.Error(t, err)
	_, err = Parse("f", []byte(strings.Replace(suite, "quiet: {", `quiet: {slo: {steady: ["p99{kind=write} > 1us"]}, `, 1)))
	require.NoError(t, err)
}

// Writes that bursts add count; a step of the rate counts for as long as it lasts.
func TestOperationsOfSteps(t *testing.T) {
	steps := []load.Step{{Rate: 100}, {At: 2 * time.Second, Rate: 0}, {At: 3 * time.Second, Rate: 1000}}
	for _, c := range []struct {
		from, to time.Duration
		want     float64
	}{
		{0, time.Second, 100}, {0, 2 * time.Second, 200}, {time.Second, 3 * time.Second, 100}, {2 * time.Second, 3 * time.Second, 0},
		{2500 * time.Millisecond, 4 * time.Second, 1000}, {0, 5 * time.Second, 2200}, {4 * time.Second, 4 * time.Second, 0},
	} {
		require.InDelta(t, c.want, operations(steps, c.from, c.to), 1e-9, "%v to %v", c.from, c.to)
	}
	sc := Scenario{Workload: Workload{Bursts: load.Bursts{Every: time.Second, Size: 3}}}
	require.InDelta(t, 12, sc.burstWrites(3*time.Second), 1e-9)
}

func TestTenantsShare(t *testing.T) {
	even := load.Mix{Family: "page", Keys: 100, Tenants: []string{"t1", "t2"}, Share: 0.3}
	require.InDelta(t, 0.5, tenantShare(even, "t2"), 1e-9)
	require.Zero(t, tenantShare(even, "t3"))
	skewed := even
	skewed.Zipf = 1.2
	first, second := tenantShare(skewed, "t1"), tenantShare(skewed, "t2")
	require.InDelta(t, 1, first+second, 1e-9)
	require.Greater(t, first, second)
}

func TestTheZooIsPossible(t *testing.T) {
	_, err := Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
}
