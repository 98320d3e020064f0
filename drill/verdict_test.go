package drill

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/environment/virtual"
	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/internal/supervise"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or each child takes a second to end
	goredis.SetLogger(silent{})
	roles := map[string]reexec.Role{}
	maps.Copy(roles, redis.Roles)
	maps.Copy(roles, proxy.Roles)
	maps.Copy(roles, supervise.Roles)
	reexec.Main(roles)
	if addr := os.Getenv("SHOP_LISTEN"); addr != "" {
		serveShop(addr)
	}
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// small is a drill of two seconds in which naive serves strong reads that are proven stale: the
// regions are split, and prices change often.
const small = `
version: 1
target:
  reference:
    regions: {eu: 1, us: 1}
    source: {service_time: 3ms, write_time: 1ms}
    families:
      page: {class: bounded, within: 2s, ttl: 2s, vary: [tenant]}
      price: {class: strong, ttl: 30s, vary: [tenant]}
workload:
  rate: 400/s
  tenants: 2
  mix:
    page:  {share: 50%, keys: 50, writes: %WRITES%}
    price: {share: 50%, keys: 10, writes: %WRITES%}
phases: {warmup: 200ms, steady: 600ms, fault: 1300ms, recovery: 200ms}
slo:
  steady: ["%STEADY%"]
  fault: ["%FAULT%"]
  always: [%ALWAYS%]
scenarios:
  drill:
    faults: %FAULTS%
`

// impossible is an objective of the fault phase that the check of a suite refuses, since nothing in
// the plan can show it: a drill must not let it pass all the same.
type variant struct{ writes, steady, fault, always, faults, impossible string }

func (v variant) scenario(t *testing.T) scenarios.Scenario {
	t.Helper()
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	yaml := strings.NewReplacer(
		"%WRITES%", or(v.writes, "10%"),
		"%STEADY%", or(v.steady, "errors < 50%"),
		"%FAULT%", or(v.fault, "errors < 50%"),
		"%ALWAYS%", or(v.always, "violations == 0"),
		"%FAULTS%", or(v.faults, "[{region.split: {between: [eu, us], for: 1s}}]"),
	).Replace(small)
	s, err := scenarios.Parse("small", []byte(yaml))
	require.NoError(t, err)
	sc := s.Scenarios[0]
	if v.impossible != "" {
		o, bad := slo.ParseObjective(v.impossible)
		require.Nil(t, bad)
		sc.Objectives = append(sc.Objectives, slo.PhaseObjective{Group: slo.GroupFault, Objective: o})
	}
	return sc
}

// drilledBy drills in virtual time, in which no machine is ever too busy.
func drilledBy(t *testing.T, sc scenarios.Scenario, policyName string) (got report.Drill) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		res, err := RunIn(t.Context(), sc, virtual.Open, environment.Options{Policy: preset(t, policyName), Seed: 11},
			Options{Policy: policyName, Seed: 11})
		require.NoError(t, err)
		got = res.Scenario
	})
	return got
}

func preset(t *testing.T, name string) service.Policy {
	t.Helper()
	p, err := scenarios.Suite{Policies: service.Presets()}.Policy(name)
	require.NoError(t, err)
	return p
}

// runWith drills on real servers and the network; watch sees every event.
func runWith(t *testing.T, sc scenarios.Scenario, policyName string, watch func(Event)) report.Drill {
	t.Helper()
	res, err := RunIn(t.Context(), sc, environment.New, environment.Options{Policy: preset(t, policyName), Backend: redis.Embedded, Seed: 11},
		Options{Policy: policyName, Seed: 11, Events: watched(t, watch)})
	require.NoError(t, err)
	return res.Scenario
}

// Whatever keeps a drill from being judged makes it unknown and is named; a violation that was
// proven in it is still a fail.
func TestWhatCannotBeJudgedIsUnknown(t *testing.T) {
	const proof = "{region.split: {between: [eu, us], for: 1s}}"
	for name, c := range map[string]struct {
		variant
		says   string
		caught bool // a policy with something to be caught at is drilled too, and fails all the same
	}{
		"steady missed":   {variant{steady: "p50 < 1us"}, "steady p50 < 1us missed", true},
		"no samples":      {variant{impossible: "p99{tenant=t3} < 10s"}, "p99{tenant=t3} < 10s", false},
		"too few samples": {variant{impossible: "p999 < 10s"}, "p999 < 10s", true},
		"no opportunity":  {variant{impossible: "stale{family=page, tenant=t3} < 50%"}, "stale{family=page, tenant=t3} < 50%", false},
		"no write to lose": {variant{writes: "0%", always: "lost_writes == 0", faults: "[{keys.expire: {family: page}}]"},
			"lost_writes == 0", false},
		"fault without evidence":    {variant{faults: "[" + proof + ", {keys.expire: {pattern: nothing*}}]"}, "keys.expire{pattern: nothing*", true},
		"delay that met no event":   {variant{faults: "[" + proof + ", {invalidation.delay: {by: 1ms, for: 10ms, at: 1s}}]"}, "invalidation.delay", false},
		"load that was not offered": {variant{impossible: "hit_ratio{tier=l1, family=page, region=us, tenant=t9} > 1%"}, "hit_ratio", false},
	} {
		t.Run(name, func(t *testing.T) {
			sc := c.scenario(t)
			good := drilledBy(t, sc, "recommended")
			require.Equal(t, slo.Unknown, good.Outcome, "%s", good.Why)
			require.Contains(t, good.Why, c.says)
			require.Equal(t, 3, good.Outcome.ExitCode())

			if !c.caught {
				return
			}
			bad := drilledBy(t, sc, "naive")
			require.Equal(t, slo.Fail, bad.Outcome, "%s", bad.Why)
			require.Contains(t, bad.Why, "violations == 0")
			require.Positive(t, bad.Oracle.Violations["strong"])
		})
	}
}

