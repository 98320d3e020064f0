package virtual

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// Every fault that the reference service can have is injected in virtual time by its own code, with
// its own evidence; its sham perturbs nothing.
func TestEveryFaultInVirtualTime(t *testing.T) {
	for fault, evidence := range map[string]string{
		"redis.restart: {region: eu, down: 300ms}":                                "redis@eu refused connections at",
		"redis.kill: {region: us, down: 300ms}":                                   "another incarnation answered: run_id memory-1 before, run_id memory-2 after",
		"keys.expire: {family: page, share: 50%}":                                 "page keys gone from eu, us at",
		"keys.flush: {region: eu}":                                                "keys in redis@eu before, 0 of them right after",
		"network.blackhole: {edge: worker@eu -> redis@eu, for: 600ms}":            "no answer through the proxies within 300ms, while the far end answers",
		"network.stall: {edge: worker@eu -> redis@eu, direction: up, for: 600ms}": "no answer through the proxies within 300ms, while the far end answers",
		"network.refuse: {edge: worker@eu -> *, for: 600ms}":                      "connections through the proxies are refused",
		"network.reset: {edge: worker@eu -> redis@eu, for: 600ms}":                "connections through the proxies are reset",
		"network.halfopen: {edge: worker@eu -> redis@eu, for: 600ms}":             "new connections are answered again, and one that had lost bytes stayed open and silent",
		"network.latency: {edge: worker@eu -> *, by: 20ms, for: 600ms}":           "probes took at least 40ms longer through the proxies",
		"invalidation.delay: {by: 800ms, for: 1s}":                                "events held by the relays of",
		"region.split: {between: [eu, us], for: 1s}":                              "relay@eu -> relay@us and back: no answer through the proxies",
		"sham: {for: 1s}": "same run_id before and after of redis@eu, redis@us; 6 edges answered",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			head, _, _ := strings.Cut(small, "scenarios:")
			head = strings.Replace(head, `  fault: ["errors < 5%"]`+"\n", "", 1) // without a Redis, answers may fail
			suite, err := scenarios.Parse("small", []byte(head+"scenarios: {it: {faults: [{"+fault+"}]}}\n"))
			require.NoError(t, err)
			s := drilled(t, suite.Scenarios[0], suite.Policies["recommended"], 3, false)
			require.Contains(t, s.Faults[0].Evidence, evidence)
			require.Empty(t, s.Faults[0].Problem)
			require.Equal(t, slo.Pass, s.Outcome, s.Why)

			s = drilled(t, suite.Scenarios[0], suite.Policies["recommended"], 3, true)
			require.Contains(t, s.Faults[0].Evidence, "sham")
			require.Equal(t, slo.Pass, s.Outcome, s.Why)
		})
	}
}

// keys.expire picks the same keys here as in a Redis.
func TestExpirePicksTheSameKeysAsInARedis(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	node, err := redis.New(redis.Embedded, "redis@eu")
	require.NoError(t, err)
	defer func() { require.NoError(t, node.Close()) }()
	require.NoError(t, node.Start(ctx))
	memory := store.NewMemory()
	for i := range 300 {
		key := fmt.Sprintf("tenant:a:[%d]:v1", i)
		require.NoError(t, node.Client().Set(ctx, key, "v", time.Hour).Err())
		require.NoError(t, memory.Do(func(t *store.Tx) { t.Set(key, "v", time.Hour) }))
	}
	left := map[string][]string{}
	for name, site := range map[string]faults.Site{
		"redis":  {Servers: map[string]faults.Server{"eu": node}, Keys: map[string]faults.Keys{"eu": node.Keys()}},
		"memory": {Servers: map[string]faults.Server{"eu": server{memory, "eu"}}, Keys: map[string]faults.Keys{"eu": keys{memory}}},
	} {
		in, err := faults.Expire{Pattern: `tenant:?:\[[0-9]*\]:v1`, Share: 0.3}.Inject(ctx, site)
		require.NoError(t, err)
		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Contains(t, evidence, "gone from eu")
		require.NoError(t, site.Keys["eu"].Scan(ctx, "*", func(keys []string) error {
			left[name] = append(left[name], keys...)
			return nil
		}))
		slices.Sort(left[name])
	}
	require.NotEmpty(t, left["redis"])
	require.Less(t, len(left["redis"]), 300)
	require.Equal(t, left["redis"], left["memory"])
}
