package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

// echo is a server that sends back what it gets. It ends with the test.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// ask sends a word over a new connection and wants it back.
func ask(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	return askOn(c)
}

func askOn(c net.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != "hello" {
		return errors.New("another answer: " + string(got))
	}
	return nil
}

func silentWithin(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, ask(ctx, addr), os.ErrDeadlineExceeded)
}

func startProxies(t *testing.T, edges ...EdgeSpec) *Proxies {
	t.Helper()
	ps, err := StartProxies(within(t), "test", edges)
	require.NoError(t, err)
	t.Cleanup(ps.Close)
	return ps
}

// process is the child that lives now.
func process(t *testing.T, ps *Proxies) *reexec.Process {
	t.Helper()
	require.NoError(t, ps.take(within(t)))
	defer func() { <-ps.turn }()
	return ps.proc
}

// me is who asks proxies for something in tests.
const me = "me"

func TestProxies(t *testing.T) {
	ctx := within(t)
	upstream := echo(t)
	ps := startProxies(t, EdgeSpec{Name: "worker@eu -> redis@eu", Upstream: upstream}, EdgeSpec{Name: "other/edge?", Upstream: upstream})
	p, other := ps.Proxy("worker@eu -> redis@eu"), ps.Proxy("other/edge?")
	require.Nil(t, ps.Proxy("no such edge"))
	require.NotEqual(t, p.Listen(), other.Listen())
	require.NoError(t, ask(ctx, p.Listen()))
	open, err := net.Dial("tcp", p.Listen())
	require.NoError(t, err)
	defer func() { _ = open.Close() }()
	require.NoError(t, askOn(open))

	require.NoError(t, p.Ask(ctx, me, Mode{Kind: Blackhole}))
	require.NoError(t, p.Ask(ctx, me, Mode{Kind: Blackhole}), "again changes nothing")
	silentWithin(t, p.Listen())
	require.NoError(t, open.SetDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, askOn(open), os.ErrDeadlineExceeded, "connections that were open before are cut off too")
	require.NoError(t, ask(ctx, other.Listen()), "the other edge is not")

	require.NoError(t, p.Release(ctx, me))
	require.NoError(t, p.Release(ctx, me), "again changes nothing")
	require.NoError(t, ask(ctx, p.Listen()))
	require.Empty(t, ps.Restarts())
}

func TestProxyStallDeliversAfterRestore(t *testing.T) {
	ctx := within(t)
	p := startProxies(t, EdgeSpec{Name: "e", Upstream: echo(t)}).Proxy("e")
	c, err := net.Dial("tcp", p.Listen())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, askOn(c))
	require.NoError(t, p.Ask(ctx, me, Mode{Kind: Stall}))
	require.NoError(t, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, askOn(c), os.ErrDeadlineExceeded)
	require.NoError(t, p.Release(ctx, me))
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	got := make([]byte, 5)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got), "what was sent under the stall arrives after it")
	require.Empty(t, p.owner.Restarts())
}

