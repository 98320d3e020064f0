package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/reexec"
)

// Spec asks for a proxy.
type Spec struct {
	Name     string // of the edge; each its own
	Upstream string // the host:port that it leads to
	Listen   string // the host:port where it listens, for a service that is pointed at it; "" = a free port of 127.0.0.1
}

// Fleet is the network proxies of one fault domain, in one child process. When that hangs or dies,
// it is killed and started anew with the same addresses, doing what is asked of it, which cuts all
// connections through it: see Restarts.
type Fleet struct {
	domain  string
	edges   []*Proxy
	closing chan struct{}
	watched chan struct{} // closed when watch has ended

	turn chan struct{} // held while talking to the child; guards what follows, and the requests of the edges
	proc *reexec.Process
	api  *toxiproxy.Client

	mu       sync.Mutex
	revivals []Restart
	closed   bool
}

// Restart is one time that proxies were started anew.
type Restart struct {
	At  time.Time // when they listened again
	Why string
}

const (
	callLimit    = 2 * time.Second  // of one exchange with the proxies' API; a child that takes longer hangs
	childLimit   = 10 * time.Second // for a child to come up
	rebindLimit  = 3 * time.Second  // to get the ports of a dead child back
	childGrace   = 2 * time.Second  // for a child to end by itself
	revivalPause = 250 * time.Millisecond
)

var (
	errHung   = errors.New("no answer from the proxies' API within " + callLimit.String())
	errClosed = errors.New("the proxies are closed")
)

// Start starts a child with one proxy per edge. domain names the proxies in errors. An address that
// an edge asks for and another program has is an error that names it. ctx bounds the start only;
// the caller must call Close.
func Start(ctx context.Context, domain string, edges []Spec) (*Fleet, error) {
	fl := &Fleet{
		domain:  domain,
		closing: make(chan struct{}),
		watched: make(chan struct{}),
		turn:    make(chan struct{}, 1),
	}
	for i, e := range edges {
		if e.Name == "" || e.Upstream == "" || fl.Proxy(e.Name) != nil {
			return nil, fmt.Errorf("proxies %s: edge %q needs an upstream and a name of its own", domain, e.Name)
		}
		listen := "127.0.0.1:0"
		if e.Listen != "" {
			if _, port, err := net.SplitHostPort(e.Listen); err != nil || port == "" || port == "0" {
				return nil, fmt.Errorf("proxies %s: edge %q can't listen on %q: write host:port, or leave it out for a free port", domain, e.Name, e.Listen)
			}
			listen = e.Listen
		}
		// Edge names hold characters that toxiproxy's URLs don't take.
		fl.edges = append(fl.edges, &Proxy{
			fleet: fl, name: e.Name, id: fmt.Sprintf("edge%d", i), upstream: e.Upstream, listen: listen,
		})
	}
	if err := fl.launch(ctx); err != nil {
		return nil, fmt.Errorf("proxies %s: %w", domain, err)
	}
	go fl.watch()
	return fl, nil
}

// Proxy gives the proxy of an edge; nil when there is none of that name.
func (fl *Fleet) Proxy(name string) *Proxy {
	for _, e := range fl.edges {
		if e.name == name {
			return e
		}
	}
	return nil
}

// Restarts lists when and why the proxies had to be started anew. Each one cut all connections
// through them, which is no doing of the target's.
func (fl *Fleet) Restarts() []Restart {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return append([]Restart(nil), fl.revivals...)
}

// Close ends the child and waits for it. It may be called again.
func (fl *Fleet) Close() {
	fl.mu.Lock()
	if !fl.closed {
		fl.closed = true
		close(fl.closing)
	}
	fl.mu.Unlock()
	<-fl.watched
	fl.turn <- struct{}{}
	defer func() { <-fl.turn }()
	fl.proc.Stop(childGrace)
}

func (fl *Fleet) take(ctx context.Context) error {
	select {
	case fl.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-fl.closing:
		return errClosed
	}
	select {
	case <-fl.closing: // both were ready
		<-fl.turn
		return errClosed
	default:
		return nil
	}
}

