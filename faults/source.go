package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
)

var slowSourceDefinition = Definition{
	Name:     "source.slow",
	Summary:  "the source answers late: latency on every edge that leads to it",
	Params:   append(latencyParameters("each answer is later"), forParam),
	Evidence: latencyEvidence,
	Heals:    "the proxies let the answers pass at once, and probes are no longer late",
	Needs:    []Capability{HasSourceEdges},
	Example:  "- source.slow: {by: 200ms, jitter: 50ms, for: 3s}",
	Decode:   decodeSlowSource,
}

func decodeSlowSource(p *Params) Fault {
	f := SlowSource{For: p.Positive("for", 0)}
	f.By, f.Jitter = p.latency(link.Mode{Direction: link.Down}, f.For)
	if len(p.scope.SourceEdges) == 0 {
		why := "give it one, or leave the fault out"
		if len(p.scope.Edges) > 0 {
			why = "its edges: " + list(p.scope.Edges)
		}
		p.FailHere("this target has no edge to its source", why)
	}
	return f
}

// SlowSource makes the source answer late, by latency on every edge that leads to it. What comes
// back from it is late, so that each of its answers takes longer once, whatever it took to ask.
//
// Evidence is that of network.latency.
type SlowSource struct {
	By     time.Duration // above 0; how much later it answers
	Jitter time.Duration // by how much that varies, both ways; at most half of By
	For    time.Duration // above 0; how long the fault lasts
}

// String gives the fault as YAML shows it.
func (f SlowSource) String() string {
	return render("source.slow", append(latencyParams(link.Mode{By: f.By, Jitter: f.Jitter}), [2]string{"for", f.For.String()})...)
}

// Lasts implements [Fault].
func (f SlowSource) Lasts() time.Duration { return f.For }

// Inject delays the answers; it returns within 10 s, and some seconds more when it must undo.
func (f SlowSource) Inject(ctx context.Context, site Site) (Injected, error) {
	if len(site.SourceEdges) == 0 {
		return Injected{}, fmt.Errorf("%s: this target has no edge to its source", f)
	}
	n := Network{Mode: link.Mode{Kind: link.Latency, Direction: link.Down, By: f.By, Jitter: f.Jitter}, Edges: site.SourceEdges, For: f.For}
	return n.inject(ctx, site, f)
}