// A toxic whose removal hangs for ever hangs the whole API; so does a stopped process.
func TestProxiesThatHangAreStartedAnewOnTheSamePorts(t *testing.T) {
	ctx := within(t)
	upstream := echo(t)
	ps := startProxies(t, EdgeSpec{Name: "healed", Upstream: upstream}, EdgeSpec{Name: "faulty", Upstream: upstream}, EdgeSpec{Name: "sound", Upstream: upstream},
		EdgeSpec{Name: "refusing", Upstream: upstream})
	refusing := ps.Proxy("refusing")
	require.NoError(t, refusing.Ask(ctx, me, Mode{Kind: Refuse}, Mode{Kind: Reset}))
	healed, faulty, sound := ps.Proxy("healed"), ps.Proxy("faulty"), ps.Proxy("sound")
	ports := []string{healed.Listen(), faulty.Listen(), sound.Listen()}
	require.NoError(t, healed.Ask(ctx, me, Mode{Kind: Blackhole}))
	require.NoError(t, faulty.Ask(ctx, me, Mode{Kind: Blackhole}))
	hung := process(t, ps)
	require.NoError(t, syscall.Kill(hung.PID(), syscall.SIGSTOP))

	require.NoError(t, healed.Release(ctx, me))
	require.Equal(t, ports, []string{healed.Listen(), faulty.Listen(), sound.Listen()})
	require.NoError(t, ask(ctx, healed.Listen()))
	require.NoError(t, ask(ctx, sound.Listen()))
	silentWithin(t, faulty.Listen())
	require.ErrorIs(t, ask(ctx, refusing.Listen()), syscall.ECONNREFUSED)
	require.Len(t, ps.Restarts(), 1)
	require.Contains(t, ps.Restarts()[0].Why, "restoring on healed: no answer from the proxies' API")
	require.WithinDuration(t, time.Now(), ps.Restarts()[0].At, 20*time.Second)
	select {
	case <-hung.Done():
	default:
		t.Fatal("the old process is still there")
	}
	require.NoError(t, faulty.Release(ctx, me))
	require.NoError(t, ask(ctx, faulty.Listen()))
	require.NoError(t, refusing.Ask(ctx, me, Mode{Kind: Reset}))
	require.ErrorIs(t, ask(ctx, refusing.Listen()), syscall.ECONNRESET, "also one that began while it refused")
	require.NoError(t, refusing.Release(ctx, me))
	require.NoError(t, ask(ctx, refusing.Listen()))
}

func TestProxiesThatDieAreStartedAnew(t *testing.T) {
	ctx := within(t)
	ps := startProxies(t, EdgeSpec{Name: "sound", Upstream: echo(t)}, EdgeSpec{Name: "faulty", Upstream: echo(t)})
	require.NoError(t, ps.Proxy("faulty").Ask(ctx, me, Mode{Kind: Blackhole}))
	require.NoError(t, syscall.Kill(process(t, ps).PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(ps.Restarts()) == 1 }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "their process ended by itself", ps.Restarts()[0].Why)
	require.NoError(t, ask(ctx, ps.Proxy("sound").Listen()))
	silentWithin(t, ps.Proxy("faulty").Listen())
}

func TestProxiesConcurrently(t *testing.T) {
	ctx := within(t)
	ps := startProxies(t, EdgeSpec{Name: "a", Upstream: echo(t)}, EdgeSpec{Name: "b", Upstream: echo(t)})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := ps.Proxy([]string{"a", "b"}[i%2])
			for _, do := range []func(context.Context) error{
				func(ctx context.Context) error { return p.Ask(ctx, i, Mode{Kind: Blackhole}) },
				func(ctx context.Context) error { return p.Ask(ctx, i, Mode{Kind: Stall}) },
				func(ctx context.Context) error { return p.Release(ctx, i) },
			} {
				if err := do(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, ps.Proxy(name).Release(ctx, me))
		require.NoError(t, ask(ctx, ps.Proxy(name).Listen()))
	}
	require.Empty(t, ps.Restarts())
}

func TestProxiesClose(t *testing.T) {
	ps := startProxies(t, EdgeSpec{Name: "e", Upstream: echo(t)})
	proc := process(t, ps)
	ps.Close()
	ps.Close()
	select {
	case <-proc.Done():
	default:
		t.Fatal("the process is still there")
	}
	require.ErrorIs(t, ps.Proxy("e").Ask(within(t), me, Mode{Kind: Blackhole}), errClosed)
	require.ErrorIs(t, ask(within(t), ps.Proxy("e").Listen()), syscall.ECONNREFUSED)
	require.Empty(t, ps.Restarts(), "a process that was closed is not missed")
}

func TestStartProxiesRefuses(t *testing.T) {
	for name, edges := range map[string][]EdgeSpec{
		"no name":     {{Upstream: "127.0.0.1:1"}},
		"no upstream": {{Name: "a"}},
		"same name":   {{Name: "a", Upstream: "127.0.0.1:1"}, {Name: "a", Upstream: "127.0.0.1:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := StartProxies(within(t), "test", edges)
			require.ErrorContains(t, err, "needs an upstream and a name of its own")
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := StartProxies(gone, "test", []EdgeSpec{{Name: "a", Upstream: "127.0.0.1:1"}})
	require.ErrorIs(t, err, context.Canceled)
}
