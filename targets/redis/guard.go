package redis

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	guardRole = "redis-guard"
	termGrace = 2 * time.Second // between SIGTERM and SIGKILL
	logName   = "server.log"
	logTail   = 1000 // bytes of the log that explain an unexpected end
)

// guard is a child that runs a server for us, so that the server ends with us however we end: it
// does when our end of the guard's standard input closes. args are the server's program and its
// flags. It prints the server's process id and directory, and removes the directory when it ends.
// When the server ends by itself, so does the guard, with an error that says why.
func guard(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%s: no server program given", guardRole)
	}
	dir, err := os.MkdirTemp("", "cachedrill-redis-")
	if err != nil {
		return fmt.Errorf("making a directory for the server: %w", err)
	}
	defer os.RemoveAll(dir)
	log, err := os.Create(filepath.Join(dir, logName))
	if err != nil {
		return fmt.Errorf("making the server's log: %w", err)
	}
	defer log.Close()

	cmd := exec.Command(args[0], append(args[1:], "--dir", dir, "--logfile", log.Name())...)
	cmd.Dir = dir
	// Redis's Lua compares strings by the collation of the locale that it was started in. Scripts
	// compare hexadecimal text, which must mean the same on every machine: bytes.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = log, log // what comes before it has opened its log
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	// The kernel sends the parent-death signal when the thread that forked ends, not the process.
	runtime.LockOSThread()
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", args[0], err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if _, err := fmt.Fprintln(stdout, cmd.Process.Pid, dir); err != nil {
		return end(cmd.Process, exited) // our parent is gone already
	}
	select {
	case <-exited:
		return fmt.Errorf("%s, pid %d, ended by itself: %v%s",
			filepath.Base(args[0]), cmd.Process.Pid, cmd.ProcessState, lastWords(log.Name()))
	case <-ctx.Done():
		return end(cmd.Process, exited)
	}
}

// end ends the server, also a paused one, and waits until it has.
func end(p *os.Process, exited <-chan error) error {
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT)
	select {
	case <-exited:
	case <-time.After(termGrace):
		_ = p.Kill()
		<-exited
	}
	return nil
}

func lastWords(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return fmt.Sprintf(" (its log can't be read: %v)", err)
	}
	output := string(b)
	if len(output) > logTail {
		output = output[len(output)-logTail:]
	}
	if output = strings.Join(strings.FieldsFunc(output, func(r rune) bool { return r == '\n' || r == '\r' }), "; "); output == "" {
		return ""
	}
	return " (its log: " + output + ")"
}
