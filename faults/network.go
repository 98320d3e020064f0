package faults

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Network does something to the bytes of some edges for a while: network.blackhole, network.refuse,
// network.reset, network.stall or network.latency.
//
// Evidence: at injection and again just before the heal, a new connection through each edge's proxy meets
// what it must meet (no answer, a refusal, a reset) while a probe past it is answered; of refusals and
// resets also a connection that was open before. Latency is seen by probes, by and by: on every edge they
// take longer through the proxy than past it by what the fault adds at least.
type Network struct {
	Mode  Mode     // By and Jitter of Latency only; Bandwidth, whose effect no probe shows, is refused
	Edges []string // by name, or as globs in which * stands for anything; at least one
	For   time.Duration
	sham  bool
}

// String gives the fault as YAML shows it.
func (f Network) String() string {
	params := [][2]string{{"edge", quotedList(f.Edges)}}
	if f.Mode.Kind != Refuse && f.Mode.Direction != "" {
		params = append(params, [2]string{"direction", string(f.Mode.Direction)})
	}
	if f.Mode.Kind == Latency {
		params = append(params, latencyParams(f.Mode)...)
	}
	return render(f.sham, "network."+f.Mode.Kind.String(), append(params, [2]string{"for", f.For.String()})...)
}

func latencyParams(m Mode) [][2]string {
	out := [][2]string{{"by", m.By.String()}}
	if m.Jitter > 0 {
		out = append(out, [2]string{"jitter", m.Jitter.String()})
	}
	return out
}

// check says what is wrong with the fault by itself.
func (f Network) check() error {
	m := f.Mode
	switch {
	case f.For <= 0:
		return errors.New("for must be above 0")
	case m.Kind < Blackhole || m.Kind > Latency:
		return errors.New("there is no such fault")
	case m.Kind == Latency && (m.By <= 0 || m.Jitter < 0 || 2*m.Jitter > m.By): // what is left of it must be noticed
		return errors.New("by must be above 0, and jitter no more than half of it")
	case !slices.Contains([]Direction{"", Both, Up, Down}, m.Direction):
		return fmt.Errorf("there is no direction %q", m.Direction)
	}
	return nil
}

// Inject tells the proxies, and looks; it returns within 10 s, and some seconds more when it must undo. An
// edge that does not answer to begin with, and has no other fault, is an error.
func (f Network) Inject(ctx context.Context, site Site) (Injected, error) {
	return f.inject(ctx, site, f)
}

// inject injects the fault as part of another one, or of itself.
func (f Network) inject(ctx context.Context, site Site, as Fault) (Injected, error) {
	if err := f.check(); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", as, err)
	}
	edges, err := pickEdges(site, f.Edges)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", as, err)
	}
	return site.record(as, f.sham, edgeNames(edges), withUs, func(*entry) (Injected, error) {
		b := &bending{title: unsham(as), site: site, edges: edges, mode: f.Mode, sham: f.sham}
		b.name, b.ends = strings.Join(edgeNames(edges), ", "), "the far end answers"
		if len(edges) > 1 {
			b.ends = "all far ends answer"
		}
		in, err := bend(ctx, b, f.For)
		if err != nil {
			return Injected{}, fmt.Errorf("%s: %w", as, err)
		}
		return in, nil
	})
}

func edgeNames(edges []Edge) []string {
	var out []string
	for _, e := range edges {
		out = append(out, e.Name)
	}
	return out
}

// matchEdges gives the known edges that names and globs mean, each once, in order of name, and the first
// that means none.
func matchEdges(names, known []string) (found []string, missed string) {
	for _, n := range names {
		glob := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(n), `\*`, ".*") + "$")
		some := false
		for _, k := range known {
			if glob.MatchString(k) {
				found, some = append(found, k), true
			}
		}
		if !some && missed == "" {
			missed = n
		}
	}
	slices.Sort(found)
	return slices.Compact(found), missed
}

// SlowSource makes the source answer late, by latency on every edge that leads to it. What comes back from it
// is late, so that each of its answers takes longer once, whatever it took to ask.
//
// Evidence is that of network.latency.
type SlowSource struct {
	By     time.Duration // above 0; how much later it answers
	Jitter time.Duration // by how much that varies, both ways; at most half of By
	For    time.Duration // above 0; how long the fault lasts
	sham   bool
}

// String gives the fault as YAML shows it.
func (f SlowSource) String() string {
	return render(f.sham, "source.slow", append(latencyParams(Mode{By: f.By, Jitter: f.Jitter}), [2]string{"for", f.For.String()})...)
}

// Inject tells the proxies; it returns within 10 s, and some seconds more when it must undo.
func (f SlowSource) Inject(ctx context.Context, site Site) (Injected, error) {
	if len(site.SourceEdges) == 0 {
		return Injected{}, fmt.Errorf("%s: this target has no edge to its source", f)
	}
	n := Network{Mode: Mode{Kind: Latency, Direction: Down, By: f.By, Jitter: f.Jitter}, Edges: site.SourceEdges, For: f.For, sham: f.sham}
	return n.inject(ctx, site, f)
}
