package redis

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

func TestNothingOutlivesAnOwnerThatIsKilled(t *testing.T) {
	needServer(t)
	for name, args := range map[string][]string{"while it runs": nil, "while it is paused": {"pause"}} {
		t.Run(name, func(t *testing.T) {
			o, err := reexec.Start(ownerRole, args...)
			require.NoError(t, err)
			defer o.Kill()
			line, err := o.Line(soon(t))
			require.NoError(t, err)
			server, guard, dir := parsePids(t, line)
			require.True(t, alive(server))
			require.True(t, alive(guard))
			require.DirExists(t, dir)
			signal(t, o.PID(), syscall.SIGKILL)
			requireGone(t, []int{server, guard}, dir)
		})
	}
}

func TestGuardThatIsKilledTakesTheServerAlong(t *testing.T) {
	needServer(t)
	n, ctx := started(t, Process), soon(t)
	p := theProcess(t, n)
	signal(t, p.guard.PID(), syscall.SIGKILL)
	<-p.guard.Done()
	require.Eventually(t, func() bool { return !alive(p.pid) }, 30*time.Second, time.Millisecond)
	_, err := n.Identity(ctx)
	require.ErrorContains(t, err, "signal: killed")
	require.Error(t, n.Stop(ctx), "stop tells that it was not the one that ended it")
	require.NoDirExists(t, p.dir)
	require.NoError(t, n.Start(ctx))
}

func TestServerHasNoPartInOurProcessGroup(t *testing.T) {
	needServer(t)
	n := started(t, Process)
	p := theProcess(t, n)
	group, err := syscall.Getpgid(p.pid)
	require.NoError(t, err)
	require.Equal(t, p.guard.PID(), group)
	require.NotEqual(t, syscall.Getpgrp(), group)
}

func TestServerComparesTextByBytesInAnyLocale(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	// In the place of a server, which overwrites the environment that it shows to others.
	g, err := reexec.Start(guardRole, "/bin/sh", "-c", `echo "the locale is <$LC_ALL>"; exit 1`)
	require.NoError(t, err)
	defer g.Kill()
	_, err = g.Line(soon(t))
	require.NoError(t, err, "the process id and the directory")
	_, err = g.Line(soon(t))
	require.ErrorContains(t, err, "the locale is <C>")
}

func TestServerThatEndsByItselfIsToldUntilAcknowledged(t *testing.T) {
	needServer(t)
	for _, acknowledge := range []string{"stop", "kill"} {
		t.Run(acknowledge, func(t *testing.T) {
			n, ctx := started(t, Process), soon(t)
			p := theProcess(t, n)
			signal(t, p.pid, syscall.SIGKILL)
			<-p.guard.Done()
			require.NoDirExists(t, p.dir, "its guard cleaned up")

			_, err := n.Identity(ctx)
			for _, err := range []error{err, n.Start(ctx), n.Pause(ctx), n.Resume(ctx)} {
				require.ErrorContains(t, err, "redis@test: ")
				require.ErrorContains(t, err, "ended by itself: signal: killed")
			}
			end := n.Stop
			if acknowledge == "kill" {
				end = n.Kill
			}
			require.ErrorContains(t, end(ctx), "ended by itself: signal: killed")
			require.NoError(t, n.Start(ctx))
			_, err = n.Identity(ctx)
			require.NoError(t, err)
		})
	}
}

