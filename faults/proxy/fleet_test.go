package proxy

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

	"github.com/cachedrill/cachedrill/faults/link"
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

func start(t *testing.T, edges ...Spec) *Fleet {
	t.Helper()
	fl, err := Start(within(t), "test", edges)
	require.NoError(t, err)
	t.Cleanup(fl.Close)
	return fl
}

// process is the child that lives now.
func process(t *testing.T, fl *Fleet) *reexec.Process {
	t.Helper()
	require.NoError(t, fl.take(within(t)))
	defer func() { <-fl.turn }()
	return fl.proc
}

// me is the owner of what tests ask proxies for.
const me = "me"

func TestProxies(t *testing.T) {
	ctx := within(t)
	upstream := echo(t)
	fl := start(t, Spec{Name: "worker@eu -> redis@eu", Upstream: upstream}, Spec{Name: "other/edge?", Upstream: upstream})
	p, other := fl.Proxy("worker@eu -> redis@eu"), fl.Proxy("other/edge?")
	require.Nil(t, fl.Proxy("no such edge"))
	require.NotEqual(t, p.Listen(), other.Listen())
	require.NoError(t, ask(ctx, p.Listen()))
	open, err := net.Dial("tcp", p.Listen())
	require.NoError(t, err)
	defer func() { _ = open.Close() }()
	require.NoError(t, askOn(open))

	require.NoError(t, p.Apply(ctx, me, link.Mode{Kind: link.Blackhole}))
	require.NoError(t, p.Apply(ctx, me, link.Mode{Kind: link.Blackhole}), "again changes nothing")
	silentWithin(t, p.Listen())
	require.NoError(t, open.SetDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, askOn(open), os.ErrDeadlineExceeded, "connections that were open before are cut off too")
	require.NoError(t, ask(ctx, other.Listen()), "the other edge is not")

	require.NoError(t, p.Clear(ctx, me))
	require.NoError(t, p.Clear(ctx, me), "again changes nothing")
	require.NoError(t, ask(ctx, p.Listen()))
	require.Empty(t, fl.Restarts())
}

func TestProxyStallDeliversAfterRestore(t *testing.T) {
	ctx := within(t)
	p := start(t, Spec{Name: "e", Upstream: echo(t)}).Proxy("e")
	c, err := net.Dial("tcp", p.Listen())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, askOn(c))
	require.NoError(t, p.Apply(ctx, me, link.Mode{Kind: link.Stall}))
	require.NoError(t, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, askOn(c), os.ErrDeadlineExceeded)
	require.NoError(t, p.Clear(ctx, me))
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	got := make([]byte, 5)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got), "what was sent under the stall arrives after it")
	require.Empty(t, p.fleet.Restarts())
}

// A toxic whose removal hangs for ever hangs the whole API; so does a stopped process.
func TestProxiesThatHangAreStartedAnewOnTheSamePorts(t *testing.T) {
	ctx := within(t)
	upstream := echo(t)
	fl := start(t, Spec{Name: "healed", Upstream: upstream}, Spec{Name: "faulty", Upstream: upstream}, Spec{Name: "sound", Upstream: upstream},
		Spec{Name: "refusing", Upstream: upstream})
	refusing := fl.Proxy("refusing")
	require.NoError(t, refusing.Apply(ctx, me, link.Mode{Kind: link.Refuse}, link.Mode{Kind: link.Reset}))
	healed, faulty, sound := fl.Proxy("healed"), fl.Proxy("faulty"), fl.Proxy("sound")
	ports := []string{healed.Listen(), faulty.Listen(), sound.Listen()}
	require.NoError(t, healed.Apply(ctx, me, link.Mode{Kind: link.Blackhole}))
	require.NoError(t, faulty.Apply(ctx, me, link.Mode{Kind: link.Blackhole}))
	hung := process(t, fl)
	require.NoError(t, syscall.Kill(hung.PID(), syscall.SIGSTOP))

	require.NoError(t, healed.Clear(ctx, me))
	require.Equal(t, ports, []string{healed.Listen(), faulty.Listen(), sound.Listen()})
	require.NoError(t, ask(ctx, healed.Listen()))
	require.NoError(t, ask(ctx, sound.Listen()))
	silentWithin(t, faulty.Listen())
	require.ErrorIs(t, ask(ctx, refusing.Listen()), syscall.ECONNREFUSED)
	require.Len(t, fl.Restarts(), 1)
	require.Contains(t, fl.Restarts()[0].Why, "restoring on healed: no answer from the proxies' API")
	require.WithinDuration(t, time.Now(), fl.Restarts()[0].At, 20*time.Second)
	select {
	case <-hung.Done():
	default:
		t.Fatal("the old process is still there")
	}
	require.NoError(t, faulty.Clear(ctx, me))
	require.NoError(t, ask(ctx, faulty.Listen()))
	require.NoError(t, refusing.Apply(ctx, me, link.Mode{Kind: link.Reset}))
	require.ErrorIs(t, ask(ctx, refusing.Listen()), syscall.ECONNRESET, "also one that began while it refused")
	require.NoError(t, refusing.Clear(ctx, me))
	require.NoError(t, ask(ctx, refusing.Listen()))
}

