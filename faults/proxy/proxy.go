package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/cachedrill/cachedrill/faults/link"
)

// Proxy is the network proxy of one edge. Its methods may be called concurrently. Each exchange
// with the proxies' process ends within 2 s; one that hangs is answered by starting that process
// anew (see [Fleet.Restarts]), which takes some 100 ms more, so a method may outlast its ctx by
// that much.
//
// Several owners may ask a proxy for something at the same time; it does the sum, as
// [link.Requests] has it. Clearing takes back only what the same owner asked for.
type Proxy struct {
	fleet    *Fleet
	name     string // of the edge
	id       string // in toxiproxy
	upstream string
	listen   string           // fixed once Start has returned
	remote   *toxiproxy.Proxy // of the child that lives now
	requests link.Requests

	own atomic.Int64 // bytes that our own probes sent through it
}

// state is everything that a proxy does.
type state struct {
	refused bool
	flows   [len(link.Streams)]flow
}

// state gives what all requests come to.
func (p *Proxy) state() state {
	sum := p.requests.Sum()
	s := state{refused: sum.Refused}
	for i := range s.flows {
		s.flows[i] = flow{sum.Shapes[i], p.listen}
	}
	return s
}

// Listen is the proxy's address, host:port; it stays the same for the proxy's lifetime.
func (p *Proxy) Listen() string { return p.listen }

// Near is the address at which this machine reaches the proxy: Listen, unless that is everywhere.
func (p *Proxy) Near() string {
	at, err := netip.ParseAddrPort(p.listen)
	switch {
	case err != nil || !at.Addr().IsUnspecified():
		return p.listen
	case at.Addr().Is4():
		return fmt.Sprintf("127.0.0.1:%d", at.Port())
	}
	return fmt.Sprintf("[::1]:%d", at.Port())
}

// Passed tells what has passed the proxy since its process began.
func (p *Proxy) Passed(ctx context.Context) (t link.Traffic, err error) {
	fl := p.fleet
	if err := fl.take(ctx); err != nil {
		return t, fmt.Errorf("looking at %s: %w", p.name, err)
	}
	defer func() { <-fl.turn }()
	t.Own = p.own.Load()
	var has *toxiproxy.Proxy
	if err := fl.call(func() (err error) { has, err = fl.api.Proxy(p.id); return err }); err != nil {
		return t, fmt.Errorf("looking at %s: %w", p.name, err)
	}
	for _, x := range has.ActiveToxics {
		var is shown
		text, err := json.Marshal(x.Attributes)
		if err == nil {
			err = json.Unmarshal(text, &is)
		}
		if err != nil {
			return t, fmt.Errorf("looking at %s: %w", p.name, err)
		}
		switch x.Name {
		case link.Streams[0]:
			t.Up, t.Open = is.Passed, is.Open
		case link.Streams[1]:
			t.Down = is.Passed
		}
	}
	return t, nil
}

// Revived gives the fleet that the proxy belongs to, and how often that had to be started anew.
func (p *Proxy) Revived() (carrier any, times int) { return p.fleet, len(p.fleet.Restarts()) }

// Apply has the proxy do something, instead of what the same owner, any comparable value, asked for
// before. It returns when the proxy does it.
func (p *Proxy) Apply(ctx context.Context, owner any, modes ...link.Mode) error {
	var doing []string
	for _, m := range modes {
		doing = append(doing, m.Kind.String())
	}
	return p.set(ctx, owner, modes, "applying "+strings.Join(doing, " and "))
}

// Clear takes back what an owner asked for, if anything. It succeeds even when the proxies' process
// hangs, by starting that anew.
func (p *Proxy) Clear(ctx context.Context, owner any) error {
	return p.set(ctx, owner, nil, "restoring")
}

// HeldByOthers reports whether another owner asks for something.
func (p *Proxy) HeldByOthers(ctx context.Context, owner any) (bool, error) {
	if err := p.fleet.take(ctx); err != nil {
		return false, fmt.Errorf("looking at %s: %w", p.name, err)
	}
	defer func() { <-p.fleet.turn }()
	return p.requests.Others(owner), nil
}

func (p *Proxy) set(ctx context.Context, owner any, modes []link.Mode, doing string) error {
	fl := p.fleet
	if err := fl.take(ctx); err != nil {
		return fmt.Errorf("%s on %s: %w", doing, p.name, err)
	}
	defer func() { <-fl.turn }()
	had, before := p.requests, p.state()
	p.requests = had.With(owner, modes...)
	why := ""
	select {
	case <-fl.proc.Done():
		why = "their process ended by itself"
	default:
		want := p.state()
		if before == want {
			return nil
		}
		err := fl.call(func() error { return change(fl.api, p.remote, before, want) })
		if err == nil {
			return nil
		}
		why = fmt.Sprintf("%s on %s: %v", doing, p.name, err)
	}
	// A new child knows nothing of what went wrong in the old one, and comes up doing what is asked
	// for.
	if err := fl.revive(ctx, why); err != nil {
		if len(modes) > 0 {
			p.requests = had
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

// addShapers gives a new proxy its only toxics.
func addShapers(on *toxiproxy.Proxy, s state) error {
	for i, stream := range link.Streams {
		a, err := s.flows[i].attributes()
		if err != nil {
			return err
		}
		if _, err := on.AddToxic(stream, shaperToxic, stream, 1, a); err != nil {
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
	for i, stream := range link.Streams {
		if from.flows[i] == to.flows[i] {
			continue
		}
		a, err := to.flows[i].attributes()
		if err != nil {
			return err
		}
		if _, err := on.UpdateToxic(stream, 1, a); err != nil {
			return fmt.Errorf("changing the %s: %w", stream, err)
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
	if n := len(has.ActiveToxics); n != len(link.Streams) {
		return fmt.Errorf("it has %d toxics instead of %d", n, len(link.Streams))
	}
	for i, stream := range link.Streams {
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
