package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// Proxy is one edge's network proxy. Its methods may be called concurrently. Each exchange with the
// proxies' process ends within 2 s; one that hangs is answered by starting that process anew (see
// [Proxies.Restarts]), which takes some 100 ms more, so a method may outlast its ctx by that much.
//
// Several may ask a proxy for something at the same time. It does the sum: delays add up, the lowest rate
// holds, and whatever one of them wants cut is cut. Releasing takes back only what the same one asked for.
type Proxy struct {
	owner    *Proxies
	name     string // of the edge
	id       string // in toxiproxy
	upstream string
	listen   string           // fixed once StartProxies has returned
	remote   *toxiproxy.Proxy // of the child that lives now
	asked    []request        // who asks for what
}

// request is what one asks of a proxy.
type request struct {
	who   any
	modes []Mode
}

// Mode is one thing that a proxy is asked to do.
type Mode struct {
	Kind      ModeKind
	Direction Direction     // of what the kind is done to; Refuse knows none
	By        time.Duration // Latency: how long bytes are held, in each direction
	Jitter    time.Duration // Latency: by how much that varies, both ways; at most By
	Rate      int64         // Bandwidth: bytes a second, in each direction; above 0
}

// ModeKind is what is done to an edge.
type ModeKind uint8

// What can be done to an edge.
const (
	Blackhole ModeKind = iota + 1 // bytes disappear; connections that lost some are closed at the release
	Stall                         // bytes wait, and are delivered at the release, also what its sender has given up on
	Refuse                        // new connections are refused, present ones are cut
	Reset                         // connections end with a reset as soon as bytes move, new ones at once
	Latency                       // bytes are late
	Bandwidth                     // bytes are few
)

var modeNames = [...]string{Blackhole: "blackhole", Stall: "stall", Refuse: "refuse", Reset: "reset", Latency: "latency", Bandwidth: "bandwidth"}

// String gives the word that follows "network." in YAML.
func (k ModeKind) String() string { return modeNames[k] }

// Direction is which bytes of an edge; the edge's name tells from where to where.
type Direction string

// The directions of an edge.
const (
	Both Direction = "both"
	Up   Direction = "up"   // of those who dial
	Down Direction = "down" // of those who were dialled
)

// has says whether a stream of toxiproxy's is meant; "" is Both.
func (d Direction) has(stream string) bool {
	return d != Up && d != Down || strings.HasPrefix(stream, string(d))
}

// streams are toxiproxy's words for the directions.
var streams = [...]string{"upstream", "downstream"}

// state is everything that a proxy does.
type state struct {
	refused bool
	flows   [len(streams)]flow
}

// state adds up what is asked for.
func (p *Proxy) state() state {
	var s state
	for i := range s.flows {
		s.flows[i].Listen = p.listen
	}
	for _, r := range p.asked {
		for _, m := range r.modes {
			s.refused = s.refused || m.Kind == Refuse
			for i, stream := range streams {
				if m.Direction.has(stream) {
					m.addTo(&s.flows[i])
				}
			}
		}
	}
	return s
}

func (m Mode) addTo(f *flow) {
	switch m.Kind {
	case Blackhole:
		f.Drop = true
	case Stall:
		f.Stall = true
	case Reset:
		f.Reset = true
	case Latency:
		f.Delay += m.By
		f.Jitter += min(m.Jitter, m.By)
	case Bandwidth:
		if f.Rate == 0 || m.Rate < f.Rate {
			f.Rate = m.Rate
		}
	}
}

// Listen is the proxy's address, host:port; it stays the same for the proxy's lifetime.
func (p *Proxy) Listen() string { return p.listen }

// Ask has the proxy do something, instead of what the same one asked for before. who is any comparable
// value. It returns when the proxy does it.
func (p *Proxy) Ask(ctx context.Context, who any, modes ...Mode) error {
	var doing []string
	for _, m := range modes {
		doing = append(doing, m.Kind.String())
	}
	return p.set(ctx, who, modes, "asking for "+strings.Join(doing, " and "))
}

