package environment

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"time"

	"github.com/cachedrill/cachedrill/faults/proxy"
)

// probes see whether a server of a protocol answers over a new connection. Any answer will do: that
// it is asked for a password is one.
var probes = map[string]proxy.Ask{
	"redis":     exchangeOf("*1\r\n$4\r\nPING\r\n"),
	"postgres":  exchangeOf("\x00\x00\x00\x08\x04\xd2\x16\x2f"), // may I speak TLS?
	"mysql":     exchangeOf(""),                                 // the server speaks first
	"memcached": exchangeOf("version\r\n"),
	"http":      func(ctx context.Context, conn net.Conn) error { _, err := askHTTP(ctx, conn, "/"); return err },
}

// exchangeOf says something, and waits for the first bytes of an answer.
func exchangeOf(ask string) proxy.Ask {
	return func(ctx context.Context, conn net.Conn) error {
		defer hurry(ctx, conn)()
		if _, err := io.WriteString(conn, ask); err != nil {
			return err
		}
		var b [512]byte // more than an answer is, so that none of it is taken for the next one
		if _, err := conn.Read(b[:]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("no answer: %w", err)
		}
		return nil
	}
}

// askHTTP makes a GET over a connection, which goes on afterwards.
func askHTTP(ctx context.Context, conn net.Conn, path string) (*nethttp.Response, error) {
	defer hurry(ctx, conn)()
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, "http://"+conn.RemoteAddr().String()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "cachedrill")
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	res, err := nethttp.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res, errors.Join(err, res.Body.Close())
}

// hurry ends what is under way on a connection when ctx ends, until it is called off.
func hurry(ctx context.Context, conn net.Conn) (off func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	return func() { stop() }
}

// hostPort is where a URL leads.
func hostPort(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	port := u.Port()
	switch {
	case u.Hostname() == "":
		return "", errors.New("no host in " + base)
	case port != "":
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "redis" || u.Scheme == "rediss":
		port = "6379"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
