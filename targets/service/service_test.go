package service

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
)

func TestMain(m *testing.M) {
	reexec.Main(redis.Roles)
	goleak.VerifyTestMain(m)
}

const specYAML = `
regions: {eu: 2, us: 2}
source: {servers: 40, service_time: 2ms, write_time: 1ms}
families:
  product: {class: bounded, within: 2s, ttl: 2s, vary: [tenant, locale]}
  price: {class: strong, ttl: 60s, vary: [tenant]}
`

func start(t *testing.T, p policy.Policy) *Service {
	s, _ := startSpec(t, p, specYAML)
	return s
}

func startSpec(t *testing.T, p policy.Policy, yaml string) (s *Service, nodes map[string]redis.Node) {
	n, problems := strictyaml.Parse([]byte(yaml))
	spec := DecodeSpec(n)
	require.Empty(t, problems.Sorted())
	addrs := map[string]string{}
	nodes = map[string]redis.Node{}
	for _, name := range spec.Redises() {
		node, err := redis.New(redis.Embedded, "redis@"+name)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Close()) })
		require.NoError(t, node.Start(t.Context()))
		addrs[name], nodes[name] = node.Addr(), node
	}
	s, err := New(Config{Spec: spec, Policy: Policy{Policy: p}, Redis: addrs})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	at := map[string]string{}
	for _, e := range s.Edges() {
		at[e.Name] = e.Upstream
	}
	require.NoError(t, s.Start(t.Context(), func(edge string) string { require.Contains(t, at, edge); return at[edge] }))
	s.SetEpoch(time.Now())
	return s, nodes
}

var (
	page = targets.Key{Family: "product", ID: "a b/c", Tenant: "t1", Locale: "de"}
	tag  = targets.Key{Family: "price", ID: "9", Tenant: "t1"}
)

func (s *Service) ask(t *testing.T, r targets.Request) targets.Reply {
	t.Helper()
	reply, err := s.Do(t.Context(), r)
	require.NoError(t, err)
	return reply
}

func TestReadsAndWritesOverHTTP(t *testing.T) {
	s := start(t, policy.Recommended())
	require.NoError(t, s.Seed(t.Context(), []targets.Key{page, tag}, "run"))
	seed := targets.NewToken("run", targets.SeedSeq, page)

	first := s.ask(t, targets.Request{Key: page, Region: "eu"})
	require.Equal(t, targets.TierSource, first.Tier)
	require.Equal(t, seed, first.Token)
	require.Equal(t, page, first.Owner)
	require.EqualValues(t, 1, first.Version)
	require.Contains(t, []string{"eu-1", "eu-2"}, first.Worker)
	require.Equal(t, targets.TierSource, s.ask(t, targets.Request{Key: tag, Region: "us"}).Tier)

	token := targets.NewToken("run", 5, page)
	w := s.ask(t, targets.Request{Seq: 5, Kind: targets.Write, Key: page, Token: token, Region: "us"})
	require.EqualValues(t, 2, w.Version)
	require.NoError(t, s.Settle(t.Context()))
	for _, instance := range s.Instances() {
		require.Eventually(t, func() bool {
			r := s.ask(t, targets.Request{Key: page, Instance: instance})
			return r.Version == 2 && r.Token == token && (instance == targets.SourceInstance || r.Worker == instance)
		}, 5*time.Second, time.Millisecond, instance)
	}

	absent := s.ask(t, targets.Request{Key: targets.Key{Family: "product", ID: "none", Tenant: "t1", Locale: "de"}, Region: "eu"})
	require.True(t, absent.Absent)
}

