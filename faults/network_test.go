package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/pause"
)

// twoEdges is a site with an edge to the source and one to a Redis.
func twoEdges(t *testing.T) (Site, *proxy.Fleet) {
	upstream := echo(t)
	ps := startProxies(t, proxy.Spec{Name: "worker@eu -> redis@eu", Upstream: upstream}, proxy.Spec{Name: "source", Upstream: upstream})
	s := Site{Edges: map[string]Edge{}, SourceEdges: []string{"source"}}
	for _, name := range []string{"worker@eu -> redis@eu", "source"} {
		s.Edges[name] = edgeOf(ps.Proxy(name), upstream, ask)
	}
	return s, ps
}

func on(k link.Kind, edges ...string) Network {
	f := Network{Mode: link.Mode{Kind: k}, Edges: edges, For: time.Second}
	if k == link.Latency {
		f.Mode.By = 60 * time.Millisecond
	}
	return f
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	require.NoError(t, askOn(c))
	return c
}

// What a client meets under each fault, over a new connection and over one that was open before.
func TestNetwork(t *testing.T) {
	timeout := func(t *testing.T, err error) { require.ErrorIs(t, err, os.ErrDeadlineExceeded) }
	reset := func(t *testing.T, err error) {
		require.True(t, err != nil && (isReset(err)), "%v", err)
	}
	for _, c := range []struct {
		kind       link.Kind
		dirs       []link.Direction
		fresh, old func(t *testing.T, err error)
		evidence   string
	}{
		{link.Blackhole, []link.Direction{link.Both, link.Up, link.Down}, timeout, timeout,
			"source: no answer through the proxies within 300ms, while the far end answers directly, and so until the heal; it answers through the proxies again"},
		{link.HalfOpen, []link.Direction{link.Both, link.Up, link.Down}, timeout, timeout,
			"source: no answer through the proxies within 300ms, while the far end answers directly, and so until the heal; new connections are answered again, and one that had lost bytes stayed open and silent"},
		{link.Stall, []link.Direction{link.Down}, timeout, timeout,
			"source: no answer through the proxies within 300ms, while the far end answers directly, and so until the heal; it answers through the proxies again"},
		{link.Refuse, []link.Direction{""}, func(t *testing.T, err error) { require.ErrorIs(t, err, syscall.ECONNREFUSED) },
			func(t *testing.T, err error) { require.True(t, err == io.EOF || isReset(err), "%v", err) },
			"source: connections through the proxies are refused, while the far end answers directly, and connections that were open before are cut, and so until the heal; it answers through the proxies again"},
		{link.Reset, []link.Direction{link.Both, link.Up}, reset, reset,
			"source: connections through the proxies are reset, while the far end answers directly, and connections that were open before are cut, and so until the heal; it answers through the proxies again"},
	} {
		for _, d := range c.dirs {
			t.Run(c.kind.String()+" "+string(d), func(t *testing.T) {
				t.Parallel()
				s, ps := twoEdges(t)
				old := dial(t, ps.Proxy("source").Listen())
				idle := dial(t, ps.Proxy("source").Listen())
				f := on(c.kind, "source")
				f.Mode.Direction = d
				in, err := f.Inject(within(t), s)
				require.NoError(t, err)
				require.Equal(t, time.Second, in.Hold)
				require.NotEmpty(t, in.Evidence)
				require.NoError(t, ask(within(t), ps.Proxy("worker@eu -> redis@eu").Listen()), "the other edge has nothing")
				short, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
				defer cancel()
				c.fresh(t, ask(short, ps.Proxy("source").Listen()))
				require.NoError(t, old.SetDeadline(time.Now().Add(100*time.Millisecond)))
				c.old(t, askOn(old))

				evidence, err := in.Heal(within(t))
				require.NoError(t, err)
				require.Equal(t, c.evidence, evidence)
				require.NoError(t, ask(within(t), ps.Proxy("source").Listen()))
				if c.kind == link.HalfOpen {
					require.NoError(t, old.SetDeadline(time.Now().Add(100*time.Millisecond)))
					_, err := old.Write([]byte("hello"))
					require.NoError(t, err)
					_, err = old.Read(make([]byte, 1))
					require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a connection that lost bytes is silent for ever, and is not closed")
				}
				if c.kind == link.Blackhole {
					require.NoError(t, old.SetDeadline(time.Now().Add(20*time.Second)))
					_, err := old.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF, "a connection that lost bytes does not go on")
				}
				if c.kind != link.Refuse {
					require.NoError(t, askOn(idle), "what moved nothing noticed nothing")
					require.NoError(t, idle.(*net.TCPConn).CloseWrite())
					_, err := idle.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF, "and ends in order")
				}
				require.Empty(t, ps.Restarts())
			})
		}
	}
}

