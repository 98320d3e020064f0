package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets"
)

// guardGrace is how long a guard may take to end its server.
const guardGrace = termGrace + time.Second

// process is one incarnation of a server in a process of its own, under its guard and in the
// guard's process group.
type process struct {
	guard  *reexec.Process
	server *os.Process // a handle that can't be mistaken for a later process with the same id
	pid    int
	dir    string
	tidy   sync.Once
}

// launch starts the program; its flags keep everything in memory and on loopback.
func (p program) launch(ctx context.Context, port, _ int) (server, error) {
	args := []string{p.path,
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning",
	}
	if p.debugGated() {
		args = append(args, "--enable-debug-command", "local")
	}
	g, err := reexec.Start(guardRole, args...)
	if err != nil {
		return nil, err
	}
	s := &process{guard: g}
	if err := s.meet(ctx); err != nil {
		s.guard.Stop(guardGrace)
		s.clean()
		return nil, fmt.Errorf("waiting for the guard of %s: %w", p.path, err)
	}
	return s, nil
}

// meet hears from the guard which process is the server.
func (p *process) meet(ctx context.Context) error {
	line, err := p.guard.Line(ctx)
	if err != nil {
		return err
	}
	id, dir, _ := strings.Cut(line, " ")
	if p.pid, err = strconv.Atoi(id); err != nil || dir == "" {
		return fmt.Errorf("it printed %q instead of a process id and a directory", line)
	}
	p.dir = dir
	if p.server, err = os.FindProcess(p.pid); err != nil {
		return fmt.Errorf("finding process %d: %w", p.pid, err)
	}
	return nil
}

func (p *process) stop(ctx context.Context) error {
	killed := make(chan struct{})
	detach := context.AfterFunc(ctx, func() { defer close(killed); p.guard.Kill() })
	p.guard.Stop(guardGrace)
	if !detach() {
		<-killed
	}
	return p.clean()
}

// kill waits for the guard, which knows when the server is gone.
func (p *process) kill(ctx context.Context) error {
	_ = p.server.Kill() // fails when the server has ended: then the guard is about to
	select {
	case <-p.guard.Done():
	case <-ctx.Done():
		p.guard.Kill()
	}
	return p.clean()
}

// clean removes what a guard that was killed has left.
func (p *process) clean() error {
	p.tidy.Do(func() {
		if p.server != nil {
			_ = p.server.Release()
		}
	})
	if p.dir == "" {
		return nil
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("removing the directory of its server: %w", err)
	}
	return nil
}

func (p *process) pause() error  { return p.signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) error {
	if err := p.server.Signal(s); err != nil {
		return fmt.Errorf("sending %v to process %d: %w", s, p.pid, err)
	}
	return nil
}

func (p *process) is(id targets.RedisIdentity) bool { return id.PID == p.pid }

// ended asks the guard, which ends when its server does.
func (p *process) ended() error {
	select {
	case <-p.guard.Done():
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // it answers at once
	defer cancel()
	_, err := p.guard.Line(ctx)
	if err == nil {
		err = errors.New("its guard ended")
	}
	if strings.Contains(err.Error(), "Address already in use") {
		return fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}
