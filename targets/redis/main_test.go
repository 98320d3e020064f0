package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

// quiet silences go-redis, which logs every failed dial on stderr.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	roles := maps.Clone(Roles)
	roles[ownerRole] = owner
	reexec.Main(roles)
	goredis.SetLogger(quiet{})
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or every guard built with -race takes a second to end
	goleak.VerifyTestMain(m)
}

const ownerRole = "owner-of-a-node"

// owner starts a node, prints what must not outlive it (server, guard, directory), pauses the
// server when asked so, and waits to be killed.
func owner(ctx context.Context, args []string, stdout io.Writer) error {
	n, err := New(Process, "redis@owner")
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.Start(ctx); err != nil {
		return err
	}
	if len(args) > 0 {
		if err := n.Pause(ctx); err != nil {
			return err
		}
	}
	cur, _ := n.(*node).current()
	s := cur.(*process)
	fmt.Fprintln(stdout, s.pid, s.guard.PID(), s.dir)
	<-ctx.Done()
	return nil
}

// needServer skips where no server is installed; in CI that is a failure.
func needServer(t *testing.T) {
	t.Helper()
	if _, err := findServer(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must have a server: %v", err)
		}
		t.Skipf("skipped, there is no server to test with: %v", err)
	}
}

// soon is the deadline of what must not hang; nothing is expected to take that long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newTestNode(t *testing.T, b Backend) *node {
	t.Helper()
	n, err := New(b, "redis@test")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n.(*node)
}

func started(t *testing.T, b Backend) *node {
	t.Helper()
	n := newTestNode(t, b)
	require.NoError(t, n.Start(soon(t)))
	return n
}

func theProcess(t *testing.T, n *node) *process {
	t.Helper()
	cur, _ := n.current()
	require.NotNil(t, cur)
	return cur.(*process)
}

// alive says whether the process exists and does something other than waiting to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func requireGone(t *testing.T, pids []int, dir string) {
	t.Helper()
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, 30*time.Second, 5*time.Millisecond, "process %d is left", pid)
	}
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	}, 30*time.Second, 5*time.Millisecond, "%s is left", dir)
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, s))
}

func parsePids(t *testing.T, line string) (server, guard int, dir string) {
	t.Helper()
	_, err := fmt.Sscan(line, &server, &guard, &dir)
	require.NoError(t, err, line)
	return server, guard, dir
}
