// Package gate stands in front of every connection that a drill makes of its own: none leads to a
// host that the suite does not allow, whatever a name resolves to at that moment.
package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrRefused is wrapped by the errors of connections that were not made, because they would have
// led to a host that is not allowed.
var ErrRefused = errors.New("not allowed by the suite (safety: {allow: [...]})")

// Gate lets connections be made to this machine's loopback interface, to sockets in its file
// system, and to the hosts that it was made for. An allowed name stands for the addresses that it
// had when it was first looked up: one that it gets later is another host. The zero Gate lets
// nothing out of this machine.
type Gate struct {
	names    []string // allowed ones
	prefixes []netip.Prefix

	mu      sync.Mutex
	pinned  map[string][]netip.Addr // the addresses of allowed names
	refused int
	first   string
}

// New makes a gate. What is allowed are names, addresses, and ranges of addresses (10.0.0.0/8).
func New(allow ...string) *Gate {
	g := &Gate{pinned: map[string][]netip.Addr{}}
	for _, a := range allow {
		g.allow(a)
	}
	return g
}

func (g *Gate) allow(what string) {
	what = strings.Trim(what, "[]")
	if p, err := netip.ParsePrefix(what); err == nil {
		g.prefixes = append(g.prefixes, p.Masked())
		return
	}
	if ip, err := netip.ParseAddr(what); err == nil {
		ip = ip.Unmap().WithZone("")
		g.prefixes = append(g.prefixes, netip.PrefixFrom(ip, ip.BitLen()))
		return
	}
	g.names = append(g.names, canonical(what))
}

// canonical is a name as it is compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Permits reports whether a host, a name or an address, is allowed as it stands. Names are not
// looked up.
func (g *Gate) Permits(host string) bool {
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.permits(ip)
	}
	name := canonical(host)
	return name == "localhost" || slices.Contains(g.names, name)
}

// permits reports whether an address is allowed by itself.
func (g *Gate) permits(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return ip.IsLoopback() || slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// DialContext is [net.Dialer.DialContext] for hosts that are allowed. Of others the error wraps
// [ErrRefused], and nothing is sent to them.
func (g *Gate) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return g.Dialer(0).dial(ctx, network, addr)
}

// Dialer makes connections, each within a limit; 0 = none.
func (g *Gate) Dialer(limit time.Duration) Dialer { return Dialer{g, limit} }

// Dialer makes connections through a gate.
type Dialer struct {
	gate  *Gate
	limit time.Duration
}

// DialContext is that of [Gate].
func (d Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.dial(ctx, network, addr)
}

func (d Dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := d.gate.knows(ctx, network, addr); err != nil {
		return nil, err
	}
	own := net.Dialer{Timeout: d.limit, KeepAlive: 15 * time.Second}
	own.ControlContext = func(_ context.Context, network, resolved string, _ syscall.RawConn) error {
		return d.gate.check(network, addr, resolved)
	}
	return own.DialContext(ctx, network, addr)
}

// knows refuses hosts that are not allowed as they stand, before they are looked up, and looks up
// an allowed name the first time.
func (g *Gate) knows(ctx context.Context, network, addr string) error {
	if network == "unix" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if !g.Permits(host) {
		return g.refuse(fmt.Sprintf("%s is not on this machine", host))
	}
	name := canonical(host)
	if !slices.Contains(g.names, name) {
		return nil
	}
	g.mu.Lock()
	_, done := g.pinned[name]
	g.mu.Unlock()
	if done {
		return nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return &net.OpError{Op: "dial", Net: network, Err: err}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, done := g.pinned[name]; !done {
		for i := range found {
			found[i] = found[i].Unmap().WithZone("")
		}
		g.pinned[name] = found
	}
	return nil
}

// check refuses an address that what was asked for has become.
func (g *Gate) check(network, asked, resolved string) error {
	if strings.HasPrefix(network, "unix") {
		return nil
	}
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return g.refuse(fmt.Sprintf("%s is no address", resolved))
	}
	ip := at.Addr().Unmap().WithZone("")
	if g.permits(ip) {
		return nil
	}
	host, _, _ := net.SplitHostPort(asked)
	g.mu.Lock()
	had := g.pinned[canonical(host)]
	g.mu.Unlock()
	switch {
	case slices.Contains(had, ip):
		return nil
	case len(had) > 0:
		return g.refuse(fmt.Sprintf("%s was %s when it was looked up first, and is %s now", host, had[0], ip))
	}
	return g.refuse(fmt.Sprintf("%s is %s, which is not on this machine", host, ip))
}

func (g *Gate) refuse(why string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused++; g.refused == 1 {
		g.first = why
	}
	return fmt.Errorf("%s: %w", why, ErrRefused)
}

// Refused counts the connections that were not made, and says why the first was not.
func (g *Gate) Refused() (n int, first string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused, g.first
}

const tryLimit = time.Second // of a connection that shows which of several addresses is meant

// Resolve gives host:port with the address in the place of a name, for a program of ours that makes
// connections by itself: an allowed one, and the first that can be connected to, if any can.
func (g *Gate) Resolve(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if err := g.knows(ctx, "tcp", addr); err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return addr, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", err
	}
	var may []string
	for _, ip := range found {
		at := net.JoinHostPort(ip.Unmap().String(), port)
		if err = g.check("tcp", addr, at); err == nil {
			may = append(may, at)
		}
	}
	if len(may) == 0 {
		return "", err
	}
	for _, at := range may {
		if len(may) == 1 {
			break
		}
		conn, err := g.Dialer(tryLimit).DialContext(ctx, "tcp", at)
		if err == nil {
			return at, conn.Close()
		}
	}
	return may[0], nil
}
