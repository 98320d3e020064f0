package service

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets"
)

const placedYAML = `
regions: {eu: 2, us: 1}
pools: [critical]
source: {servers: 40, service_time: 2ms, write_time: 1ms}
families:
  page: {class: eventual, ttl: 60s}
  stock: {class: eventual, ttl: 60s, pool: critical}
`

var (
	front = targets.Key{Family: "page", ID: "1"}
	goods = targets.Key{Family: "stock", ID: "1"}
)

// While the Redis of the pages is away, copies of the critical family are dropped everywhere all
// the same: nothing but the message can do that, for they live for a minute. The pages' own
// messages come when their Redis is back.
func TestAPlaceThatIsAwayHoldsUpNobodyElse(t *testing.T) {
	s, nodes := startSpec(t, policy.Recommended(), placedYAML)
	require.NoError(t, s.Seed(t.Context(), []targets.Key{front, goods}, "run"))
	for _, k := range []targets.Key{front, goods} {
		for _, instance := range []string{"eu-1", "eu-2"} {
			require.EqualValues(t, 1, s.ask(t, targets.Request{Key: k, Instance: instance}).Version)
			require.Equal(t, targets.TierL1, s.ask(t, targets.Request{Key: k, Instance: instance}).Tier)
		}
	}
	require.NoError(t, nodes["eu"].Stop(t.Context()))
	for _, k := range []targets.Key{front, goods} { // the page first: its event must not block the other's
		s.ask(t, targets.Request{Kind: targets.Write, Key: k, Token: targets.NewToken("run", 1, k), Region: "us"})
	}
	seen := func(k targets.Key) func() bool {
		return func() bool {
			for _, instance := range []string{"eu-1", "eu-2"} {
				if s.ask(t, targets.Request{Key: k, Instance: instance}).Version != 2 {
					return false
				}
			}
			return true
		}
	}
	require.Eventually(t, seen(goods), 10*time.Second, time.Millisecond)
	require.Positive(t, s.Relay("eu").Stats().Held, "the page's event waits for its Redis")
	require.NoError(t, nodes["eu"].Start(t.Context()))
	require.NoError(t, s.Settle(t.Context()))
	require.Eventually(t, seen(front), 10*time.Second, time.Millisecond)
}

func TestEachPlaceHasItsEdges(t *testing.T) {
	s, _ := startSpec(t, policy.Recommended(), placedYAML)
	at := map[string]string{}
	for _, e := range s.Edges() {
		at[e.Name] = e.Upstream
	}
	require.Len(t, at, 2*4+2)
	require.NotEqual(t, at["worker@eu -> redis@eu"], at["worker@eu -> redis@eu/critical"])
	require.Equal(t, at["relay@us -> redis@us/critical"], at["worker@us -> redis@us/critical"])
	require.NotContains(t, at, "")
}

// A process with two databases of one server.
func TestProcessWithPlaces(t *testing.T) {
	n, problems := strictyaml.Parse([]byte(placedYAML))
	spec := DecodeSpec(n)
	require.Empty(t, problems.Sorted())
	server := redistest.Start(t, goredis.Options{})
	began := time.Now().Add(-time.Hour)
	cfg := spec.Model()
	cfg.Now = func() int64 { return int64(time.Since(began)) }
	m, err := source.NewModel(cfg)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	pc := ProcessConfig{Name: "eu-1", Spec: spec, Region: "eu", Policy: Policy{Policy: policy.Recommended()}, Source: m, Feed: m.Log(),
		Redis: reference.ClientConfig{Addr: server.Addr}}
	_, err = NewProcess(t.Context(), pc)
	require.ErrorContains(t, err, "the Redis of pool critical has no address")
	pc.Pools = map[string]reference.ClientConfig{"critical": {Addr: server.Addr}}
	_, err = NewProcess(t.Context(), pc)
	require.ErrorContains(t, err, "are one database")
	pc.Pools["critical"] = reference.ClientConfig{Addr: server.Addr, DB: 2}
	p, err := NewProcess(t.Context(), pc)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	h := p.Handler()
	for _, path := range []string{"/page/1", "/page/2", "/stock/1"} {
		require.Equal(t, http.StatusNoContent, call(t, h, "PUT", path, "w1").Code)
		require.Equal(t, http.StatusOK, call(t, h, "GET", path, "").Code)
	}
	for db, names := range map[int][]string{0: {"page:1:v1", "page:2:v1"}, 2: {"stock:1:v1"}} {
		c := goredis.NewClient(&goredis.Options{Addr: server.Addr, DB: db})
		for _, name := range names {
			require.EqualValues(t, 1, c.Exists(t.Context(), name).Val(), name)
		}
		require.Equal(t, int64(len(names)), int64(len(c.Keys(t.Context(), "*:v1").Val())))
		require.NoError(t, c.Close())
	}
	var answer readiness
	require.NoError(t, json.Unmarshal(call(t, h, "GET", "/readyz", "").Body.Bytes(), &answer))
	require.Equal(t, map[string]string{"critical": "ok"}, answer.Pools)
	require.Equal(t, "ok", answer.Redis)
	other := Policy{Policy: policy.Recommended(), Design: Design{Invalidator: func(string, policy.Policy, []reference.Family, store.Store) Invalidator { return nil }}}
	require.ErrorContains(t, other.checkPools(spec.Pools), "knows no pools (critical)")
}