// What the drill is to catch ends it, and is caught all the same; nothing that the end of the drill
// cut off is held against the target.
func TestAHaltedDrillKeepsWhatItProved(t *testing.T) {
	halted := func(fault string) report.Drill {
		sc := variant{fault: fault, faults: `[{network.blackhole: {edge: "worker@* -> redis@*", for: 1200ms}}]`}.scenario(t)
		sc.Workload.Timeout = 100 * time.Millisecond
		sc.Halt = []scenarios.Halt{{Text: "errors > 5% for 800ms", Limit: 0.05, For: 800 * time.Millisecond}}
		return drilledBy(t, sc, "naive")
	}
	s := halted("errors < 1%")
	require.Equal(t, slo.Fail, s.Outcome, rows(s))
	require.Contains(t, s.Why, "errors < 1%: observed")
	require.Less(t, s.Operations.Sent, s.Operations.Planned)
	s = halted("errors < 99%")
	require.Equal(t, slo.Unknown, s.Outcome, rows(s))
	require.Contains(t, s.Why, "halted at")
	require.Contains(t, rows(s), "errors < 50% (steady): pass")
}

// A real starvation: one processor, and goroutines that never yield it.
func TestStarvedGenerator(t *testing.T) {
	sc := variant{}.scenario(t)
	starved := func(policy string) report.Drill {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		stop := make(chan struct{})
		var once sync.Once
		var hogs sync.WaitGroup
		defer hogs.Wait()
		defer close(stop)
		return runWith(t, sc, policy, func(e Event) {
			if p, is := e.(PhaseBegan); !is || p.Phase < measure.Steady {
				return
			}
			once.Do(func() { // not before: the target must come up
				runtime.GOMAXPROCS(1)
				for range 8 {
					hogs.Go(func() { burn(stop) })
				}
			})
		})
	}
	good := starved("recommended")
	require.Equal(t, slo.Unknown, good.Outcome, "%s", good.Why)
	require.Contains(t, good.Why, "saturated")
	require.True(t, good.Generator.Saturated)
	bad := starved("naive")
	require.Equal(t, slo.Fail, bad.Outcome, "%s", bad.Why)
	require.Contains(t, bad.Why, "violations == 0")
}

// watched is a stream whose events go to watch, which may be nil, until the stream ends.
func watched(t *testing.T, watch func(Event)) *Stream {
	s := NewStream()
	if watch == nil {
		return s
	}
	var done sync.WaitGroup
	events := s.Subscribe()
	done.Go(func() {
		for {
			e, ok := events.Next(context.Background())
			if !ok {
				return
			}
			watch(e)
		}
	})
	t.Cleanup(done.Wait)
	return s
}

// burn keeps a processor busy until stop is closed.
func burn(stop <-chan struct{}) {
	for x := 0; ; x++ {
		if x%(1<<16) == 0 {
			select {
			case <-stop:
				return
			default:
			}
		}
	}
}

func TestSmallDrills(t *testing.T) {
	for name, c := range map[string]struct {
		variant
		policy string
		want   slo.Outcome
	}{
		"recommended passes": {variant{}, "recommended", slo.Pass},
		"naive fails":        {variant{}, "naive", slo.Fail},
		"no write in a read-only drill about writes": {
			variant{writes: "0%", always: "leaks == 0", faults: "[{keys.expire: {family: page}}]"}, "recommended", slo.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			got := drilledBy(t, c.scenario(t), c.policy)
			require.Equal(t, c.want, got.Outcome, "%s", got.Why)
			require.Equal(t, got.Operations.Planned, got.Operations.Sent)
			for _, f := range got.Faults {
				require.NotEmpty(t, f.Evidence)
			}
			for _, o := range got.SLOs {
				require.NotEmpty(t, o.Observed, o.Expr)
				if o.Outcome == slo.Fail {
					require.NotEmpty(t, o.Evidence, o.Expr)
				}
			}
		})
	}
}

// One operation asks the same in every drill of a seed.
func TestDigestIsOfTheSeedAlone(t *testing.T) {
	sc := variant{}.scenario(t)
	digests := map[string]bool{}
	for _, policy := range []string{"recommended", "naive"} {
		got := drilledBy(t, sc, policy)
		require.Equal(t, got.Operations.Planned, got.Operations.Sent)
		digests[got.Operations.Digest] = true
	}
	require.Len(t, digests, 1, fmt.Sprint(digests))
}
