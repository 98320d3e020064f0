package reality

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/proxy"
)

// wire is one network edge of the world.
type wire struct {
	*proxy.Proxy
	name string
}

// newWires starts the proxies of one process of the world, in a child of their own. The edges are
// name and upstream in turn.
func (w *reality) newWires(t *testing.T, of string, edges ...string) (wires []wire) {
	var specs []proxy.Spec
	for i := 0; i < len(edges); i += 2 {
		specs = append(specs, proxy.Spec{Name: edges[i], Upstream: edges[i+1]})
	}
	ps, err := proxy.Start(t.Context(), of, specs)
	require.NoError(t, err)
	t.Cleanup(ps.Close)
	w.proxies = append(w.proxies, ps)
	for _, s := range specs {
		wires = append(wires, wire{ps.Proxy(s.Name), s.Name})
	}
	return wires
}

// badly makes the edge bad for as long as f lasts.
func (e wire) badly(f *realFault, modes ...link.Mode) {
	f.subject = e.name
	f.inject = func(ctx context.Context) (int, error) { return 0, e.Apply(ctx, f, modes...) }
	f.heal = func(ctx context.Context) (int, error) { return 0, e.Clear(ctx, f) }
}

// weather draws how an edge is bad.
func weather(rng *rand.Rand, kind string) link.Mode {
	m := link.Mode{Direction: []link.Direction{link.Both, link.Up, link.Down}[rng.IntN(3)]}
	latency, jitter := 20+rng.IntN(330), 1+rng.IntN(100)
	switch kind {
	case "edge slow":
		m.Kind, m.By = link.Latency, time.Duration(latency)*time.Millisecond
		m.Jitter = min(time.Duration(jitter)*time.Millisecond, m.By)
	case "edge black-holed":
		m.Kind = link.Blackhole
	case "edge stalled": // what was sent meanwhile is delivered when it is healed
		m.Kind = link.Stall
	case "edge reset":
		m.Kind = link.Reset
	default:
		m.Kind = link.Refuse
	}
	return m
}
