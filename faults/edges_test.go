package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/proxy"
)

// trackedLink notes the owners that applied something to a proxy.
type trackedLink struct {
	*proxy.Proxy
	mu     sync.Mutex
	owners []any
}

func (l *trackedLink) Apply(ctx context.Context, owner any, modes ...link.Mode) error {
	l.mu.Lock()
	if !slices.Contains(l.owners, owner) {
		l.owners = append(l.owners, owner)
	}
	l.mu.Unlock()
	return l.Proxy.Apply(ctx, owner, modes...)
}

// edgeOf is the edge of a proxy, probed by probe.
func edgeOf(p *proxy.Proxy, upstream string, probe func(ctx context.Context, addr string) error) Edge {
	own := p.Prober(func(_ context.Context, c net.Conn) error { return askOn(c) }, nil)
	return Edge{Link: &trackedLink{Proxy: p}, Prober: addressed{own, p.Listen(), upstream, probe}, Listen: p.Listen(), Upstream: upstream}
}

// addressed probes addresses.
type addressed struct {
	proxy.Prober
	listen, upstream string
	probe            func(ctx context.Context, addr string) error
}

func (a addressed) Through(ctx context.Context) error { return a.probe(ctx, a.listen) }

func (a addressed) Past(ctx context.Context) error { return a.probe(ctx, a.upstream) }

func (a addressed) Ask(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	return askOn(c)
}

// probing is an edge that is probed otherwise.
func probing(e Edge, probe func(ctx context.Context, addr string) error) Edge {
	old := e.Prober.(addressed)
	old.probe = probe
	e.Prober = old
	return e
}

// healedEarly has the proxy do nothing, although faults asked for something.
func healedEarly(t *testing.T, e Edge) {
	t.Helper()
	l := e.Link.(*trackedLink)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.NotEmpty(t, l.owners)
	for _, owner := range l.owners {
		require.NoError(t, l.Clear(within(t), owner))
	}
}

// echo is a server that sends back what it gets. It ends with the test.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// ask sends a word over a new connection and wants it back.
func ask(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	return askOn(c)
}

func askOn(c net.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != "hello" {
		return errors.New("another answer: " + string(got))
	}
	return nil
}

func silentWithin(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, ask(ctx, addr), os.ErrDeadlineExceeded)
}

func startProxies(t *testing.T, edges ...proxy.Spec) *proxy.Fleet {
	t.Helper()
	ps, err := proxy.Start(within(t), "test", edges)
	require.NoError(t, err)
	t.Cleanup(ps.Close)
	return ps
}

// me is the owner of what tests ask proxies for.
const me = "me"
