package supervise_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/internal/supervise"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	roles := map[string]reexec.Role{"holder": holder}
	maps.Copy(roles, supervise.Roles)
	reexec.Main(roles)
	goleak.VerifyTestMain(m)
}

// holder starts a command, as a drill does, and waits.
func holder(ctx context.Context, args []string, stdout io.Writer) error {
	p, err := supervise.Start(ctx, supervise.Command{Argv: []string{"sh", "-c", "sleep 300 & echo $! > " + args[0] + "/below; wait"}, Log: args[0] + "/log"})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, p.PID())
	<-ctx.Done()
	p.Stop()
	return nil
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	var state string
	_, _ = fmt.Sscanf(string(b[len(fmt.Sprint(pid)):]), " (%s %s", new(string), &state)
	return state != "Z"
}

func below(t *testing.T, dir string) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "below"))
		if err == nil && len(b) > 1 {
			pid, err = strconv.Atoi(string(b[:len(b)-1]))
		}
		return err == nil && pid > 0
	}, 10*time.Second, 5*time.Millisecond)
	return pid
}

func TestStopEndsEverythingThatWasStarted(t *testing.T) {
	dir := t.TempDir()
	p, err := supervise.Start(t.Context(), supervise.Command{
		Argv: []string{"sh", "-c", "echo $GREETING; pwd; trap '' TERM; sleep 300 & echo $! > below; wait"}, Dir: dir,
		Env: []string{"GREETING=hello there"}, Log: filepath.Join(dir, "log"),
	})
	require.NoError(t, err)
	child := below(t, dir)
	require.True(t, alive(p.PID()) && alive(child))
	_, err = p.Ended()
	require.NoError(t, err, "it runs")
	p.Stop()
	require.Eventually(t, func() bool { return !alive(p.PID()) && !alive(child) }, 5*time.Second, 5*time.Millisecond)
	output, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	require.Equal(t, "hello there\n"+dir+"\n", string(output))
}

func TestACommandThatEnds(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		do   string
		well bool
		says string
	}{
		{"echo first; echo no database >&2; exit 3", false, "exit status 3: no database (before that: first)"},
		{"exit 0", true, "exit status 0"},
		{"kill -9 $$", false, "signal: killed"},
	} {
		p, err := supervise.Start(t.Context(), supervise.Command{Argv: []string{"sh", "-c", c.do}, Log: log})
		require.NoError(t, err)
		<-p.Done()
		well, err := p.Ended()
		require.Equal(t, c.well, well, c.do)
		require.ErrorContains(t, err, c.says+"; it was: /")
		p.Stop()
	}
	_, err := supervise.Start(t.Context(), supervise.Command{Argv: []string{"/nowhere/at-all"}, Log: log})
	require.ErrorContains(t, err, "/nowhere/at-all")
	_, err = supervise.Start(t.Context(), supervise.Command{Log: log})
	require.Error(t, err)
}

// A drill that is killed takes the service along.
func TestACommandEndsWithItsStarter(t *testing.T) {
	dir := t.TempDir()
	h, err := reexec.Start("holder", dir)
	require.NoError(t, err)
	line, err := h.Line(t.Context())
	require.NoError(t, err)
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	below := below(t, dir)
	require.True(t, alive(pid) && alive(below))
	require.NoError(t, syscall.Kill(h.PID(), syscall.SIGKILL))
	<-h.Done()
	require.Eventually(t, func() bool { return !alive(pid) && !alive(below) }, 10*time.Second, 5*time.Millisecond)
}
