package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets"
)

func TestMain(m *testing.M) {
	reexec.Main(proxy.Roles)
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or every proxy built with -race takes a second to end
	goleak.VerifyTestMain(m)
}

// within is a generous deadline: a test that needs it has failed.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// onEachRedis runs a test on miniredis and on a real server, where there is one.
func onEachRedis(t *testing.T, test func(t *testing.T, start func(t *testing.T) redisNode)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, func(t *testing.T) redisNode { return newMini(t) })
	})
	t.Run("process", func(t *testing.T) {
		test(t, func(t *testing.T) redisNode { return onProcess(t) })
	})
}

// onProcess starts a real server, where there is one.
func onProcess(t *testing.T) *server {
	path, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("no redis-server on PATH: in CI this must run")
	}
	if err != nil {
		t.Skip("no redis-server on PATH: not tested against a real Redis")
	}
	return newServer(t, path)
}

func adminClient(t *testing.T, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{
		Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: time.Second,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// redisNode is a Redis of a test.
type redisNode interface {
	Server
	Client() *goredis.Client
	Addr() string
}

var everything = Capabilities{CanStop: Yes(), CanKill: Yes(), CanTouch: Yes()}

// mini is a miniredis whose TTLs age in real time.
type mini struct {
	m           *miniredis.Miniredis
	client      *goredis.Client
	incarnation int
}

func newMini(t *testing.T) *mini {
	m := miniredis.NewMiniRedis()
	require.NoError(t, m.Start())
	n := &mini{m: m, client: adminClient(t, m.Addr()), incarnation: 1}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				now := time.Now()
				m.FastForward(now.Sub(last))
				last = now
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		m.Close()
	})
	return n
}

func (n *mini) Start(context.Context) error {
	n.m.FlushAll()
	n.incarnation++
	return n.m.Restart()
}
func (n *mini) Stop(context.Context) error     { n.m.Close(); return nil }
func (n *mini) Kill(context.Context) error     { n.m.Close(); return nil }
func (n *mini) Ping(ctx context.Context) error { return rediskeys.Ping(ctx, n.client, n.Addr()) }
func (n *mini) Location() undo.Server          { return undo.Server{Addr: n.Addr()} }
func (n *mini) Lifetime() Lifetime             { return EndsWithProcess() }
func (n *mini) Capabilities() Capabilities     { return everything }
func (n *mini) Client() *goredis.Client        { return n.client }
func (n *mini) Addr() string                   { return n.client.Options().Addr }
func (n *mini) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	keys, err := n.client.DBSize(ctx).Result()
	return targets.RedisIdentity{Backend: "embedded", RunID: fmt.Sprintf("embedded-%d", n.incarnation), Keys: keys}, err
}

// server is a redis-server of the test's own.
type server struct {
	path, port, dir string
	cmd             *exec.Cmd
	client          *goredis.Client
}

func newServer(t *testing.T, path string) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n := &server{path: path, port: port, dir: t.TempDir(), client: adminClient(t, addr)}
	require.NoError(t, n.Start(within(t)))
	t.Cleanup(n.kill)
	return n
}

func (n *server) Start(ctx context.Context) error {
	n.cmd = exec.Command(n.path, "--port", n.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", n.dir)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	for n.Ping(ctx) != nil {
		if err := pause.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (n *server) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

func (n *server) Stop(context.Context) error     { n.kill(); return nil }
func (n *server) Kill(context.Context) error     { n.kill(); return nil }
func (n *server) Ping(ctx context.Context) error { return rediskeys.Ping(ctx, n.client, n.Addr()) }
func (n *server) Location() undo.Server          { return undo.Server{Addr: n.Addr()} }
func (n *server) Lifetime() Lifetime             { return EndsWithProcess() }
func (n *server) Capabilities() Capabilities     { return everything }
func (n *server) Client() *goredis.Client        { return n.client }
func (n *server) Addr() string                   { return n.client.Options().Addr }
func (n *server) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	id := targets.RedisIdentity{Backend: "process"}
	for try := 0; ; try++ { // the first connection of the pool may be a dead one
		info, err := n.client.Info(ctx, "server").Result()
		if err != nil && try < 20 {
			continue
		}
		if err != nil {
			return id, err
		}
		for line := range strings.SplitSeq(info, "\r\n") {
			switch k, v, _ := strings.Cut(line, ":"); k {
			case "run_id":
				id.RunID = v
			case "process_id":
				id.PID, _ = strconv.Atoi(v)
			case "redis_version":
				id.Version = v
			}
		}
		id.Keys, err = n.client.DBSize(ctx).Result()
		return id, err
	}
}

// site is one region, with a clock.
func site(n redisNode) Site {
	start := time.Now()
	return Site{
		Servers: map[string]Server{"eu": n},
		Keys:    map[string]Keys{"eu": rediskeys.Of(n.Client())},
		Pattern: func(family string) string { return "*" + family + ":*" },
		Now:     func() time.Duration { return time.Since(start) },
	}
}

// fill writes n keys with a prefix; ttl 0 = none.
func fill(t *testing.T, c *goredis.Client, prefix string, n int, ttl time.Duration) {
	t.Helper()
	_, err := c.Pipelined(within(t), func(p goredis.Pipeliner) error {
		for i := range n {
			p.Set(t.Context(), fmt.Sprintf("%s%d", prefix, i), "v", ttl)
		}
		return nil
	})
	require.NoError(t, err)
}

// count counts the keys that match.
func count(t *testing.T, c *goredis.Client, glob string) int {
	t.Helper()
	n := 0
	it := c.Scan(within(t), 0, glob, 1000).Iterator()
	for it.Next(within(t)) {
		n++
	}
	require.NoError(t, it.Err())
	return n
}
