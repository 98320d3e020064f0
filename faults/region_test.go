package faults

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/proxy"

	"github.com/cachedrill/cachedrill/targets"
)

// twoRegions is a site whose relays hear each other through proxies.
func twoRegions(t *testing.T) (Site, *proxy.Fleet) {
	upstreams := map[string]string{targets.RelayEdge("eu", "us"): echo(t), targets.RelayEdge("us", "eu"): echo(t)}
	var specs []proxy.Spec
	for _, name := range sortedKeys(upstreams) {
		specs = append(specs, proxy.Spec{Name: name, Upstream: upstreams[name]})
	}
	ps := startProxies(t, specs...)
	s := Site{Edges: map[string]Edge{}}
	for name := range upstreams {
		s.Edges[name] = edgeOf(ps.Proxy(name), upstreams[name], ask)
	}
	return s, ps
}

var split = Split{Between: [2]string{"eu", "us"}, For: time.Second}

func TestSplit(t *testing.T) {
	ctx := within(t)
	s, _ := twoRegions(t)
	in, err := split.Inject(ctx, s)
	require.NoError(t, err)
	require.Equal(t, time.Second, in.Hold)
	require.Equal(t, "relay@eu -> relay@us and back: no answer through the proxies within 300ms, while both far ends answer directly", in.Evidence)
	for _, e := range s.Edges {
		silentWithin(t, e.Listen)
	}
	evidence, err := in.Heal(ctx)
	require.NoError(t, err)
	require.Equal(t, in.Evidence+", and so until the heal; both answer through the proxies again", evidence)
	for _, e := range s.Edges {
		require.NoError(t, ask(ctx, e.Listen))
	}
	again, err := in.Heal(ctx)
	require.NoError(t, err)
	require.Equal(t, evidence, again)
}

func TestSplitHealsThroughHangingProxies(t *testing.T) {
	ctx := within(t)
	s, ps := twoRegions(t)
	in, err := split.Inject(ctx, s)
	require.NoError(t, err)
	pid, err := ps.PID(ctx)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	evidence, err := in.Heal(ctx)
	require.NoError(t, err)
	require.Contains(t, evidence, "started anew on the same ports (1 times), which cut every connection through them")
	for _, e := range s.Edges {
		require.NoError(t, ask(ctx, e.Listen))
	}
}

func TestSplitWithoutEvidence(t *testing.T) {
	t.Run("the traffic does not go through the proxies", func(t *testing.T) {
		s, _ := twoRegions(t)
		for name, e := range s.Edges {
			s.Edges[name] = probing(e, func(ctx context.Context, _ string) error { return e.Prober.Past(ctx) })
		}
		in, err := split.Inject(within(t), s)
		require.NoError(t, err)
		require.Empty(t, in.Evidence)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Empty(t, evidence)
	})
	t.Run("one direction still passes", func(t *testing.T) {
		s, _ := twoRegions(t)
		in, err := split.Inject(within(t), s)
		require.NoError(t, err)
		require.NotEmpty(t, in.Evidence)
		healedEarly(t, s.Edges[targets.RelayEdge("us", "eu")])
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Empty(t, evidence, "it ended before its heal")
	})
	t.Run("a far end is down by itself", func(t *testing.T) {
		s, _ := twoRegions(t)
		asked := make(chan struct{}, 100)
		for name, e := range s.Edges {
			s.Edges[name] = probing(e, func(ctx context.Context, addr string) error {
				asked <- struct{}{}
				if addr != e.Listen {
					return syscall.ECONNREFUSED
				}
				return ask(ctx, addr)
			})
		}
		in, err := split.Inject(within(t), s)
		require.NoError(t, err)
		require.Empty(t, in.Evidence)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Empty(t, evidence)
		require.NotEmpty(t, asked)
	})
}

func TestSplitShamCutsNothing(t *testing.T) {
	s, _ := twoRegions(t)
	in, err := Sham(split).Inject(within(t), s)
	require.NoError(t, err)
	require.Equal(t, time.Second, in.Hold)
	require.Empty(t, in.Evidence)
	for _, e := range s.Edges {
		require.NoError(t, ask(within(t), e.Listen))
	}
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Equal(t, "sham of region.split{between: [eu, us], for: 1s}: relay@eu -> relay@us answered through the proxy before and after; "+
		"relay@us -> relay@eu answered through the proxy before and after", evidence)
}

func TestSplitUndoesAHalfWayInjection(t *testing.T) {
	s, ps := twoRegions(t)
	other := startProxies(t, proxy.Spec{Name: "closed", Upstream: "127.0.0.1:1"})
	back := ps.Proxy(targets.RelayEdge("us", "eu")).Listen()
	s.Edges[targets.RelayEdge("us", "eu")] = edgeOf(other.Proxy("closed"), "127.0.0.1:1", func(ctx context.Context, _ string) error { return ask(ctx, back) })
	other.Close()
	_, err := split.Inject(within(t), s)
	require.ErrorContains(t, err, "the proxies are closed")
	require.NoError(t, ask(within(t), ps.Proxy(targets.RelayEdge("eu", "us")).Listen()), "the first edge passes again")
}

func TestSplitRefusesWhatItCantDo(t *testing.T) {
	s, ps := twoRegions(t)
	_, err := Split{Between: [2]string{"eu", "mars"}, For: time.Second}.Inject(within(t), s)
	require.ErrorContains(t, err, `no edge "relay@eu -> relay@mars"`)

	s.Edges[targets.RelayEdge("us", "eu")] = probing(s.Edges[targets.RelayEdge("us", "eu")], func(context.Context, string) error { return syscall.ECONNREFUSED })
	_, err = split.Inject(within(t), s)
	require.ErrorContains(t, err, "before the fault: relay@us -> relay@eu does not answer")
	require.NoError(t, ask(within(t), ps.Proxy(targets.RelayEdge("eu", "us")).Listen()))
}
