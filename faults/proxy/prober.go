package proxy

import (
	"context"
	"net"
	"sync/atomic"
)

// Ask makes one request over a connection, which the far end must answer, and returns when ctx
// ends.
type Ask func(ctx context.Context, conn net.Conn) error

// Dial makes a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Prober probes the edge of a proxy, through it and past it.
type Prober struct {
	proxy *Proxy
	ask   Ask
	dial  Dial
}

// Prober gives what probes the edge. What it sends through the proxy is counted as the harness's
// own. dial may be nil.
func (p *Proxy) Prober(ask Ask, dial Dial) Prober {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return Prober{p, ask, dial}
}

// Through makes one request through the proxy.
func (p Prober) Through(ctx context.Context) error {
	conn, err := p.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return p.ask(ctx, conn)
}

// Past makes one request past the proxy.
func (p Prober) Past(ctx context.Context) error {
	conn, err := p.dial(ctx, "tcp", p.proxy.upstream)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return p.ask(ctx, conn)
}

// Dial opens a connection through the proxy.
func (p Prober) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := p.dial(ctx, "tcp", p.proxy.Near())
	if err != nil {
		return nil, err
	}
	return &own{conn, &p.proxy.own}, nil
}

// Ask makes one request over a connection of Dial.
func (p Prober) Ask(ctx context.Context, conn net.Conn) error { return p.ask(ctx, conn) }

// own is a connection of the harness's.
type own struct {
	net.Conn
	sent *atomic.Int64
}

// Write implements [net.Conn].
func (c *own) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b))) // before they can be seen
	return c.Conn.Write(b)
}
