package reality

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
)

// wire is one network edge of the world.
type wire struct {
	*faults.Proxy
	name string
}

// newWires starts the proxies of one process of the world, in a child of their own. The edges are name and upstream in turn.
func (w *reality) newWires(t *testing.T, of string, edges ...string) (wires []wire) {
	var specs []faults.EdgeSpec
	for i := 0; i < len(edges); i += 2 {
		specs = append(specs, faults.EdgeSpec{Name: edges[i], Upstream: edges[i+1]})
	}
	ps, err := faults.StartProxies(t.Context(), of, specs)
	require.NoError(t, err)
	t.Cleanup(ps.Close)
	w.proxies = append(w.proxies, ps)
	for _, s := range specs {
		wires = append(wires, wire{ps.Proxy(s.Name), s.Name})
	}
	return wires
}

// badly makes the edge bad for as long as f lasts.
func (e wire) badly(f *realFault, modes ...faults.Mode) {
	f.subject = e.name
	f.inject = func(ctx context.Context) (int, error) { return 0, e.Ask(ctx, f, modes...) }
	f.heal = func(ctx context.Context) (int, error) { return 0, e.Release(ctx, f) }
}

// weather draws how an edge is bad.
func weather(rng *rand.Rand, kind string) faults.Mode {
	m := faults.Mode{Direction: []faults.Direction{faults.Both, faults.Up, faults.Down}[rng.IntN(3)]}
	latency, jitter := 20+rng.IntN(330), 1+rng.IntN(100)
	switch kind {
	case "edge slow":
		m.Kind, m.By = faults.Latency, time.Duration(latency)*time.Millisecond
		m.Jitter = min(time.Duration(jitter)*time.Millisecond, m.By)
	case "edge black-holed":
		m.Kind = faults.Blackhole
	case "edge stalled": // what was sent meanwhile is delivered when it is healed
		m.Kind = faults.Stall
	case "edge reset":
		m.Kind = faults.Reset
	default:
		m.Kind = faults.Refuse
	}
	return m
}