func TestRefusals(t *testing.T) {
	s := start(t, policy.Recommended())
	_, err := s.Do(t.Context(), targets.Request{Key: targets.Key{Family: "product", ID: "1", Tenant: "t1"}, Region: "eu"})
	require.ErrorContains(t, err, "locale is missing")
	_, err = s.Do(t.Context(), targets.Request{Kind: targets.Write, Key: targets.Key{Family: "nope", ID: "1"}, Region: "eu"})
	require.ErrorIs(t, err, targets.ErrNotApplied)
	_, err = s.Do(t.Context(), targets.Request{Key: page, Region: "mars"})
	require.ErrorContains(t, err, `no region is named "mars"`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Do(ctx, targets.Request{Kind: targets.Write, Key: page, Region: "eu"})
	require.Error(t, err)
	require.False(t, errors.Is(err, targets.ErrNotApplied), "the outcome is unknown")
}

func TestHistoryIsOrderedAndSealed(t *testing.T) {
	s := start(t, policy.Recommended())
	require.NoError(t, s.Seed(t.Context(), []targets.Key{page}, "run"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	history := s.Commits(ctx)
	s.ask(t, targets.Request{Kind: targets.Write, Key: page, Token: "x", Region: "eu"})
	acked := time.Since(s.began) + s.shift
	last := time.Duration(-1 << 62)
	var versions []uint64
	for c := range history {
		require.GreaterOrEqual(t, c.At, last)
		last = c.At
		if c.Version > 0 {
			versions = append(versions, c.Version)
		} else if c.At > acked {
			break
		}
	}
	require.Equal(t, []uint64{1, 2}, versions)
	cancel()
	for range history {
	}
}

func TestLoadsAreCountedAtTheSource(t *testing.T) {
	s := start(t, policy.Recommended())
	loads := make(chan targets.Load, 10)
	s.OnLoad(func(l targets.Load) { loads <- l })
	require.NoError(t, s.Seed(t.Context(), []targets.Key{page}, "run"))
	s.ask(t, targets.Request{Key: page, Region: "us"})
	s.ask(t, targets.Request{Key: page, Instance: targets.SourceInstance})
	s.ask(t, targets.Request{Key: page, Region: "us"})
	l := <-loads
	require.Equal(t, targets.Load{Key: page, Region: "us", Arrived: l.Arrived, Done: l.Done, Version: 1, Width: 1, Queued: l.Queued, Attempt: 1}, l)
	require.Greater(t, l.Done, l.Arrived)
	require.Empty(t, loads, "audits and cache hits are no loads")
}

func TestDecodeProblems(t *testing.T) {
	for _, c := range []struct{ yaml, says string }{
		{"regions: {eu: 0}\nfamilies: {p: {class: strong, ttl: 1s}}", "must be at least 1"},
		{"regions: {eu: 1}\nfamilies: {p: {class: bounded, within: 1s, ttl: 2s}}", "above the family's bound (1s)"},
		{"regions: {eu: 1}\nfamilies: {p: {class: weak, ttl: 2s}}", "unknown class"},
		{"regions: {eu: 1}\nfamilies: {p: {class: bounded, ttl: 2s}}", "needs within"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, within: 2s, ttl: 2s}}", "only a bounded family"},
		{"regions: {eu: 1}\nfamilies: {p: {class: eventual, within: 2s, ttl: 2s}}", "only a bounded family"},
		{"regions: {eu: 1}\nfamilies: {p: {class: eventual, read_lease: 1s, ttl: 2s}}", "only a strong family"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, writes: behind, ttl: 2s}}", "only an eventual family"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, read_lease: 3s, ttl: 2s}}", "longer than the ttl"},
		{"regions: {eu: 1}\nfamilies: {p: {ttl: 2s}}", "needs a class"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, ttl: 2s, pool: critical}}", "the target has no pools; pools: [critical]"},
		{"regions: {eu: 1}\npools: [critical]\nfamilies: {p: {class: strong, ttl: 2s, pool: critcal}}", `did you mean "critical"?`},
		{"regions: {eu: 1}\npools: [critical]\nfamilies: {p: {class: strong, ttl: 2s}}", `2:9: "critical": no family is in this pool`},
		{"regions: {eu: 1}\npools: [a, a]\nfamilies: {p: {class: strong, ttl: 2s, pool: a}}", "appears twice"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, lease: 1s, ttl: 2s}}", "lease is now read_lease"},
		{"regions: {eu: 1}\nplaces: [critical]\nfamilies: {p: {class: strong, ttl: 2s}}", "places is now pools"},
		{"regions: {eu: 1}\npools: [critical]\nfamilies: {p: {class: strong, ttl: 2s, place: critical}}", "place is now pool"},
		{"regions: {eu: 1}\npools: [a/b]\nfamilies: {p: {class: strong, ttl: 2s}}", "bad name of a pool"},
		{"regions: {eu: 1}\nfamilies: {p: {class: strong, ttl: 2s, vary: [tenat]}}", `did you mean "tenant"?`},
		{"regions: {eu: 1}\nfamilies: {P: {class: strong, ttl: 2s}}", "bad name of a family"},
		{"region: {eu: 1}\nfamilies: {p: {class: strong, ttl: 2s}}", `did you mean "regions"?`},
	} {
		n, problems := strictyaml.Parse([]byte(c.yaml))
		DecodeSpec(n)
		require.NotEmpty(t, problems.List, c.yaml)
		all := ""
		for _, p := range problems.Sorted() {
			all += p.String() + "\n"
		}
		require.Contains(t, all, c.says)
	}
	n, problems := strictyaml.Parse([]byte("x: {preset: recomended}\ny: {without: [jiter]}\nz: {without: [jitter]}"))
	for _, e := range n.Entries("policies") {
		p := DecodePolicy(e, Presets())
		require.Equal(t, e.Name, p.Name)
		if e.Name == "z" {
			require.False(t, p.Controls.Has(policy.Jitter))
			require.True(t, p.Controls.Has(policy.FillLease))
		}
	}
	require.Len(t, problems.List, 2)
	require.Equal(t, `1:13: "recomended": unknown preset; did you mean "recommended"?`, problems.List[0].String())
	require.Equal(t, `2:15: "jiter": unknown control; did you mean "jitter"?`, problems.List[1].String())
}

func TestASpecNamesEveryEdge(t *testing.T) {
	spec := Spec{Regions: []Region{{Name: "eu", Workers: 1}, {Name: "us", Workers: 1}}, Pools: []string{"critical"}, Source: Source{Servers: 1}}
	s, err := New(Config{Spec: spec, Policy: Presets()["recommended"], Redis: map[string]string{"eu": "127.0.0.1:1", "us": "127.0.0.1:1", "eu/critical": "127.0.0.1:1", "us/critical": "127.0.0.1:1"}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var names []string
	for _, e := range s.Edges() {
		names = append(names, e.Name)
	}
	require.Equal(t, names, spec.Edges())
	require.Contains(t, names, "worker@eu -> redis@eu/critical")
}
