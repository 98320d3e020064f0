package environment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
)

// probes see whether a server of a protocol answers at an address, over a new connection. Any
// answer will do: that it is asked for a password is one.
var probes = map[string]func(ctx context.Context, addr string) error{
	"redis":     exchangeOf("*1\r\n$4\r\nPING\r\n"),
	"postgres":  exchangeOf("\x00\x00\x00\x08\x04\xd2\x16\x2f"), // may I speak TLS?
	"mysql":     exchangeOf(""),                                 // the server speaks first
	"memcached": exchangeOf("version\r\n"),
	"http":      probeAnyHTTP,
}

// exchangeOf says something, and waits for the first byte of an answer.
func exchangeOf(ask string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		if _, err := io.WriteString(conn, ask); err != nil {
			return err
		}
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("no answer: %w", err)
		}
		return nil
	}
}

func probeAnyHTTP(ctx context.Context, addr string) error {
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	res, err := (&nethttp.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
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
