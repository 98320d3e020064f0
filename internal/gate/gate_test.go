package gate

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatAGatePermits(t *testing.T) {
	g := New("shop.test", "10.0.0.0/8", "192.0.2.7", "2001:db8::1")
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"shop.test": true, "SHOP.test.": true, "10.1.2.3": true, "::ffff:10.1.2.3": true, "192.0.2.7": true, "2001:db8::1": true,
		"shop.test.evil": false, "evil": false, "192.0.2.8": false, "11.0.0.1": false, "0.0.0.0": false, "169.254.169.254": false, "": false,
	} {
		require.Equal(t, want, g.Permits(host), host)
	}
}

// What a name has become decides, and not the name.
func TestAGateLooksAtTheAddressThatIsDialled(t *testing.T) {
	g := New("shop.test")
	g.pinned["shop.test"] = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	require.NoError(t, g.check("tcp4", "shop.test:80", "192.0.2.7:80"))
	require.NoError(t, g.check("tcp4", "localhost:80", "127.0.0.1:80"))
	err := g.check("tcp4", "shop.test:80", "192.0.2.8:80")
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "shop.test was 192.0.2.7 when it was looked up first, and is 192.0.2.8 now")
	require.ErrorIs(t, g.check("tcp4", "localhost:80", "192.0.2.8:80"), ErrRefused, "a resolver that lies")
	n, first := g.Refused()
	require.Equal(t, 2, n)
	require.Contains(t, first, "shop.test was")
}

func TestAGateRefusesBeforeItDials(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	g := New()
	for _, addr := range []string{"127.0.0.1:" + port, "localhost:" + port} {
		conn, err := g.DialContext(t.Context(), "tcp4", addr)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		at, err := g.Resolve(t.Context(), addr)
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:"+port, at)
	}
	for _, addr := range []string{"192.0.2.1:80", "shop.test:80"} {
		_, err := g.DialContext(context.Background(), "tcp", addr)
		require.ErrorIs(t, err, ErrRefused)
		_, err = g.Resolve(t.Context(), addr)
		require.ErrorIs(t, err, ErrRefused)
	}
}
