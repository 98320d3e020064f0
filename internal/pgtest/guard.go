package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

const guardRole = "postgres-guard"

// Roles are what children of a test binary do for this package: give them to [reexec.Main] first
// thing in TestMain.
var Roles = map[string]reexec.Role{guardRole: guard}

const (
	again     = syscall.SIGUSR1 // has a guard start its server anew
	stopGrace = 2 * time.Second // between an immediate shutdown and SIGKILL
	logTail   = 1000
)

// guard is a child that runs a server for us, so that the server ends with us however we end. args
// are the directory of PostgreSQL's programs, one of our own for the cluster, the port, and the
// password of its superuser. It prints the server's process id each time it has started one. A
// server that ended is started anew on a signal.
func guard(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 4 {
		return fmt.Errorf("%s: programs, directory, port and password are needed", guardRole)
	}
	bin, dir, port, password := args[0], args[1], args[2], args[3]
	defer os.RemoveAll(dir)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, again)
	as, err := credential()
	if err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("giving the cluster's directory away: %w", err)
		}
	}
	// The kernel sends the parent-death signal when the thread that forked ends, not the process.
	runtime.LockOSThread()
	data := filepath.Join(dir, "data")
	if err := initdb(ctx, bin, dir, data, password, as); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return fmt.Errorf("making the server's log: %w", err)
	}
	defer log.Close()
	for {
		cmd := exec.Command(filepath.Join(bin, "postgres"), append([]string{"-D", data, "-k", dir, "-p", port}, settings...)...)
		cmd.Dir, cmd.Env = dir, environment()
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		dieWithParent(cmd.SysProcAttr)
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting postgres: %w", err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		if _, err := fmt.Fprintln(stdout, cmd.Process.Pid); err != nil {
			end(cmd.Process, exited) // our parent is gone already
			return nil
		}
		select {
		case <-exited:
		case <-ctx.Done():
			end(cmd.Process, exited)
			return nil
		}
		if cmd.ProcessState.Exited() {
			return fmt.Errorf("postgres ended by itself: %v%s", cmd.ProcessState, lastWords(log.Name()))
		}
		select {
		case <-signals:
		case <-ctx.Done():
			return nil
		}
	}
}

// settings of the servers: durable as in production, small, and nothing left in shared memory when
// they are killed.
var settings = []string{
	"-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on",
	"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "dynamic_shared_memory_type=mmap",
	"-c", "max_wal_senders=0", "-c", "logging_collector=off",
}

// initdb makes the cluster. Its programs refuse to be run by root.
func initdb(ctx context.Context, bin, dir, data, password string, as *syscall.Credential) error {
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the password: %w", err)
	}
	defer os.Remove(file)
	if as != nil {
		if err := os.Chown(file, int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("giving the password away: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", superuser, "--pwfile", file,
		"--auth-local=password", "--auth-host=password", // cheap: it never leaves the machine
		"--encoding=UTF8", "--locale=C", "--no-sync")
	var output bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environment(), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(output.String()))
	}
	return nil
}

// environment is ours without what would speak to another server.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") {
			env = append(env, v)
		}
	}
	return env
}

// credential is whom root runs a server as; nil for anybody else.
func credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("whom to run postgres as, which refuses to be run by root: %w", errors.Join(errs...))
}

// end shuts a server down at once, as a crash that takes its shared memory along.
func end(p *os.Process, exited <-chan error) {
	_ = p.Signal(syscall.SIGQUIT)
	_ = p.Signal(syscall.SIGCONT)
	select {
	case <-exited:
	case <-time.After(stopGrace):
		_ = p.Kill()
		<-exited
	}
}

func lastWords(log string) string {
	b, err := os.ReadFile(log)
	if err != nil || len(b) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(b[max(0, len(b)-logTail):]))
}
