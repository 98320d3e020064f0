// Package reexec runs parts of cachedrill in processes of their own: things that may hang or must
// be killable (network proxies), and guards that end a server when we are gone.
//
// A child is our own binary, executed again with a role named in its environment. It gets its own
// process group, so that a Ctrl-C in a terminal, which reaches the whole foreground group, does not
// end it before its fault is healed. It ends when its standard input does: also when we are killed.
package reexec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const roleEnv = "CACHEDRILL_CHILD_ROLE"

const (
	overstay  = 5 * time.Second // a role that hangs ends by force this long after its ctx did
	pipeGrace = time.Second     // how long output is awaited from what outlives a child
)

// Role is what a child does: it reports over stdout, a line each, and returns when ctx ends, which
// is when the parent is gone or has asked it to stop.
type Role func(ctx context.Context, args []string, stdout io.Writer) error

// Main runs the role that the environment names and exits; without one it returns at once. Call it
// first thing in main, and in TestMain of every package whose tests start children: without it a
// test binary executed again would run its tests again.
func Main(roles map[string]Role) {
	name := os.Getenv(roleEnv)
	if name == "" {
		return
	}
	os.Unsetenv(roleEnv)
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "this program has no child role %q\n", name)
		os.Exit(2)
	}
	// SIGHUP: when our parent dies while a process of our group is stopped (a paused server), the
	// kernel sends it to the whole group, and dying of it would leave what we guard behind.
	signal.Ignore(syscall.SIGINT, syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	go func() {
		<-ctx.Done()
		time.Sleep(overstay)
		fmt.Fprintf(os.Stderr, "child role %s did not end within %v of being asked to\n", name, overstay)
		os.Exit(3)
	}()
	if err := role(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a running child.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string
	done  chan struct{}
	err   error // why it ended; read after done
	errs  tail
}

// Start executes our own binary in a role.
func Start(role string, args ...string) (*Process, error) { return StartWith(nil, role, args...) }

// StartWith is Start with more in the child's environment: what arguments must not hold, since
// everybody can read them.
func StartWith(env []string, role string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own binary: %w", err)
	}
	p := &Process{cmd: exec.Command(self, args...), lines: make(chan string, 64), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), env...), roleEnv+"="+role)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, outIn := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = outIn, &p.errs
	p.cmd.WaitDelay = pipeGrace
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting child %s: %w", role, err)
	}
	p.stdin = in
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting child %s: %w", role, err)
	}
	scanned := make(chan struct{})
	go func() {
		defer close(scanned)
		p.scan(out)
	}()
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		_ = outIn.Close()
		<-scanned
	}()
	return p, nil
}

func (p *Process) scan(out io.Reader) {
	defer close(p.lines)
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		select {
		case p.lines <- sc.Text():
		default: // nothing reads: the child must not block on us
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line too long ends the scanner, and must not block the child
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Line waits for the child's next line of output. Of a child that has ended it returns what is
// left, then an error that holds why it ended and the end of its stderr.
func (p *Process) Line(ctx context.Context) (string, error) {
	select {
	case l, ok := <-p.lines:
		if ok {
			return l, nil
		}
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	why := p.err
	if why == nil {
		why = errEnded
	}
	if output := p.errs.String(); output != "" {
		return "", fmt.Errorf("the child ended: %w: %s", why, output)
	}
	return "", fmt.Errorf("the child ended: %w", why)
}

var errEnded = errors.New("no more output")

// Stop asks the child to end by closing its standard input, kills it when it has not after grace,
// and waits until it is reaped. It may be called more than once.
func (p *Process) Stop(grace time.Duration) {
	_ = p.stdin.Close()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.Kill()
	}
}

// Kill ends the child's whole process group at once and waits until the child is reaped.
func (p *Process) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.stdin.Close()
	<-p.done
}

// tail keeps the last part of what was written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > tailBytes {
		t.buf = t.buf[len(t.buf)-tailBytes:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