func isReset(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no) && (no == syscall.ECONNRESET || no == syscall.EPIPE)
}

func TestStallDeliversAtTheHeal(t *testing.T) {
	s, ps := twoEdges(t)
	c := dial(t, ps.Proxy("source").Listen())
	in, err := on(link.Stall, "source").Inject(within(t), s)
	require.NoError(t, err)
	_, err = c.Write([]byte("given up on"))
	require.NoError(t, err)
	_, err = in.Heal(within(t))
	require.NoError(t, err)
	got := make([]byte, 11)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "given up on", string(got))
}

func TestLatency(t *testing.T) {
	for _, c := range []struct {
		fault    Fault
		least    time.Duration
		evidence string
	}{
		{on(link.Latency, "*"), 120 * time.Millisecond, `^source, worker@eu -> redis@eu: probes took at least 120ms longer through the proxies \(1[0-9.]+ms\) than past them \([0-9.]+.?s\); by the heal no longer$`},
		{Network{Mode: link.Mode{Kind: link.Latency, Direction: link.Up, By: 80 * time.Millisecond, Jitter: 20 * time.Millisecond}, Edges: []string{"source"}, For: time.Second},
			60 * time.Millisecond, `^source: probes took at least 60ms longer`},
		{SlowSource{By: 70 * time.Millisecond, For: time.Second}, 70 * time.Millisecond, `^source: probes took at least 70ms longer`},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			t.Parallel()
			s, ps := twoEdges(t)
			open := dial(t, ps.Proxy("source").Listen())
			in, err := c.fault.Inject(within(t), s)
			require.NoError(t, err)
			began := time.Now()
			require.NoError(t, askOn(open))
			require.GreaterOrEqual(t, time.Since(began), c.least)
			require.NoError(t, pause.Until(within(t), began.Add(400*time.Millisecond)))
			evidence, err := in.Heal(within(t))
			require.NoError(t, err)
			require.Regexp(t, c.evidence, evidence)
			require.NoError(t, askOn(open), "a connection outlives the fault and its heal")
			require.Empty(t, ps.Restarts())
		})
	}
}

func TestLatencyWithoutEvidence(t *testing.T) {
	s, _ := twoEdges(t)
	in, err := on(link.Latency, "source").Inject(within(t), s)
	require.NoError(t, err)
	healedEarly(t, s.Edges["source"])
	require.NoError(t, pause.For(within(t), 400*time.Millisecond))
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Empty(t, evidence, "it ended before its heal")
}

