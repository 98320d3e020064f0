package habits

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// Network is a network in memory, by address. In a bubble of testing/synctest, time goes on while
// its connections wait, as it would not with sockets.
type Network struct {
	mu        sync.Mutex
	listeners map[string][]*listener
	dialled   map[string]int
	serving   sync.WaitGroup
	servers   []*http.Server
}

// Serve has a handler answer at an address. Handlers of one address take turns, connection by
// connection.
func (n *Network) Serve(address string, h http.Handler) {
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners, n.dialled = map[string][]*listener{}, map[string]int{}
	}
	n.listeners[address] = append(n.listeners[address], l)
	n.servers = append(n.servers, s)
	n.serving.Go(func() { _ = s.Serve(l) })
}

// Dial connects to an address.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	var l *listener
	if all := n.listeners[address]; len(all) > 0 {
		l = all[n.dialled[address]%len(all)]
		n.dialled[address]++
	}
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.ECONNREFUSED)}
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.ECONNREFUSED)}
	}
}

// Close ends all servers.
func (n *Network) Close() {
	for _, s := range n.servers {
		_ = s.Close()
	}
	n.serving.Wait()
}

// listener takes the connections to an address. It implements [net.Listener].
type listener struct {
	address string
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return memory(l.address) }

// memory is an address in a [Network].
type memory string

// Network implements [net.Addr].
func (memory) Network() string { return "memory" }

// String implements [net.Addr].
func (m memory) String() string { return string(m) }
