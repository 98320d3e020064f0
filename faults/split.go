package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Split cuts two regions' caches off from each other: what their relays send each other disappears, in
// both directions. Both still reach the source.
//
// Evidence: a probe through each edge's proxy gets no answer while the same probe, sent directly to where
// the proxy leads, does; at injection and again just before the heal.
type Split struct {
	Between [2]string     // two different regions
	For     time.Duration // above 0
	sham    bool
}

// String gives the fault as YAML shows it.
func (f Split) String() string {
	return render(f.sham, "region.split", [2]string{"between", oneOrList(f.Between[:])}, [2]string{"for", f.For.String()})
}

// Inject black-holes both edges; it returns within 10 s, and some seconds more when it must undo. An edge
// that does not answer to begin with can't be cut, and is an error.
func (f Split) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: for must be above 0", f)
	}
	there, back := targets.RelayEdge(f.Between[0], f.Between[1]), targets.RelayEdge(f.Between[1], f.Between[0])
	edges := make([]Edge, 2)
	for i, name := range []string{there, back} {
		e, ok := site.Edges[name]
		if !ok || e.Proxy == nil || e.Probe == nil {
			return Injected{}, fmt.Errorf("%s: this target offers no edge %q with a proxy and a probe", f, name)
		}
		e.Name = name
		edges[i] = e
	}
	return site.record(f, f.sham, edgeNames(edges), withUs, func(*entry) (Injected, error) {
		in, err := bend(ctx, &bending{
			title: unsham(f), site: site, edges: edges, mode: Mode{Kind: Blackhole}, sham: f.sham,
			name: there + " and back", ends: bothEnds,
		}, f.For)
		if err != nil {
			return Injected{}, fmt.Errorf("%s: %w", f, err)
		}
		return in, nil
	})
}

// bothEnds is what evidence calls the far ends of two edges.
const bothEnds = "both far ends answer"
