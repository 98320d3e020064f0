package proxy

import (
	"context"
	"net"
)

// Prober probes the edge of a proxy, through it and past it.
type Prober struct {
	proxy   *Proxy
	request func(ctx context.Context, addr string) error
}

// Prober gives what probes the edge. request makes one request over a new connection to addr, which
// the far end must answer, and returns when ctx ends.
func (p *Proxy) Prober(request func(ctx context.Context, addr string) error) Prober {
	return Prober{p, request}
}

// Through makes one request through the proxy.
func (p Prober) Through(ctx context.Context) error { return p.request(ctx, p.proxy.listen) }

// Past makes one request past the proxy.
func (p Prober) Past(ctx context.Context) error { return p.request(ctx, p.proxy.upstream) }

// Dial opens a connection through the proxy.
func (p Prober) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", p.proxy.listen)
}
