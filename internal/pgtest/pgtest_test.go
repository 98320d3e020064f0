package pgtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(map[string]reexec.Role{guardRole: guard, "user": use})
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(Closing(m))
}

// use is a process that uses a cluster and never closes it.
func use(_ context.Context, _ []string, stdout io.Writer) error {
	c, err := Start()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, c.pid, c.dir)
	select {}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 20*time.Second, 10*time.Millisecond, "process %d is still there", pid)
}

func TestWhatIsCommittedSurvivesAKill(t *testing.T) {
	c := Shared(t)
	db := c.Database(t)
	conn, err := pgx.Connect(t.Context(), db)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 17 AS n")
	require.NoError(t, err)
	var fsync, commit string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit))
	require.Equal(t, "on on", fsync+" "+commit)
	pid := c.pid
	children, err := childrenOf(pid)
	require.NoError(t, err)
	require.NotEmpty(t, children)
	require.NoError(t, c.Kill())
	require.Error(t, conn.Ping(t.Context()))
	for _, p := range append(children, pid) {
		gone(t, p)
	}
	require.NoError(t, c.Restart(t.Context()))
	conn, err = pgx.Connect(t.Context(), db)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n))
	require.Equal(t, 17, n)
}

// Nothing is left of a cluster when its user is killed, when its guard is, or when both are.
func TestNothingIsLeft(t *testing.T) {
	Shared(t) // says so where there is no PostgreSQL
	for _, killed := range []string{"user", "guard", "both"} {
		t.Run(killed, func(t *testing.T) {
			p, err := reexec.Start("user")
			require.NoError(t, err)
			t.Cleanup(p.Kill)
			ctx, cancel := context.WithTimeout(t.Context(), 2*startTimeout)
			defer cancel()
			line, err := p.Line(ctx)
			require.NoError(t, err)
			id, dir, _ := strings.Cut(line, " ")
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			pid, err := strconv.Atoi(id)
			require.NoError(t, err)
			children, err := childrenOf(pid)
			require.NoError(t, err)
			guards, err := childrenOf(p.PID())
			require.NoError(t, err)
			require.Len(t, guards, 1)
			if killed != "user" {
				require.NoError(t, syscall.Kill(guards[0], syscall.SIGKILL))
			}
			if killed != "guard" {
				require.NoError(t, syscall.Kill(p.PID(), syscall.SIGKILL))
			}
			for _, pid := range append(children, pid, guards[0]) {
				gone(t, pid)
			}
			if killed == "user" {
				require.Eventually(t, func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) }, 20*time.Second, 10*time.Millisecond)
			}
		})
	}
}
