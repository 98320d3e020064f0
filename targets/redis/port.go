package redis

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

const lowestPort = 10240

// freePort picks a port of 127.0.0.1 at random that is free now. It stays outside the range from
// which the kernel takes the ports of outgoing connections where that leaves room: a port must be
// had again after a restart, and while its server is down some client's connection could sit on it
// (or, dialled again and again, connect to itself).
func freePort() (int, error) {
	low, high := portsBesides(os.ReadFile)
	for range 50 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp4", loopback(port))
		if err == nil {
			return port, l.Close()
		}
	}
	l, err := net.Listen("tcp4", loopback(0))
	if err != nil {
		return 0, fmt.Errorf("finding a free loopback port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// portsBesides gives the larger range [low, high) of unprivileged ports besides the ephemeral ones,
// or Linux's default of it where the system doesn't tell or its ephemeral ports leave less than
// 1,000.
func portsBesides(read func(string) ([]byte, error)) (low, high int) {
	first, last := 32768, 60999
	if b, err := read("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(b), &first, &last)
	}
	below, above := first-lowestPort, 65535-last
	switch {
	case below >= above && below >= 1000:
		return lowestPort, first
	case above >= 1000:
		return last + 1, 65536
	}
	return lowestPort, 32768
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