func TestProxiesThatDieAreStartedAnew(t *testing.T) {
	ctx := within(t)
	fl := start(t, Spec{Name: "sound", Upstream: echo(t)}, Spec{Name: "faulty", Upstream: echo(t)})
	require.NoError(t, fl.Proxy("faulty").Apply(ctx, me, link.Mode{Kind: link.Blackhole}))
	require.NoError(t, syscall.Kill(process(t, fl).PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(fl.Restarts()) == 1 }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "their process ended by itself", fl.Restarts()[0].Why)
	require.NoError(t, ask(ctx, fl.Proxy("sound").Listen()))
	silentWithin(t, fl.Proxy("faulty").Listen())
}

func TestProxiesConcurrently(t *testing.T) {
	ctx := within(t)
	fl := start(t, Spec{Name: "a", Upstream: echo(t)}, Spec{Name: "b", Upstream: echo(t)})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := fl.Proxy([]string{"a", "b"}[i%2])
			for _, do := range []func(context.Context) error{
				func(ctx context.Context) error { return p.Apply(ctx, i, link.Mode{Kind: link.Blackhole}) },
				func(ctx context.Context) error { return p.Apply(ctx, i, link.Mode{Kind: link.Stall}) },
				func(ctx context.Context) error { return p.Clear(ctx, i) },
			} {
				if err := do(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, fl.Proxy(name).Clear(ctx, me))
		require.NoError(t, ask(ctx, fl.Proxy(name).Listen()))
	}
	require.Empty(t, fl.Restarts())
}

func TestProxiesClose(t *testing.T) {
	fl := start(t, Spec{Name: "e", Upstream: echo(t)})
	proc := process(t, fl)
	fl.Close()
	fl.Close()
	select {
	case <-proc.Done():
	default:
		t.Fatal("the process is still there")
	}
	require.ErrorIs(t, fl.Proxy("e").Apply(within(t), me, link.Mode{Kind: link.Blackhole}), errClosed)
	require.ErrorIs(t, ask(within(t), fl.Proxy("e").Listen()), syscall.ECONNREFUSED)
	require.Empty(t, fl.Restarts(), "a process that was closed is not missed")
}

func TestStartRefuses(t *testing.T) {
	for name, edges := range map[string][]Spec{
		"no name":     {{Upstream: "127.0.0.1:1"}},
		"no upstream": {{Name: "a"}},
		"same name":   {{Name: "a", Upstream: "127.0.0.1:1"}, {Name: "a", Upstream: "127.0.0.1:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(within(t), "test", edges)
			require.ErrorContains(t, err, "needs an upstream and a name of its own")
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(gone, "test", []Spec{{Name: "a", Upstream: "127.0.0.1:1"}})
	require.ErrorIs(t, err, context.Canceled)
}

// A bandwidth is nothing that a suite can ask for, and is there for programs.
func TestBandwidth(t *testing.T) {
	p := start(t, Spec{Name: "e", Upstream: echo(t)}).Proxy("e")
	c, err := net.Dial("tcp", p.Listen())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	require.NoError(t, p.Apply(within(t), me, link.Mode{Kind: link.Bandwidth, Direction: link.Up, Rate: 50}))
	require.NoError(t, p.Apply(within(t), "another", link.Mode{Kind: link.Bandwidth, Rate: 1000})) // the lower one holds
	began := time.Now()
	_, err = c.Write(make([]byte, 15))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 15))
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 290*time.Millisecond)
	require.NoError(t, p.Clear(within(t), me))
}

func TestProxiesListenAtTheGivenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := l.Addr().String()
	_, err = Start(within(t), "test", []Spec{{Name: "e", Upstream: "127.0.0.1:1", Listen: at}})
	require.ErrorContains(t, err, "making the proxy of e: "+at+" is taken: something else listens there; end that, or have the edge listen elsewhere")
	require.NoError(t, l.Close())
	fl := start(t, Spec{Name: "e", Upstream: echo(t), Listen: at})
	require.Equal(t, at, fl.Proxy("e").Listen())
	require.NoError(t, ask(within(t), at))
	for _, bad := range []string{"6379", "127.0.0.1:0", "127.0.0.1:"} {
		_, err = Start(within(t), "test", []Spec{{Name: "e", Upstream: "127.0.0.1:1", Listen: bad}})
		require.ErrorContains(t, err, "write host:port, or leave it out for a free port")
	}
}