// Release takes back what one asked for, if anything. It succeeds even when the proxies' process hangs, by
// starting that anew.
func (p *Proxy) Release(ctx context.Context, who any) error {
	return p.set(ctx, who, nil, "restoring")
}

// Asked says whether anybody but who asks for something.
func (p *Proxy) Asked(ctx context.Context, who any) (bool, error) {
	if err := p.owner.take(ctx); err != nil {
		return false, fmt.Errorf("looking at %s: %w", p.name, err)
	}
	defer func() { <-p.owner.turn }()
	return slices.ContainsFunc(p.asked, func(r request) bool { return r.who != who }), nil
}

func (p *Proxy) set(ctx context.Context, who any, modes []Mode, doing string) error {
	ps := p.owner
	if err := ps.take(ctx); err != nil {
		return fmt.Errorf("%s on %s: %w", doing, p.name, err)
	}
	defer func() { <-ps.turn }()
	had, before := p.asked, p.state()
	p.asked = slices.DeleteFunc(slices.Clone(had), func(r request) bool { return r.who == who })
	if len(modes) > 0 {
		p.asked = append(p.asked, request{who, slices.Clone(modes)})
	}
	why := ""
	select {
	case <-ps.proc.Done():
		why = "their process ended by itself"
	default:
		want := p.state()
		if before == want {
			return nil
		}
		if err := ps.call(func() error { return change(ps.api, p.remote, before, want) }); err == nil {
			return nil
		} else {
			why = fmt.Sprintf("%s on %s: %v", doing, p.name, err)
		}
	}
	// A new child knows nothing of what went wrong in the old one, and comes up doing what is asked for.
	if err := ps.revive(ctx, why); err != nil {
		if len(modes) > 0 {
			p.asked = had
		}
		return fmt.Errorf("%s on %s: %w", doing, p.name, err)
	}
	return nil
}

// attributes gives the flow in toxiproxy's words.
func (f flow) attributes() (a toxiproxy.Attributes, err error) {
	text, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

// addWeather gives a new proxy its only toxics.
func addWeather(on *toxiproxy.Proxy, s state) error {
	for i, stream := range streams {
		a, err := s.flows[i].attributes()
		if err != nil {
			return err
		}
		if _, err := on.AddToxic(stream, weatherToxic, stream, 1, a); err != nil {
			return err
		}
	}
	return nil
}

// change takes a proxy from one state to another, and has the server confirm the result.
func change(api *toxiproxy.Client, on *toxiproxy.Proxy, from, to state) error {
	if to.refused && !from.refused {
		if err := on.Disable(); err != nil {
			return fmt.Errorf("stopping to listen: %w", err)
		}
	}
	for i, stream := range streams {
		if from.flows[i] == to.flows[i] {
			continue
		}
		a, err := to.flows[i].attributes()
		if err != nil {
			return err
		}
		if _, err := on.UpdateToxic(stream, 1, a); err != nil {
			return fmt.Errorf("telling the %s: %w", stream, err)
		}
	}
	if from.refused && !to.refused {
		if err := on.Enable(); err != nil {
			return fmt.Errorf("listening again: %w", err)
		}
	}
	return confirm(api, on.Name, to)
}

// confirm asks the server what the proxy does.
func confirm(api *toxiproxy.Client, id string, want state) error {
	has, err := api.Proxy(id)
	if err != nil {
		return fmt.Errorf("asking what it does: %w", err)
	}
	if has.Enabled == want.refused {
		return fmt.Errorf("that it listens is %t", has.Enabled)
	}
	if n := len(has.ActiveToxics); n != len(streams) {
		return fmt.Errorf("it has %d toxics instead of %d", n, len(streams))
	}
	for i, stream := range streams {
		var is flow
		for _, t := range has.ActiveToxics {
			if t.Name != stream {
				continue
			}
			text, err := json.Marshal(t.Attributes)
			if err == nil {
				err = json.Unmarshal(text, &is)
			}
			if err != nil {
				return fmt.Errorf("reading what it does: %w", err)
			}
		}
		if is != want.flows[i] {
			return fmt.Errorf("it does %+v instead of %+v", is, want.flows[i])
		}
	}
	return nil
}
