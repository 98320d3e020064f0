// Package pgtest gives tests a PostgreSQL of their own: a new cluster in a folder of its own,
// durable as in production, which ends with the test binary, however that ends.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

const (
	superuser    = "drill"
	startTimeout = 60 * time.Second // a cluster is made and started within, a killed one has recovered
	guardGrace   = stopGrace + 3*time.Second
)

// Cluster is a running PostgreSQL.
type Cluster struct {
	guard    *reexec.Process
	dir      string
	port     string
	password string

	mu sync.Mutex
	// pid is the server's process; 0 while it is down.
	pid       int
	databases int
}

var shared struct {
	sync.Mutex
	cluster *Cluster
	err     error
}

// Closing wraps the tests of a binary so that the cluster that they [Shared] is closed when they
// have ended.
func Closing(m *testing.M) interface{ Run() int } { return closing{m} }

type closing struct{ m *testing.M }

func (c closing) Run() int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.cluster != nil {
			shared.cluster.Close()
		}
	}()
	return c.m.Run()
}

// Shared is the one cluster of a test binary, started at its first use. Where no PostgreSQL is
// installed the test is skipped, or fails with CI=true.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = Start()
	}
	switch {
	case errors.Is(shared.err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skip("skipped: " + shared.err.Error())
	case shared.err != nil:
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// ErrMissing says that no PostgreSQL is installed.
var ErrMissing = errors.New("no PostgreSQL here (neither on the PATH nor in /usr/lib/postgresql): scripts/setup installs one")

// programs finds the directory of initdb and postgres, the newest where there are several.
func programs() (string, error) {
	var dirs []string
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil { // it looks for its libraries beside itself
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
	version := func(dir string) int {
		v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what is no version comes last
		return v
	}
	slices.SortFunc(installed, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, installed...) {
		_, err1 := exec.LookPath(filepath.Join(dir, "initdb"))
		_, err2 := exec.LookPath(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			return dir, nil
		}
	}
	return "", ErrMissing
}

// Start makes a cluster and waits until it takes connections. Its [Cluster.Close] removes it.
func Start() (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		c, err := start(bin)
		if err == nil || try == 3 { // another process may have taken the port
			return c, err
		}
	}
}

func start(bin string) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "cachedrill-pg-") // short: a socket's path is at most 107 bytes long
	if err != nil {
		return nil, fmt.Errorf("making a directory for the cluster: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("looking for a free port: %w", err), os.RemoveAll(dir))
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a listener's address has one
	_ = l.Close()
	c := &Cluster{dir: dir, port: port, password: rand.Text()}
	if c.guard, err = reexec.Start(guardRole, bin, dir, port, c.password); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.meet(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return c, nil
}

// meet hears from the guard which process is the server, and waits until it takes connections.
func (c *Cluster) meet(ctx context.Context) error {
	line, err := c.guard.Line(ctx)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(line)
	if err != nil {
		return fmt.Errorf("its guard printed %q instead of a process id", line)
	}
	c.mu.Lock()
	c.pid = pid
	c.mu.Unlock()
	for {
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.guard.Done():
			_, err := c.guard.Line(ctx)
			return err
		case <-ctx.Done():
			return fmt.Errorf("connecting: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is where its database postgres is, for a superuser, over TCP on loopback.
func (c *Cluster) URL() string { return c.url("postgres") }

func (c *Cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, c.password), Host: "127.0.0.1:" + c.port,
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Database makes an empty database for a test, which is dropped when the test ends, and tells its
// URL.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	c.databases++
	name := fmt.Sprintf("test_%d", c.databases)
	c.mu.Unlock()
	c.exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { c.exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return c.url(name)
}

func (c *Cluster) exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	require.NoError(t, err)
}

// Kill ends the server and all of its processes at once, as a crash of the whole service does.
// [Cluster.Restart] brings it back.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == 0 {
		return nil
	}
	_ = syscall.Kill(c.pid, syscall.SIGSTOP) // or it would start new ones meanwhile
	pids, err := childrenOf(c.pid)
	pids = append(pids, c.pid)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range pids {
		awaitEnd(pid)
	}
	c.pid = 0
	return err
}

// Restart starts a killed server anew, and waits until it has recovered and takes connections.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := syscall.Kill(c.guard.PID(), again); err != nil {
		return fmt.Errorf("asking the guard for a new server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.meet(ctx); err != nil {
		return fmt.Errorf("restarting PostgreSQL: %w", err)
	}
	return nil
}

// Close ends the server, whatever it is doing, and removes the cluster.
func (c *Cluster) Close() {
	c.guard.Stop(guardGrace)
	_ = os.RemoveAll(c.dir) // what a guard that was killed has left
}
