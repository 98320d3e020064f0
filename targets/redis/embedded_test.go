package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEmbeddedSaysWhatItCannotDo(t *testing.T) {
	n, ctx := started(t, Embedded), soon(t)
	for _, f := range []func(context.Context) error{n.Pause, n.Resume} {
		err := f(ctx)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "redis@test: the embedded backend")
	}
	require.NoError(t, n.Client().Ping(ctx).Err())
}

func TestEmbeddedIncarnationsAreNumbered(t *testing.T) {
	n, ctx := started(t, Embedded), soon(t)
	for _, want := range []string{"embedded-1", "embedded-2", "embedded-3"} {
		id, err := n.Identity(ctx)
		require.NoError(t, err)
		require.Equal(t, want, id.RunID)
		require.NoError(t, n.Kill(ctx))
		require.NoError(t, n.Start(ctx))
	}
}

func TestStopOfAnEmbeddedServerThatIsBusyHonoursItsDeadlineAndCanBeRepeated(t *testing.T) {
	n, ctx := started(t, Embedded), soon(t)
	cur, _ := n.current()
	e := cur.(*embedded)
	e.mini.Lock() // as a long script would
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	served := e.srv.TotalCommands()
	c, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("*1\r\n$4\r\nPING\r\n"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return e.srv.TotalCommands() > served }, 20*time.Second, time.Millisecond)
	require.ErrorIs(t, n.Stop(short), context.DeadlineExceeded)
	refused(t, n.Addr())
	e.mini.Unlock()
	require.NoError(t, n.Stop(ctx))
	require.NoError(t, n.Start(ctx))
}

func BenchmarkTick(b *testing.B) {
	s, err := launchEmbedded(context.Background(), 0, 1)
	require.NoError(b, err)
	defer s.stop(context.Background())
	e := s.(*embedded)
	for i := range 5000 {
		require.NoError(b, e.mini.Set(fmt.Sprintf("tenant:t%d:product:%d:v1", i%7, i), "v"))
	}
	for b.Loop() {
		e.mini.FastForward(time.Microsecond)
	}
}
