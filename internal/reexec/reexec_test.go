package reexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// What the children of these tests do.
var roles = map[string]Role{
	"wait": func(ctx context.Context, args []string, out io.Writer) error {
		fmt.Fprintln(out, "ready", strings.Join(args, "|"))
		<-ctx.Done()
		return nil
	},
	"fail": func(_ context.Context, _ []string, out io.Writer) error {
		fmt.Fprintln(out, "so far so good")
		return errors.New("no more wood")
	},
	"flood": func(_ context.Context, _ []string, out io.Writer) error {
		for i := range 10_000 {
			fmt.Fprintln(out, "line", i)
		}
		fmt.Fprintln(out, strings.Repeat("x", 1<<20))
		fmt.Fprintln(out, "after the long line")
		return errors.New("flooded")
	},
	"deaf": func(context.Context, []string, io.Writer) error {
		select {}
	},
	"signals": func(ctx context.Context, _ []string, out io.Writer) error {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE} {
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				return err
			}
		}
		fmt.Fprintln(out, "alive")
		<-ctx.Done()
		return nil
	},
	// Leaves a process behind that holds our stdout and is out of reach of a kill of our group.
	"litter": func(_ context.Context, _ []string, out io.Writer) error {
		cmd := exec.Command("sleep", "60")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Fprintln(out, cmd.Process.Pid)
		return nil
	},
	"family": func(ctx context.Context, _ []string, out io.Writer) error {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Fprintln(out, cmd.Process.Pid)
		_ = cmd.Wait()
		return nil
	},
	"parent": func(ctx context.Context, args []string, out io.Writer) error {
		p, err := Start(args[0])
		if err != nil {
			return err
		}
		fmt.Fprintln(out, p.PID())
		select {}
	},
}

func TestMain(m *testing.M) {
	Main(roles)
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // or every child built with -race takes a second to end
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, role string, args ...string) *Process {
	t.Helper()
	p, err := Start(role, args...)
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func line(t *testing.T, p *Process) string {
	t.Helper()
	l, err := p.Line(within(t, 20*time.Second))
	require.NoError(t, err)
	return l
}

func pidFrom(t *testing.T, p *Process) int {
	t.Helper()
	pid, err := strconv.Atoi(line(t, p))
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// gone waits until no process has the id, or only one that has not been reaped yet.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 20*time.Second, 10*time.Millisecond, "process %d is still there", pid)
}

func TestChildGetsItsArgumentsAndEndsWhenAsked(t *testing.T) {
	p := start(t, "wait", "a b", "c")
	require.Equal(t, "ready a b|c", line(t, p))
	pgid, err := syscall.Getpgid(p.PID())
	require.NoError(t, err)
	require.Equal(t, p.PID(), pgid, "a child has a process group of its own")
	p.Stop(20 * time.Second)
	require.NoError(t, p.err, "it ended by itself, not by a signal")
	p.Stop(time.Second)
	p.Kill()
}

func TestLineTellsWhyTheChildEnded(t *testing.T) {
	p := start(t, "fail")
	require.Equal(t, "so far so good", line(t, p))
	for range 2 {
		_, err := p.Line(within(t, 20*time.Second))
		require.EqualError(t, err, "the child ended: exit status 1: no more wood")
	}
	q := start(t, "no such role")
	_, err := q.Line(within(t, 20*time.Second))
	require.ErrorContains(t, err, `no child role "no such role"`)
}

func TestLineHonoursItsContext(t *testing.T) {
	p := start(t, "wait")
	line(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Line(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestChildIsNotBlockedByAParentThatDoesNotRead(t *testing.T) {
	p := start(t, "flood")
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the child is blocked on its output")
	}
	require.Equal(t, "line 0", line(t, p))
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	p := start(t, "deaf")
	p.Stop(50 * time.Millisecond)
	require.ErrorContains(t, p.err, "killed")
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	p := start(t, "family")
	grandchild := pidFrom(t, p)
	p.Kill()
	gone(t, grandchild)
}

func TestSignalsOfATerminalDoNotEndAChild(t *testing.T) {
	p := start(t, "signals")
	require.Equal(t, "alive", line(t, p))
}

func TestOutputHeldByAnotherProcessDoesNotHoldUpTheEnd(t *testing.T) {
	p := start(t, "litter")
	pidFrom(t, p)
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the child ended, but is still waited for")
	}
}

func TestChildEndsWhenItsParentIsKilled(t *testing.T) {
	for _, role := range []string{"wait", "deaf"} { // deaf: ended by force
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			p := start(t, "parent", role)
			orphan := pidFrom(t, p)
			require.NoError(t, syscall.Kill(p.PID(), syscall.SIGKILL))
			gone(t, orphan)
		})
	}
}

func TestTailKeepsTheLastPart(t *testing.T) {
	var b tail
	for range 1000 {
		fmt.Fprint(&b, "0123456789")
	}
	fmt.Fprintln(&b, "the end")
	require.Len(t, b.buf, tailBytes)
	require.True(t, strings.HasSuffix(b.String(), "the end"))
}
