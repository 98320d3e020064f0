package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// A backend is whatever passes all of these.
var conformance = []struct {
	name string
	test func(*testing.T, Backend)
}{
	{"a new node is not running", testNotRunning},
	{"start brings up an empty server with an identity", testStart},
	{"keys age in real time", testAges},
	{"restarts come up empty at the same address as another incarnation", testRestart},
	{"stop and kill refuse connections", testDown},
	{"stop cuts connections and subscriptions", testCut},
	{"the commands that caches and faults use", testCommands},
	{"pub/sub and its patterns, over both protocols", testPubSub},
	{"scripts are forgotten by a restart", testScripts},
	{"SCAN MATCH finds every key once", testScan},
	{"blocked commands don't hold up a stop", testBlocked},
	{"a subscriber that doesn't read doesn't hold up a kill", testStuckSubscriber},
	{"restarts under load", testUnderLoad},
	{"an address taken meanwhile is waited for", testAddressTaken},
	{"deadlines are honoured", testDeadlines},
	{"close is idempotent and final", testClose},
	{"close ends a start under way", testCloseWhileStarting},
}

func TestConformance(t *testing.T) {
	for _, b := range []Backend{Embedded, Process} {
		t.Run(string(b), func(t *testing.T) {
			if b == Process {
				needServer(t)
			}
			for _, c := range conformance {
				t.Run(c.name, func(t *testing.T) { c.test(t, b) })
			}
		})
	}
}

