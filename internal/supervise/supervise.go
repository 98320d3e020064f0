// Package supervise runs a command of the user's under a guard, which ends it and everything that
// it has started when this process is gone, however it ended. The command's output goes to a file.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

const (
	role = "supervise"
	// termGrace is between SIGTERM and SIGKILL; a child that takes much longer is ended by force
	// itself.
	termGrace  = 3 * time.Second
	guardGrace = termGrace + 1500*time.Millisecond
	logTail    = 600 // bytes of the log that explain an end
)

// Roles are the children that commands run under; main and every TestMain hand them to
// [reexec.Main].
var Roles = map[string]reexec.Role{role: guard}

// Command is what to run.
type Command struct {
	Argv []string // the program, looked up on PATH, and its arguments
	Dir  string   // where; "": here
	Env  []string // NAME=value, besides ours
	Log  string   // the file for its output
}

// String gives the command with the program as found on PATH, and its directory.
func (c Command) String() string {
	words := slices.Clone(c.Argv)
	if path, err := exec.LookPath(c.Argv[0]); err == nil {
		words[0] = path
	}
	if dir, err := filepath.Abs(c.Dir); err == nil {
		return strings.Join(words, " ") + " in " + dir
	}
	return strings.Join(words, " ")
}

// Process is a command that runs.
type Process struct {
	cmd   Command
	guard *reexec.Process
	pid   int
	from  int64 // where in the log its own output begins
}

// Start starts a command. It fails when the program can't be executed, not when it ends soon after.
func Start(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("there is no command to start")
	}
	log, err := filepath.Abs(c.Log)
	if err != nil {
		return nil, err
	}
	c.Log = log
	from := int64(0)
	if st, err := os.Stat(log); err == nil {
		from = st.Size()
	}
	g, err := reexec.StartWith(c.Env, role, append([]string{c.Dir, log}, c.Argv...)...)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: c, guard: g, from: from}
	line, err := g.Line(ctx)
	if err == nil {
		p.pid, err = strconv.Atoi(line)
	}
	if err != nil {
		g.Stop(guardGrace)
		return nil, fmt.Errorf("starting %s: %w", c.Argv[0], err)
	}
	return p, nil
}

// PID is the command's process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the command has ended, and its guard with it.
func (p *Process) Done() <-chan struct{} { return p.guard.Done() }

// Ended is the error of a command that ended by itself, with the end of its output; nil while it
// runs. succeeded reports exit status 0, as of a command that put itself into the background.
func (p *Process) Ended() (succeeded bool, err error) {
	select {
	case <-p.guard.Done():
	default:
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // it answers at once
	defer cancel()
	line, err := p.guard.Line(ctx)
	if err != nil {
		return false, err
	}
	return line == ended+"exit status 0", fmt.Errorf("%s%s; it was: %s", strings.TrimPrefix(line, ended), p.LastWords(), p.cmd)
}

const ended = "ended: "

// Stop ends the command: SIGTERM to its process group, SIGKILL after 3 s. It may be called again.
func (p *Process) Stop() { p.guard.Stop(guardGrace) }

// guard runs the command. args are its directory, its log, and its program with arguments.
func guard(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) < 3 {
		return errors.New("no program given")
	}
	log, err := os.OpenFile(args[1], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening its log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = args[0], log, log
	// A group of its own, so that everything it starts can be ended with it, without ending this
	// guard.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lockThread() // the parent-death signal is about the thread
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its state says it
	}()
	if _, err := fmt.Fprintln(stdout, cmd.Process.Pid); err != nil {
		end(cmd.Process.Pid, exited)
		return err
	}
	select {
	case <-exited:
		_, err := fmt.Fprintln(stdout, ended+cmd.ProcessState.String())
		if cmd.ProcessState.ExitCode() != 0 { // what it started goes with it; one that has gone into the background keeps it
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return err
	case <-ctx.Done():
		end(cmd.Process.Pid, exited)
		return nil
	}
}

// end ends a process group, also a paused one, and waits until its leader has ended.
func end(pid int, exited <-chan struct{}) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	_ = syscall.Kill(-pid, syscall.SIGCONT)
	select {
	case <-exited:
	case <-time.After(termGrace):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // and what ignored it
	select {
	case <-exited:
	case <-time.After(time.Second):
	}
}

// LastWords is the end of the command's output, as an error shows it; "" without output.
func (p *Process) LastWords() string {
	f, err := os.Open(p.cmd.Log)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	_, _ = f.Seek(max(p.from, st.Size()-logTail), io.SeekStart)
	b, _ := io.ReadAll(io.LimitReader(f, logTail))
	lines := strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' || r == '\r' })
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return ": " + lines[0]
	}
	last := len(lines) - 1
	return ": " + lines[last] + " (before that: " + strings.Join(lines[:last], "; ") + ")"
}