// Faults on one edge add up, and none takes away what is another's.
func TestNetworkFaultsOnOneEdge(t *testing.T) {
	s, ps := twoEdges(t)
	addr := ps.Proxy("source").Listen()
	hole, err := on(link.Blackhole, "source").Inject(within(t), s)
	require.NoError(t, err)
	refusal, err := on(link.Refuse, "source").Inject(within(t), s)
	require.NoError(t, err)
	late, err := on(link.Latency, "source").Inject(within(t), s)
	require.NoError(t, err)
	again, err := on(link.Latency, "source").Inject(within(t), s)
	require.NoError(t, err)

	require.ErrorIs(t, ask(within(t), addr), syscall.ECONNREFUSED)
	evidence, err := refusal.Heal(within(t))
	require.NoError(t, err)
	require.Equal(t, "source: connections through the proxies are refused, while the far end answers directly, and connections that were "+
		"open before are cut, and so until the heal; then the proxies confirmed to do so no more; another fault still has source", evidence)
	silentWithin(t, addr)
	evidence, err = hole.Heal(within(t))
	require.NoError(t, err)
	require.Contains(t, evidence, "another fault still has source")
	began := time.Now()
	require.NoError(t, ask(within(t), addr))
	require.GreaterOrEqual(t, time.Since(began), 240*time.Millisecond, "both delays, both ways")
	_, err = late.Heal(within(t))
	require.NoError(t, err)
	began = time.Now()
	require.NoError(t, ask(within(t), addr))
	require.GreaterOrEqual(t, time.Since(began), 120*time.Millisecond, "one delay, both ways")
	_, err = again.Heal(within(t))
	require.NoError(t, err)
	began = time.Now()
	require.NoError(t, ask(within(t), addr))
	require.Less(t, time.Since(began), 120*time.Millisecond)
	require.Empty(t, ps.Restarts())
}

// Clients that pipeline, and go away in the middle of it, hold up no change.
func TestLatencyUnderPipeliningClients(t *testing.T) {
	s, ps := twoEdges(t)
	addr := ps.Proxy("source").Listen()
	ctx, cancel := context.WithCancel(within(t))
	var all sync.WaitGroup
	var answers atomic.Int64
	for range 50 {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Second))
				for range 20 {
					_, _ = c.Write(make([]byte, 1024))
				}
				n, _ := c.Read(make([]byte, 512)) // and goes away with the rest on its way
				answers.Add(int64(n))
				_ = pause.For(ctx, 50*time.Millisecond) // or no other connection gets to be accepted
				_ = c.Close()
			}
		})
	}
	for range 3 {
		in, err := on(link.Latency, "source").Inject(within(t), s)
		require.NoError(t, err)
		require.NoError(t, pause.For(ctx, 100*time.Millisecond))
		healing := time.Now()
		require.NoError(t, ps.Proxy("source").Apply(ctx, me, link.Mode{Kind: link.Latency, By: time.Millisecond}))
		require.NoError(t, ps.Proxy("source").Clear(ctx, me))
		require.Less(t, time.Since(healing), 2*time.Second)
		_, err = in.Heal(within(t))
		require.NoError(t, err)
	}
	cancel()
	all.Wait()
	require.Positive(t, answers.Load())
	require.Empty(t, ps.Restarts(), "none hung")
}

func TestNetworkWithoutEvidence(t *testing.T) {
	for _, k := range []link.Kind{link.Blackhole, link.Refuse, link.Reset} {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			s, _ := twoEdges(t)
			in, err := on(k, "source").Inject(within(t), s)
			require.NoError(t, err)
			require.NotEmpty(t, in.Evidence)
			healedEarly(t, s.Edges["source"])
			evidence, err := in.Heal(within(t))
			require.NoError(t, err)
			require.Empty(t, evidence, "it ended before its heal")
		})
	}
}

// dialer is a prober that only dials.
type dialer string

func (d dialer) Through(ctx context.Context) error { return ask(ctx, string(d)) }
func (d dialer) Past(ctx context.Context) error    { return ask(ctx, string(d)) }
func (d dialer) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", string(d))
}

func (d dialer) Ask(_ context.Context, c net.Conn) error { return askOn(c) }

