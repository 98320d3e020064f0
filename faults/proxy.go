package faults

import (
	"context"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// Proxy is one edge's network proxy. Its methods may be called concurrently. Each exchange with the
// proxies' process ends within 2 s; one that hangs is answered by starting that process anew (see
// [Proxies.Restarts]), which takes some 100 ms more, so a method may outlast its ctx by that much.
type Proxy struct {
	owner    *Proxies
	name     string // of the edge
	id       string // in toxiproxy
	upstream string
	listen   string           // fixed once StartProxies has returned
	remote   *toxiproxy.Proxy // of the child that lives now
	mode     mode             // what is asked for
}

// mode is what a proxy does with the bytes.
type mode uint8

const (
	passing    mode = iota
	blackholed      // bytes disappear in both directions; restoring closes the connections
	stalled         // bytes queue up in both directions, and are delivered when restored
)

// Listen is the proxy's address, host:port; it stays the same for the proxy's lifetime.
func (p *Proxy) Listen() string { return p.listen }

// Blackhole makes all bytes disappear, in both directions, on present and on new connections. Connections
// are accepted and stay open; Restore closes those that were open meanwhile.
func (p *Proxy) Blackhole(ctx context.Context) error { return p.set(ctx, blackholed, "black-holing") }

// Stall holds all bytes back, in both directions, without losing them: Restore delivers what has queued
// up, also what its sender has given up on.
func (p *Proxy) Stall(ctx context.Context) error { return p.set(ctx, stalled, "stalling") }

// Restore lets bytes pass again. It succeeds even when the proxies' process hangs, by starting that anew.
func (p *Proxy) Restore(ctx context.Context) error { return p.set(ctx, passing, "restoring") }

func (p *Proxy) set(ctx context.Context, want mode, doing string) error {
	ps := p.owner
	if err := ps.take(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", doing, p.name, err)
	}
	defer func() { <-ps.turn }()
	had := p.mode
	p.mode = want
	why := ""
	select {
	case <-ps.proc.Done():
		why = "their process ended by itself"
	default:
		if had == want {
			return nil
		}
		if err := ps.call(func() error { return change(p.remote, had, want) }); err == nil {
			return nil
		} else {
			why = fmt.Sprintf("%s %s: %v", doing, p.name, err)
		}
	}
	// A new child knows nothing of what went wrong in the old one, and comes up in the modes asked for.
	if err := ps.revive(ctx, why); err != nil {
		if want != passing {
			p.mode = had
		}
		return fmt.Errorf("%s %s: %w", doing, p.name, err)
	}
	return nil
}

var directions = [...]string{"upstream", "downstream"}

// toxic gives toxiproxy's words for a mode.
func (m mode) toxic() (kind string, attributes toxiproxy.Attributes) {
	switch m {
	case blackholed:
		return "timeout", toxiproxy.Attributes{"timeout": 0}
	case stalled:
		return "bandwidth", toxiproxy.Attributes{"rate": 0}
	}
	return "", nil
}

func addToxics(on *toxiproxy.Proxy, m mode) error {
	kind, attributes := m.toxic()
	if kind == "" {
		return nil
	}
	for _, d := range directions {
		if _, err := on.AddToxic(kind+"_"+d, kind, d, 1, attributes); err != nil {
			return err
		}
	}
	return nil
}

// change replaces the toxics of one mode by those of another, and has the server confirm the result.
func change(on *toxiproxy.Proxy, from, to mode) error {
	if kind, _ := from.toxic(); kind != "" {
		for _, d := range directions {
			if err := on.RemoveToxic(kind + "_" + d); err != nil {
				return fmt.Errorf("removing a toxic: %w", err)
			}
		}
	}
	if err := addToxics(on, to); err != nil {
		return fmt.Errorf("adding a toxic: %w", err)
	}
	toxics, err := on.Toxics()
	if err != nil {
		return fmt.Errorf("listing the toxics: %w", err)
	}
	want := 0
	if to != passing {
		want = len(directions)
	}
	if len(toxics) != want {
		return fmt.Errorf("there are %d toxics instead of %d", len(toxics), want)
	}
	return nil
}
