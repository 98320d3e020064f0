// Package querycount counts reads that pass by on their way to a source: requests of HTTP, or
// queries of PostgreSQL. It stands between a proxy and its upstream, changes nothing, and
// understands no more than it must.
package querycount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Protocols are those whose reads can be counted.
var Protocols = []string{"http", "postgres"}

const dialLimit = 5 * time.Second

// Counter is a listener on a free port of this machine that leads to an upstream.
type Counter struct {
	listener net.Listener
	upstream string
	dial     Dial
	reads    atomic.Int64
	blind    atomic.Int64 // connections that could not be followed
	done     sync.WaitGroup

	web *http.Server // of HTTP

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// Dial makes a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// New starts a counter in front of an upstream, host:port, to which it makes its connections by
// dial.
func New(protocol, upstream string, dial Dial) (*Counter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening to count reads: %w", err)
	}
	c := &Counter{listener: l, upstream: upstream, dial: dial, conns: map[net.Conn]bool{}}
	switch protocol {
	case "http":
		c.serveHTTP()
	case "postgres":
		c.done.Go(c.accept)
	default:
		_ = l.Close()
		return nil, fmt.Errorf("reads of %s can't be counted", protocol)
	}
	return c, nil
}

// Addr is where it listens.
func (c *Counter) Addr() string { return c.listener.Addr().String() }

// Reads is how many have passed.
func (c *Counter) Reads() int64 { return c.reads.Load() }

// Blind is how many connections could not be followed, since they are encrypted.
func (c *Counter) Blind() int64 { return c.blind.Load() }

// Close closes every connection and waits until the last one has ended.
func (c *Counter) Close() error {
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	var err error
	if c.web != nil {
		err = c.web.Close()
	} else {
		err = c.listener.Close()
	}
	c.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// keep remembers a connection, to close it with everything; false: everything is closed already.
func (c *Counter) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *Counter) drop(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	_ = conn.Close()
}

func (c *Counter) serveHTTP() {
	transport := &http.Transport{DialContext: c.dial, DisableCompression: true, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: c.upstream})
			r.Out.Host = r.In.Host
			r.Out.URL.Path, r.Out.URL.RawPath = r.In.URL.Path, r.In.URL.RawPath
			r.Out.URL.RawQuery = r.In.URL.RawQuery // also what Go would refuse to parse
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0), // that an upstream is away is what drills are about
	}
	c.web = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: proxy.ErrorLog,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				c.reads.Add(1)
			}
			proxy.ServeHTTP(w, r)
		}),
	}
	c.done.Go(func() {
		_ = c.web.Serve(c.listener)
		transport.CloseIdleConnections()
	})
}

func (c *Counter) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		if c.keep(conn) {
			c.done.Go(func() { c.carry(conn) })
		}
	}
}

// carry leads one connection of PostgreSQL to the upstream, and listens to what the client says.
func (c *Counter) carry(client net.Conn) {
	defer c.drop(client)
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	server, err := c.dial(ctx, "tcp", c.upstream)
	cancel()
	if err != nil || !c.keep(server) {
		return
	}
	defer c.drop(server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close() // a half-closed connection of PostgreSQL is of no use
	})
	ear := &postgres{read: func() { c.reads.Add(1) }, blind: func() { c.blind.Add(1) }}
	_, _ = io.Copy(server, io.TeeReader(client, ear))
	_ = server.Close()
	back.Wait()
}