// What a witness gives for a connection that was not cut.
func TestWitness(t *testing.T) {
	addr := echo(t)
	for kind, says := range map[link.Kind]string{link.Refuse: "it is still open", link.Reset: "it was not reset"} {
		w, err := newWitness(within(t), dialer(addr))
		require.NoError(t, err)
		defer w.close()
		short, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
		defer cancel()
		require.ErrorContains(t, w.cut(short, link.Mode{Kind: kind}), says)
	}
	p := startProxies(t, proxy.Spec{Name: "e", Upstream: "127.0.0.1:1"}).Proxy("e")
	_, err := newWitness(within(t), dialer(p.Listen()))
	require.ErrorContains(t, err, "it does not keep connections open", "its upstream is down")
}

func TestNetworkShamChangesNothing(t *testing.T) {
	s, ps := twoEdges(t)
	for _, f := range []Fault{on(link.Refuse, "*"), SlowSource{By: time.Second, For: time.Second}} {
		open := dial(t, ps.Proxy("source").Listen())
		in, err := Sham(f).Inject(within(t), s)
		require.NoError(t, err)
		require.NoError(t, askOn(open))
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Contains(t, evidence, "sham of "+f.String()+": ")
		require.Contains(t, evidence, "answered through the proxy before and after")
	}
}

func TestNetworkRefusesWhatItCantDo(t *testing.T) {
	s, ps := twoEdges(t)
	_, err := on(link.Refuse, "worker@us -> *").Inject(within(t), s)
	require.ErrorContains(t, err, `no edge "worker@us -> *"`)
	_, err = SlowSource{By: 1, For: 1}.Inject(within(t), Site{Edges: s.Edges})
	require.ErrorContains(t, err, "this target has no edge to its source")
	_, err = Network{Mode: link.Mode{Kind: link.Stall, Direction: "sideways"}, Edges: []string{"source"}, For: 1}.Inject(within(t), s)
	require.ErrorContains(t, err, `no direction "sideways"`)
	_, err = SlowSource{By: 10, Jitter: 6, For: 1}.Inject(within(t), s)
	require.ErrorContains(t, err, "source.slow{by: 10ns, jitter: 6ns, for: 1ns}: by must be above 0, and jitter no more than half of it")
	s.Edges["source"] = probing(s.Edges["source"], func(context.Context, string) error { return syscall.EHOSTDOWN })
	_, err = on(link.Refuse, "source", "worker@eu -> redis@eu").Inject(within(t), s)
	require.ErrorContains(t, err, "before the fault: source does not answer")
	require.NoError(t, ask(within(t), ps.Proxy("worker@eu -> redis@eu").Listen()))
}

// A client that speaks HTTP, over one connection that it keeps.
func TestSlowSourceOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	upstream := server.Listener.Addr().String()
	p := startProxies(t, proxy.Spec{Name: "worker -> shop", Upstream: upstream}).Proxy("worker -> shop")
	get := func(ctx context.Context, c *http.Client, addr string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
		if err != nil {
			return err
		}
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	client := func(keep bool) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
	}
	s := Site{SourceEdges: []string{"worker -> shop"}, Edges: map[string]Edge{"worker -> shop": edgeOf(p, upstream, func(ctx context.Context, addr string) error {
		return get(ctx, client(false), addr)
	})}}
	user := client(true)
	defer user.CloseIdleConnections()
	require.NoError(t, get(within(t), user, p.Listen()))

	in, err := SlowSource{By: 80 * time.Millisecond, Jitter: 20 * time.Millisecond, For: time.Second}.Inject(within(t), s)
	require.NoError(t, err)
	for range 3 {
		began := time.Now()
		require.NoError(t, get(within(t), user, p.Listen()))
		require.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
	}
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Contains(t, evidence, "worker -> shop: probes took at least 60ms longer through the proxies")
	for k, met := range map[link.Kind]func(error) bool{
		link.Refuse: func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }, link.Reset: isReset,
	} {
		in, err := on(k, "worker -> *").Inject(within(t), s)
		require.NoError(t, err)
		require.NotEmpty(t, in.Evidence)
		err = get(within(t), client(false), p.Listen())
		require.True(t, met(err), "%v", err)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.NotEmpty(t, evidence)
		require.NoError(t, get(within(t), user, p.Listen()))
	}
}
