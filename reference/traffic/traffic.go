// Package traffic counts the bytes of network connections where they are dialled: what two ends say
// to each other, as it is on the wire above TCP, encryption included.
package traffic

import (
	"context"
	"net"
	"sync/atomic"
)

// Counter counts the bytes of all connections that were dialled through it, both ways together. The
// zero value is ready, and safe for concurrent use.
type Counter struct{ bytes atomic.Int64 }

// Bytes is how many there were so far.
func (c *Counter) Bytes() int64 { return c.bytes.Load() }

// DialFunc is how connections are made; [net.Dialer.DialContext] is one.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial gives a DialFunc whose connections are counted.
func (c *Counter) Dial(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return counted{conn, c}, nil
	}
}

type counted struct {
	net.Conn
	by *Counter
}

// Read implements [net.Conn].
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.by.bytes.Add(int64(n))
	return n, err
}

// Write implements [net.Conn].
func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.by.bytes.Add(int64(n))
	return n, err
}