func refused(t *testing.T, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err == nil {
		c.Close()
	}
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// outsider is a client as a cache would use it, connected by the address alone.
func outsider(t *testing.T, n Node, protocol int) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: n.Addr(), Protocol: protocol, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func testNotRunning(t *testing.T, b Backend) {
	n, ctx := newTestNode(t, b), soon(t)
	require.Empty(t, n.Addr())
	require.ErrorContains(t, n.Client().Ping(ctx).Err(), "redis@test was never started")
	_, err := n.Identity(ctx)
	require.ErrorContains(t, err, "identifying redis@test: it is not running")
	require.ErrorContains(t, n.Stop(ctx), "stopping redis@test: it is not running")
	require.ErrorContains(t, n.Kill(ctx), "killing redis@test: it is not running")
	require.ErrorContains(t, n.Pause(ctx), "pausing redis@test: it is not running")
}

func testStart(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	id, err := n.Identity(ctx)
	require.NoError(t, err)
	require.Equal(t, string(b), id.Backend)
	require.NotEmpty(t, id.Version)
	require.NotEmpty(t, id.RunID)
	require.Equal(t, b == Process, id.PID != 0)
	require.Zero(t, id.Keys)

	require.NoError(t, n.Client().Set(ctx, "k", "v", 0).Err())
	id, err = n.Identity(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, id.Keys)
	host, _, err := net.SplitHostPort(n.Addr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	require.ErrorContains(t, n.Start(ctx), "running already")
}

func testAges(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	c := n.Client()
	const ttl = 300 * time.Millisecond
	require.NoError(t, c.Set(ctx, "ages", "v", ttl).Err())
	set := time.Now()
	require.NoError(t, c.Set(ctx, "stays", "v", time.Hour).Err())
	require.NoError(t, c.Set(ctx, "moment", "v", 0).Err())
	require.NoError(t, c.PExpireAt(ctx, "moment", set.Add(ttl)).Err())
	for _, key := range []string{"ages", "moment"} {
		for {
			asked := time.Now()
			left, err := c.Exists(ctx, key).Result()
			require.NoError(t, err)
			if left == 0 {
				// The key may have expired at any time before the answer; that it did not too early
				// only shows by when it was answered. Ticks get rarer on a slow machine: hence
				// half.
				require.Greater(t, time.Since(set), ttl/2, key)
				break
			}
			require.Less(t, asked.Sub(set), 20*time.Second, "%s does not age", key)
			<-time.After(time.Millisecond)
		}
	}
	left, err := c.PTTL(ctx, "stays").Result()
	require.NoError(t, err)
	require.Less(t, left, time.Hour)
	require.Greater(t, left, 59*time.Minute)
}

func testRestart(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	addr, client := n.Addr(), n.Client()
	before, err := n.Identity(ctx)
	require.NoError(t, err)
	for i, end := range []func(context.Context) error{n.Stop, n.Kill, n.Stop} {
		require.NoError(t, client.Set(ctx, "left over", i, 0).Err())
		require.NoError(t, end(ctx))
		require.NoError(t, n.Start(ctx))
		require.Equal(t, addr, n.Addr())
		require.Same(t, client, n.Client())
		after, err := n.Identity(ctx) // over a new connection: the old one was cut
		require.NoError(t, err)
		require.NotEqual(t, before.RunID, after.RunID)
		require.Equal(t, before.Version, after.Version)
		if b == Process {
			require.NotEqual(t, before.PID, after.PID)
		}
		require.Zero(t, after.Keys)
		require.ErrorIs(t, outsider(t, n, 3).Get(ctx, "left over").Err(), goredis.Nil)
		before = after
	}
}

func testDown(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	for _, end := range []func(context.Context) error{n.Stop, n.Kill} {
		require.NoError(t, end(ctx))
		refused(t, n.Addr())
		require.ErrorIs(t, n.Client().Ping(ctx).Err(), syscall.ECONNREFUSED)
		_, err := n.Identity(ctx)
		require.ErrorContains(t, err, "it is not running")
		require.ErrorContains(t, end(ctx), "it is not running")
		require.NoError(t, n.Start(ctx))
	}
}

func testCut(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	idle, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	defer idle.Close()
	_, err = idle.Write([]byte("*1\r\n$4\r\nPING\r\n"))
	require.NoError(t, err)
	buf := make([]byte, 16)
	_, err = idle.Read(buf)
	require.NoError(t, err)

	require.NoError(t, n.Stop(ctx))
	require.NoError(t, idle.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = idle.Read(buf)
	require.Error(t, err)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the connection is still there")
}

func testBlocked(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 20 {
		c := outsider(t, n, 3)
		require.NoError(t, c.Ping(ctx).Err())
		wg.Go(func() { c.BLPop(ctx, 0, "never") })
	}
	require.NoError(t, n.Stop(ctx))
	refused(t, n.Addr())
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Client().RPush(ctx, "now", "x").Err())
	got, err := n.Client().BLPop(ctx, time.Second, "now").Result()
	require.NoError(t, err)
	require.Equal(t, []string{"now", "x"}, got)
}

func testStuckSubscriber(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	deaf, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	defer deaf.Close()
	_, err = deaf.Write([]byte("*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nflood\r\n"))
	require.NoError(t, err)
	_, err = deaf.Read(make([]byte, 4))
	require.NoError(t, err)

	// Either its buffers are full and publishers hang (miniredis), or it is cut off (Redis).
	page := strings.Repeat("x", 1<<20)
	for range 100 {
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		err := n.Client().Publish(short, "flood", page).Err()
		cancel()
		if err != nil {
			break
		}
	}
	require.NoError(t, n.Kill(ctx))
	refused(t, n.Addr())
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Client().Ping(ctx).Err())
}

// testUnderLoad ends and starts the server while clients use what miniredis's own Close panics at:
// scripts that call commands, INFO, publishing.
func testUnderLoad(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	script := goredis.NewScript(`redis.call('SET', KEYS[1], ARGV[1], 'PX', 50) return redis.call('GET', KEYS[1])`)
	load, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 8 {
		c := outsider(t, n, 2+i%2)
		wg.Go(func() {
			key := fmt.Sprint("key", i)
			for load.Err() == nil {
				// EVAL, not EVALSHA: its first call in a new incarnation must work too.
				got, err := script.Eval(load, c, []string{key}, "v").Text()
				if err == nil && got != "v" {
					t.Errorf("the script answered %q", got)
				}
				if err != nil && strings.Contains(err.Error(), "unknown command") {
					t.Errorf("a server that isn't ready answered: %v", err)
				}
				c.Info(load)
				c.Publish(load, "channel", "message")
			}
		})
	}
	for i := range 6 {
		if i%2 == 0 {
			require.NoError(t, n.Kill(ctx))
		} else {
			require.NoError(t, n.Stop(ctx))
		}
		require.NoError(t, n.Start(ctx))
		require.Eventually(t, func() bool { return n.Client().Exists(ctx, "key0", "key1").Val() > 0 },
			20*time.Second, time.Millisecond, "the load does not come back")
	}
	stop()
	wg.Wait()
}

func testAddressTaken(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	require.NoError(t, n.Stop(ctx))
	squatter, err := net.Listen("tcp", n.Addr())
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	require.Error(t, n.Start(short))
	back := make(chan error, 1)
	go func() { back <- n.Start(ctx) }()
	select {
	case err := <-back:
		t.Fatalf("started at a taken address, or gave up: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	require.NoError(t, squatter.Close())
	require.NoError(t, <-back)
	_, err = n.Identity(ctx)
	require.NoError(t, err)
}

func testDeadlines(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	over, cancel := context.WithCancel(ctx)
	cancel()
	for name, f := range map[string]func(context.Context) error{"stop": n.Stop, "kill": n.Kill, "start": n.Start, "pause": n.Pause} {
		require.ErrorIs(t, f(over), context.Canceled, name)
	}
	_, err := n.Identity(over)
	require.ErrorIs(t, err, context.Canceled)
	_, err = n.Identity(ctx)
	require.NoError(t, err, "nothing was done")

	n.ops <- struct{}{} // somebody is busy changing the state
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, n.Stop(short), context.DeadlineExceeded)
	<-n.ops
}

func testClose(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	addr := n.Addr()
	var pids []int
	var dir string
	if b == Process {
		p := theProcess(t, n)
		pids, dir = []int{p.pid, p.guard.PID()}, p.dir
		require.DirExists(t, dir)
	}
	require.NoError(t, n.Close())
	refused(t, addr)
	if b == Process {
		for _, pid := range pids {
			require.False(t, alive(pid), "process %d is left", pid)
		}
		require.NoDirExists(t, dir)
	}
	require.NoError(t, n.Close())
	require.ErrorIs(t, n.Start(ctx), errClosed)
	require.ErrorIs(t, n.Stop(ctx), errClosed)
	require.ErrorIs(t, n.Client().Ping(ctx).Err(), goredis.ErrClosed)
}

func testCloseWhileStarting(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	require.NoError(t, n.Stop(ctx))
	squatter, err := net.Listen("tcp", n.Addr())
	require.NoError(t, err)
	defer squatter.Close()
	result := make(chan error, 1)
	go func() { result <- n.Start(ctx) }()
	require.Eventually(t, func() bool { return len(n.ops) == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, n.Close())
	require.ErrorIs(t, <-result, context.Canceled)
	require.NoError(t, n.Close())
}
