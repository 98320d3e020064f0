package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/targets"
)

var splitDefinition = Definition{
	Name:    "region.split",
	Summary: "two regions' caches stop hearing of each other",
	Params: []Param{
		{Name: "between", Type: "two regions", Required: true, Doc: "which two; both still reach the source"},
		forParam,
	},
	Evidence: "a probe through the proxies gets no answer while the same probe past them does",
	Heals:    "the links pass again and must answer a probe",
	Destroys: "bytes that were sent meanwhile, with their connections",
	Needs:    []Capability{HasRegionLinks},
	Example:  "- region.split: {between: [eu, us], for: 3s}",
	Decode:   decodeSplit,
}

func decodeSplit(p *Params) Fault {
	f := Split{For: p.Positive("for", 0)}
	n, rs := p.Node("between"), p.Regions("between")
	switch {
	case !n.Present(), rs == nil: // noted
	case len(rs) != 2:
		p.Fail(n, "", "needs two different regions", "write between: [a, b]; regions: "+list(p.scope.Regions))
	default:
		f.Between = [2]string(rs)
	}
	return f
}

// Split cuts two regions' caches off from each other: what their relays send each other disappears,
// in both directions. Both still reach the source.
//
// Evidence: a probe through each edge's proxy gets no answer while the same probe, sent directly to
// where the proxy leads, does; at injection and again just before the heal.
type Split struct {
	Between [2]string     // two different regions
	For     time.Duration // above 0
}

// String gives the fault as YAML shows it.
func (f Split) String() string {
	return render("region.split", [2]string{"between", oneOrList(f.Between[:])}, [2]string{"for", f.For.String()})
}

// Lasts implements [Fault].
func (f Split) Lasts() time.Duration { return f.For }

// Inject black-holes both edges; it returns within 10 s, and some seconds more when it must undo.
// An edge that does not answer to begin with can't be cut, and is an error.
func (f Split) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: for must be above 0", f)
	}
	there, back := targets.RelayEdge(f.Between[0], f.Between[1]), targets.RelayEdge(f.Between[1], f.Between[0])
	var edges []namedEdge
	for _, name := range []string{there, back} {
		e, err := site.edge(name)
		if err != nil {
			return Injected{}, fmt.Errorf("%s: %w", f, err)
		}
		edges = append(edges, e)
	}
	b := &edgeFault{
		fault: f, site: site, edges: edges, mode: link.Mode{Kind: link.Blackhole},
		name: there + " and back", ends: bothEnds,
	}
	return b.record(ctx, f.For)
}
