package traffic

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBothWaysOfEveryConnectionAreCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var c Counter
	dial := c.Dial((&net.Dialer{}).DialContext)
	for n := range int64(2) {
		conn, err := dial(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		other, err := l.Accept()
		require.NoError(t, err)
		_, err = conn.Write(make([]byte, 100))
		require.NoError(t, err)
		_, err = io.ReadFull(other, make([]byte, 100))
		require.NoError(t, err)
		_, err = other.Write(make([]byte, 23))
		require.NoError(t, err)
		require.NoError(t, other.Close())
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Len(t, got, 23)
		require.NoError(t, conn.Close())
		require.Equal(t, (n+1)*123, c.Bytes())
	}
}

func TestWhatIsNotDialledIsAnError(t *testing.T) {
	var c Counter
	away := errors.New("away")
	_, err := c.Dial(func(context.Context, string, string) (net.Conn, error) { return nil, away })(t.Context(), "tcp", "x:1")
	require.ErrorIs(t, err, away)
}
