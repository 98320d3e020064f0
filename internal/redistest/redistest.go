// Package redistest gives tests a real Redis server with settings of their own: TLS, an append-only
// file, a log. Drills have targets/redis; this is for what only a test asks for.
package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// guardRole is the child of targets/redis that ends a server when we are gone.
const guardRole = "redis-guard"

// Main must be called first thing in TestMain: the servers' guards are the test's own binary,
// executed again.
func Main() {
	reexec.Main(redis.Roles)
	goredis.SetLogger(quiet{})
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or every guard built with -race takes a second to end
}

// quiet silences go-redis, which logs every failed dial on stderr.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Server is a running redis-server (or valkey-server).
type Server struct {
	Addr string // on loopback; of the TLS port, when that was asked for
	Dir  string // its own: log, append-only file, dumps. It goes with the server.
}

// How long a server may take to start, and to end.
const (
	startGrace = 30 * time.Second
	endGrace   = 5 * time.Second
)

// Start starts a server with flags beside those that keep it on loopback and in memory, and stops
// it when the test ends. The flag --tls-port takes any number: with it the server listens on no
// other port, and ready must be a client's options that get through. Where there is no server, or
// none with TLS, the test is skipped; with CI=true it fails.
func Start(t testing.TB, ready goredis.Options, flags ...string) *Server {
	t.Helper()
	path := program(t)
	secure := slices.Index(flags, "--tls-port")
	for range 5 { // a port may be taken between our look and the server's
		s, err := start(t, path, secure, ready, flags)
		switch {
		case err == nil:
			return s
		case strings.Contains(err.Error(), "Address already in use"), strings.Contains(err.Error(), "Failed listening"):
		case secure >= 0 && strings.Contains(err.Error(), "Bad directive"):
			missing(t, "the server was built without TLS")
		default:
			t.Fatalf("starting %s: %v", path, err)
		}
	}
	t.Fatalf("starting %s: no free port", path)
	return nil
}

func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	missing(t, "neither redis-server nor valkey-server is on PATH")
	return ""
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must have it: %s", what)
	}
	t.Skipf("skipped: %s", what)
}

func start(t testing.TB, path string, secure int, ready goredis.Options, flags []string) (*Server, error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	flags = append([]string{}, flags...)
	plain := port
	if secure >= 0 {
		flags[secure+1], plain = port, "0"
	}
	args := append([]string{path, "--port", plain, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"}, flags...)
	guard, err := reexec.Start(guardRole, args...)
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", port)}
	t.Cleanup(func() {
		guard.Stop(endGrace)
		if s.Dir != "" {
			_ = os.RemoveAll(s.Dir) // a guard that had to be killed left it
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startGrace)
	defer cancel()
	line, err := guard.Line(ctx)
	if err != nil {
		return nil, err
	}
	var ok bool
	if _, s.Dir, ok = strings.Cut(line, " "); !ok {
		return nil, errors.New("its guard printed " + strconv.Quote(line))
	}
	ready.Addr, ready.MaxRetries, ready.DialerRetries = s.Addr, -1, 1
	ready.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := goredis.NewClient(&ready)
	defer c.Close()
	for c.Ping(ctx).Err() != nil {
		select {
		case <-guard.Done():
			_, err := guard.Line(ctx)
			return nil, err
		case <-ctx.Done():
			return nil, errors.New("it does not answer")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return s, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// Need skips the test where no redis-server or valkey-server is on PATH; with CI=true it fails.
func Need(t testing.TB) {
	t.Helper()
	program(t)
}
