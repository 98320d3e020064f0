package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/child"
)

// wire is one network edge through toxiproxy.
type wire struct {
	bundle           *bundle
	name, id         string
	upstream, listen string // listen stays the same for its lifetime
	now              weather
	remote           *toxiproxy.Proxy // of the child that lives now
}

// weather is how a wire behaves; the zero weather is fair.
type weather struct {
	refuse bool
	toxics []toxic
}

type toxic struct {
	kind, direction string
	attributes      toxiproxy.Attributes
}

func (x toxic) name() string { return x.kind + "_" + x.direction }

// bundle is the wires of one process of the world, in one child. A child that hangs or died is replaced by one with the same
// addresses and the same weather, which cuts all connections through it: one more fault.
type bundle struct {
	mu      sync.Mutex
	name    string
	wires   []*wire
	proc    *child.Process
	api     *toxiproxy.Client
	revived int
}

const (
	wireCall  = 2 * time.Second  // of one exchange with a child
	wireStart = 20 * time.Second // for a child to come up
)

// newBundle starts the proxies of the edges, which are name and upstream in turn.
func newBundle(name string, edges ...string) (*bundle, error) {
	b := &bundle{name: name}
	for i := 0; i < len(edges); i += 2 {
		b.wires = append(b.wires, &wire{bundle: b, name: edges[i], id: fmt.Sprint("edge", i/2), upstream: edges[i+1], listen: "127.0.0.1:0"})
	}
	if err := b.launch(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bundle) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc != nil {
		b.proc.Stop(2 * time.Second)
	}
}

func (b *bundle) launch() error {
	role := ""
	for role = range faults.Roles { // there is one: the proxies
	}
	proc, err := child.Start(role, b.name)
	if err != nil {
		return err
	}
	b.proc = proc
	ctx, cancel := context.WithTimeout(context.Background(), wireStart)
	defer cancel()
	addr, err := proc.Line(ctx)
	if err != nil {
		proc.Kill()
		return fmt.Errorf("waiting for the proxies %s: %w", b.name, err)
	}
	b.api = toxiproxy.NewClient(addr)
	for _, w := range b.wires {
		if err := b.create(w); err != nil {
			proc.Kill()
			return fmt.Errorf("making the proxy of %s: %w", w.name, err)
		}
	}
	return nil
}

func (b *bundle) create(w *wire) error {
	made := b.api.NewProxy()
	made.Name, made.Listen, made.Upstream = w.id, w.listen, w.upstream
	fair := w.listen == "127.0.0.1:0" // its port is found by listening
	for end := time.Now().Add(wireStart); ; time.Sleep(20 * time.Millisecond) {
		err := b.call(func() error {
			if err := made.Save(); err != nil && !strings.Contains(err.Error(), "already exists") {
				return err
			}
			if w.now.refuse && !fair {
				return nil
			}
			return made.Enable()
		})
		switch {
		case err == nil:
			w.listen, w.remote = made.Listen, made
			return b.call(func() error { return add(made, w.now.toxics) })
		case !strings.Contains(err.Error(), "address already in use"), time.Now().After(end):
			return err
		}
	}
}

var errWireHung = errors.New("toxiproxy does not answer")

// call makes an exchange with the child; one that takes too long ends with the child.
func (b *bundle) call(exchange func() error) error {
	done := make(chan error, 1)
	go func() { done <- exchange() }()
	t := time.NewTimer(wireCall)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		b.proc.Kill()
		<-done
		return errWireHung
	}
}

// set changes the weather. It succeeds also when the child hangs, by replacing it.
func (w *wire) set(now weather) error {
	b := w.bundle
	b.mu.Lock()
	defer b.mu.Unlock()
	had := w.now
	w.now = now
	select {
	case <-b.proc.Done():
	default:
		if b.call(func() error { return w.change(had, now) }) == nil {
			return nil
		}
	}
	var err error
	for range 3 {
		b.revived++
		b.proc.Kill()
		if err = b.launch(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("starting the proxies %s anew: %w", b.name, err)
}

func (w *wire) change(had, now weather) error {
	for _, x := range had.toxics {
		if err := w.remote.RemoveToxic(x.name()); err != nil {
			return err
		}
	}
	if err := add(w.remote, now.toxics); err != nil {
		return err
	}
	switch {
	case now.refuse && !had.refuse:
		return w.remote.Disable()
	case had.refuse && !now.refuse:
		return w.remote.Enable()
	}
	return nil
}

func add(p *toxiproxy.Proxy, toxics []toxic) error {
	for _, x := range toxics {
		if _, err := p.AddToxic(x.name(), x.kind, x.direction, 1, x.attributes); err != nil {
			return err
		}
	}
	return nil
}