// launch starts a child and gives it all proxies in the mode that each is meant to be in. It needs
// the turn, or that fl is not shared yet.
func (fl *Fleet) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	proc, err := reexec.Start(roleProxies, fl.domain)
	if err != nil {
		return err
	}
	addr, err := proc.Line(ctx)
	if err != nil {
		proc.Kill()
		return fmt.Errorf("waiting for the child to listen: %w", err)
	}
	fl.proc, fl.api = proc, toxiproxy.NewClient(addr)
	for _, e := range fl.edges {
		if err := fl.create(ctx, e); err != nil {
			proc.Kill()
			return fmt.Errorf("making the proxy of %s: %w", e.name, err)
		}
	}
	return nil
}

// create makes a proxy that does what is asked of it when it begins to listen.
func (fl *Fleet) create(ctx context.Context, e *Proxy) error {
	made := fl.api.NewProxy()
	made.Name, made.Listen, made.Upstream = e.id, e.listen, e.upstream
	want := e.state()
	if err := fl.call(func() error {
		if err := made.Save(); err != nil {
			return err
		}
		return addShapers(made, want)
	}); err != nil {
		return err
	}
	for end := time.Now().Add(rebindLimit); !want.refused; {
		err := fl.call(made.Enable)
		if err == nil {
			break
		}
		inUse := strings.Contains(err.Error(), "address already in use")
		switch {
		case inUse && e.remote == nil:
			return fmt.Errorf("%s is taken: something else listens there; end that, or have the edge listen elsewhere", e.listen)
		case !inUse, time.Now().After(end), pause.For(ctx, 20*time.Millisecond) != nil:
			return err
		}
	}
	if e.remote == nil { // once: Listen reads it without the turn
		e.listen = made.Listen
		want = e.state()
		if err := fl.call(func() error { return change(fl.api, made, state{}, want) }); err != nil {
			return err
		}
	}
	e.remote = made
	return nil
}

// call makes an exchange with the child's API, which has no deadline of its own that would be short
// enough. A child that misses ours is killed, which also ends the exchange. It needs the turn.
func (fl *Fleet) call(exchange func() error) error {
	done := make(chan error, 1)
	go func() { done <- exchange() }()
	t := time.NewTimer(callLimit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		fl.proc.Kill()
		<-done
		return errHung
	}
}

// revive replaces the child. It needs the turn. ctx does not cut it short: half of the edges would
// be left without a proxy.
func (fl *Fleet) revive(ctx context.Context, why string) error {
	fl.proc.Kill()
	if err := fl.launch(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("starting the proxies %s anew because of: %s: %w", fl.domain, why, err)
	}
	fl.mu.Lock()
	fl.revivals = append(fl.revivals, Restart{At: time.Now(), Why: why})
	fl.mu.Unlock()
	return nil
}

// watch revives a child that died by itself: a drill must not accuse its target of our broken
// proxies.
func (fl *Fleet) watch() {
	defer close(fl.watched)
	for {
		if fl.take(context.Background()) != nil {
			return
		}
		proc := fl.proc
		<-fl.turn
		select {
		case <-proc.Done():
		case <-fl.closing:
			return
		}
		if fl.take(context.Background()) != nil {
			return
		}
		var err error
		if fl.proc == proc { // else it was killed to be replaced, and has been
			err = fl.revive(context.Background(), "their process ended by itself")
		}
		<-fl.turn
		if err != nil {
			t := time.NewTimer(revivalPause)
			select {
			case <-t.C:
			case <-fl.closing:
			}
			t.Stop()
		}
	}
}

// PID is the process id of the child that lives now.
func (fl *Fleet) PID(ctx context.Context) (int, error) {
	if err := fl.take(ctx); err != nil {
		return 0, err
	}
	defer func() { <-fl.turn }()
	return fl.proc.PID(), nil
}