func TestPauseStopsAnswersAndResumeBringsThemBackWithTheData(t *testing.T) {
	needServer(t)
	n, ctx := started(t, Process), soon(t)
	require.NoError(t, n.Client().Set(ctx, "k", "v", 0).Err())
	before, err := n.Identity(ctx)
	require.NoError(t, err)
	require.NoError(t, n.Resume(ctx), "resuming what isn't paused")

	require.NoError(t, n.Pause(ctx))
	conn, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err, "a paused server's address still accepts connections")
	conn.Close()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = n.Identity(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, n.Resume(ctx))
	after, err := n.Identity(ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestPausedServerCanBeEnded(t *testing.T) {
	needServer(t)
	for name, end := range map[string]func(*node, context.Context) error{"stop": (*node).Stop, "kill": (*node).Kill} {
		t.Run(name, func(t *testing.T) {
			n, ctx := started(t, Process), soon(t)
			p := theProcess(t, n)
			require.NoError(t, n.Pause(ctx))
			require.NoError(t, end(n, ctx))
			refused(t, n.Addr())
			requireGone(t, []int{p.pid, p.guard.PID()}, p.dir)
		})
	}
	t.Run("close", func(t *testing.T) {
		n, ctx := started(t, Process), soon(t)
		p := theProcess(t, n)
		require.NoError(t, n.Pause(ctx))
		require.NoError(t, n.Close())
		requireGone(t, []int{p.pid, p.guard.PID()}, p.dir)
	})
}

func TestStopWhoseContextEndsKillsTheServer(t *testing.T) {
	needServer(t)
	n, ctx := started(t, Process), soon(t)
	p := theProcess(t, n)
	signal(t, p.guard.PID(), syscall.SIGSTOP) // it won't hear that it shall end the server
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	require.NoError(t, n.Stop(short))
	refused(t, n.Addr())
	requireGone(t, []int{p.pid, p.guard.PID()}, p.dir)
}

func TestFirstStartTriesAnotherPort(t *testing.T) {
	_, taken := started(t, Embedded).current()
	for _, b := range []Backend{Embedded, Process} {
		t.Run(string(b), func(t *testing.T) {
			if b == Process {
				needServer(t)
			}
			n := newTestNode(t, b)
			launch, ports := n.launch, []int{}
			n.launch = func(ctx context.Context, port, nth int) (server, error) {
				ports = append(ports, port)
				if len(ports) == 1 {
					port = taken // somebody took it after it was found free
				}
				return launch(ctx, port, nth)
			}
			require.NoError(t, n.Start(soon(t)))
			require.Len(t, ports, 2)
			require.Equal(t, loopback(ports[1]), n.Addr())
		})
	}
}

func TestAnotherServerAtTheAddressIsNoticed(t *testing.T) {
	other := started(t, Embedded)
	_, theirs := other.current()
	for _, b := range []Backend{Embedded, Process} {
		t.Run(string(b), func(t *testing.T) {
			if b == Process {
				needServer(t)
			}
			n, ctx := started(t, b), soon(t)
			require.ErrorIs(t, newTestNode(t, b).startOn(ctx, theirs), errPortTaken)

			if b == Embedded { // first incarnations of two nodes have the same run_id
				require.NoError(t, n.Stop(ctx))
				require.NoError(t, n.Start(ctx))
			}
			require.NoError(t, n.client.Close()) // it is still connected to the right one
			n.client = newClient(n.name, n.Addr, patience)
			cur, mine := n.current()
			n.set(cur, theirs)
			_, err := n.Identity(ctx)
			n.set(cur, mine)
			require.ErrorContains(t, err, "another server answers at "+other.Addr())
		})
	}
}

// fakeServer puts a shell script on PATH, as redis-server and nothing else.
func fakeServer(t *testing.T, body string) program {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "redis-server")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755))
	return program{path: path, product: "redis", version: "7.0.15"}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	p := fakeServer(t, "echo 'Fatal: no such luck' >&2\nexit 3\n")
	n := newNode("redis@test", Process, ownFacts, p.launch)
	defer n.Close()
	err := n.Start(soon(t))
	require.ErrorContains(t, err, "starting redis@test: ")
	require.ErrorContains(t, err, "ended by itself: exit status 3 (its log: Fatal: no such luck)")
	require.Empty(t, n.Addr())

	n = newNode("redis@test", Process, ownFacts, program{path: "/nonexistent/redis-server"}.launch)
	defer n.Close()
	for range 2 { // a failed start leaves a stopped node
		require.ErrorContains(t, n.Start(soon(t)), "/nonexistent/redis-server: no such file or directory")
	}
}

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	p := fakeServer(t, "exec sleep 60\n")
	var launched *process
	n := newNode("redis@test", Process, ownFacts, func(ctx context.Context, port, nth int) (server, error) {
		s, err := p.launch(ctx, port, nth)
		if err == nil {
			launched = s.(*process)
		}
		return s, err
	})
	defer n.Close()
	short, cancel := context.WithTimeout(soon(t), 2*time.Second)
	defer cancel()
	err := n.Start(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "does not answer")
	requireGone(t, []int{launched.pid, launched.guard.PID()}, launched.dir)
}

func TestGuardKillsAServerThatIgnoresSIGTERM(t *testing.T) {
	p := fakeServer(t, "trap '' TERM\ntouch trapped\nwhile :; do sleep 0.1; done\n")
	s, err := p.launch(soon(t), 1, 1)
	require.NoError(t, err)
	stubborn := s.(*process)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(stubborn.dir, "trapped"))
		return err == nil
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, stubborn.stop(soon(t)))
	requireGone(t, []int{stubborn.pid, stubborn.guard.PID()}, stubborn.dir)
	require.NotContains(t, stubborn.ended().Error(), "killed", "the guard itself did not have to be")
}

func TestFlagsKeepTheServerInMemoryAndOnLoopback(t *testing.T) {
	for version, gated := range map[string]bool{"6.2.14": false, "7.0.15": true, "8.1.0": true} {
		p := fakeServer(t, `printf '%s\n' "$@" > "$(dirname "$0")/args"; exec sleep 60`+"\n")
		p.version = version
		s, err := p.launch(soon(t), 12345, 1)
		require.NoError(t, err)
		defer s.kill(context.Background())
		var got string
		require.Eventually(t, func() bool {
			b, _ := os.ReadFile(filepath.Join(filepath.Dir(p.path), "args"))
			got = string(b)
			return strings.Contains(got, logName)
		}, 20*time.Second, time.Millisecond)
		require.Equal(t, gated, strings.Contains(got, "--enable-debug-command\nlocal\n"), version)
		for _, want := range []string{"--port\n12345\n", "--bind\n127.0.0.1\n", "--save\n\n", "--appendonly\nno\n", "--daemonize\nno\n"} {
			require.Contains(t, got, want)
		}
	}
}
