package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
)

// networkDefinitions are the network faults, one for each mode.
var networkDefinitions = [...]Definition{
	defineNetwork(link.Blackhole, "bytes disappear; connections stay open, and those that lost some are closed at the heal",
		"probes through the proxies get no answer within "+probeLimit.String()+" while the same probes past them do, at the beginning and just before the heal"),
	defineNetwork(link.Refuse, "new connections are refused, present ones are cut",
		"new connections through the proxies are refused while probes past them are answered, at the beginning and just before the heal; a connection that was open before was cut"),
	defineNetwork(link.Reset, "connections end with a reset (RST): new ones at once, present ones as soon as bytes move (idle ones notice nothing)",
		"new connections through the proxies are reset while probes past them are answered, at the beginning and just before the heal; so was one that was open before"),
	defineNetwork(link.Stall, "bytes wait, and all of them are delivered at the heal, also those given up by their sender",
		"probes through the proxies get no answer within "+probeLimit.String()+" while the same probes past them do, at the beginning and just before the heal"),
	defineNetwork(link.Latency, "bytes are late", latencyEvidence),
	defineNetwork(link.HalfOpen, "bytes disappear; connections that lost some stay open and silent for ever, also after the heal",
		"probes through the proxies get no answer within "+probeLimit.String()+" while the same probes past them do, at the beginning and just before the heal; after it a connection that had lost bytes is still open and silent, while new ones are answered"),
}

const latencyEvidence = "probes by and by: on every edge they take longer through the proxy than past it by what the fault adds at least"

// forParam is how long a fault of a network link stays injected.
var forParam = Param{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts"}

func latencyParameters(what string) []Param {
	return []Param{
		{Name: "by", Type: "duration", Required: true, Doc: "how much " + what},
		{Name: "jitter", Type: "duration", Default: "0s", Doc: "by how much that varies, both ways; at most half of by"},
	}
}

// defineNetwork defines the fault of one mode.
func defineNetwork(k link.Kind, summary, evidence string) Definition {
	d := Definition{
		Name: "network." + k.String(), Summary: summary, Evidence: evidence,
		Params: []Param{{Name: "edge", Type: "edge or list", Required: true, Doc: "which network links: names, or globs with *"}},
		Heals:  "the edges pass again and must answer a probe",
		Needs:  []Capability{HasEdges},
		Decode: func(p *Params) Fault { return decodeNetwork(p, k) },
	}
	example := "edge: worker@eu -> redis@eu"
	if k != link.Refuse {
		d.Params = append(d.Params, Param{Name: "direction", Type: "both, up or down", Default: string(link.Both),
			Doc: "up is what the side sends that dials, down what comes back"})
	}
	switch k {
	case link.Blackhole:
		d.Destroys = "bytes that were sent meanwhile, with their connections"
	case link.HalfOpen:
		d.Destroys = "bytes that were sent meanwhile, and whatever is sent over their connections until the drill ends"
		d.Heals = "new connections, and those that lost nothing, pass again; an edge must answer a probe"
	case link.Refuse, link.Reset:
		d.Destroys = "connections that were open before"
	case link.Latency:
		d.Params = append(d.Params, latencyParameters("bytes are later, in each direction")...)
		d.Heals = "the edges pass at once again, and probes are no longer late"
		example = "edge: worker@eu -> *, by: 100ms, jitter: 20ms"
	}
	d.Params = append(d.Params, forParam)
	d.Example = "- " + d.Name + ": {" + example + ", for: 3s}"
	return d
}

func decodeNetwork(p *Params, k link.Kind) Fault {
	f := Network{Mode: link.Mode{Kind: k}, Edges: p.Edges("edge"), For: p.Positive("for", 0)}
	if k != link.Refuse {
		f.Mode.Direction = link.Both
		if n := p.Node("direction"); n.Present() {
			f.Mode.Direction = link.Direction(p.Known("direction", "direction", []string{string(link.Both), string(link.Up), string(link.Down)}))
		}
	}
	if k == link.Latency {
		f.Mode.By, f.Mode.Jitter = p.latency(f.Mode, f.For)
	}
	return f
}

// Network does something to the bytes of some edges for a while: network.blackhole, network.refuse,
// network.reset, network.stall, network.latency or network.halfopen.
//
// Evidence: at injection and again just before the heal, a new connection through each edge's proxy
// meets what it must meet (no answer, a refusal, a reset) while a probe past it is answered; of
// refusals and resets also a connection that was open before. Latency is seen by probes, by and by:
// on every edge they take longer through the proxy than past it by what the fault adds at least.
type Network struct {
	Mode  link.Mode // By and Jitter of Latency only; Bandwidth, whose effect no probe shows, is refused
	Edges []string  // by name, or as globs in which * stands for anything; at least one
	For   time.Duration
}

// String gives the fault as YAML shows it.
func (f Network) String() string {
	params := [][2]string{{"edge", quotedList(f.Edges)}}
	if f.Mode.Kind != link.Refuse && f.Mode.Direction != "" {
		params = append(params, [2]string{"direction", string(f.Mode.Direction)})
	}
	if f.Mode.Kind == link.Latency {
		params = append(params, latencyParams(f.Mode)...)
	}
	return render("network."+f.Mode.Kind.String(), append(params, [2]string{"for", f.For.String()})...)
}

func latencyParams(m link.Mode) [][2]string {
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
	case m.Kind < link.Blackhole || m.Kind == link.Bandwidth || m.Kind > link.HalfOpen:
		return errors.New("there is no such fault")
	case m.Kind == link.Latency && (m.By <= 0 || m.Jitter < 0 || 2*m.Jitter > m.By): // what is left of it must be noticed
		return errors.New("by must be above 0, and jitter no more than half of it")
	case !slices.Contains([]link.Direction{"", link.Both, link.Up, link.Down}, m.Direction):
		return fmt.Errorf("there is no direction %q", m.Direction)
	}
	return nil
}

// Lasts implements [Fault].
func (f Network) Lasts() time.Duration { return f.For }

// Inject applies the mode and looks; it returns within 10 s, and some seconds more when it must
// undo. An edge that does not answer to begin with, and has no other fault, is an error.
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
	b := &edgeFault{fault: as, site: site, edges: edges, mode: f.Mode}
	b.name, b.ends = strings.Join(b.names(), ", "), "the far end answers"
	if len(edges) > 1 {
		b.ends = "all far ends answer"
	}
	return b.record(ctx, f.For)
}
