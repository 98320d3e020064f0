package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/supervise"
	"github.com/cachedrill/cachedrill/scenarios"
)

// start starts the service and waits until it can be asked.
func (s *httpEnvironment) start(ctx context.Context, opt Options) error {
	e := &s.plan.Environment
	if len(e.Start) > 0 {
		if err := s.vacant(ctx); err != nil {
			return err
		}
		if err := s.openLog(opt.Out); err != nil {
			return err
		}
		var env []string
		for name, v := range e.Env {
			env = append(env, name+"="+scenarios.Expand(secret.Fill(v), s.env))
		}
		for name, v := range opt.Env {
			env = append(env, name+"="+v)
		}
		var err error
		if s.server, err = supervise.Start(ctx, supervise.Command{Argv: secret.FillAll(e.Start), Dir: s.plan.Dir, Env: env, Log: s.log}); err != nil {
			return fmt.Errorf("the service: %w", err)
		}
	}
	return s.ready(ctx)
}

// vacant makes sure that nothing listens where the service is about to be: it would be drilled in
// its place.
func (s *httpEnvironment) vacant(ctx context.Context) error {
	for _, r := range s.plan.Service.Regions {
		for _, base := range r.URLs {
			ctx, cancel := context.WithTimeout(ctx, knockLimit)
			err := probeTCP(ctx, s.dial, base)
			cancel()
			if err == nil {
				return fmt.Errorf("something listens on %s already, and could not be distinguished from the service that the suite starts: end it, or leave out start", base)
			}
		}
	}
	return nil
}

func (s *httpEnvironment) openLog(out string) error {
	if out != "" {
		s.log = filepath.Join(out, "service.log")
		return nil
	}
	f, err := os.CreateTemp("", "cachedrill-service-*.log")
	if err != nil {
		return fmt.Errorf("making a log for the service: %w", err)
	}
	s.log, s.tempLog = f.Name(), true
	return f.Close()
}

// ready waits until every instance answers.
func (s *httpEnvironment) ready(ctx context.Context) error {
	r := s.plan.Environment.Ready
	ctx, cancel := context.WithTimeoutCause(ctx, r.Within, errNotReady)
	defer cancel()
	began := time.Now()
	for _, region := range s.plan.Service.Regions {
		for _, base := range region.URLs {
			for {
				err := knock(ctx, s.dial, base, r.Path)
				if err == nil {
					break
				}
				if gone := s.gone(); gone != nil {
					return fmt.Errorf("the service ended before it was ready: %w", gone)
				}
				if s.server == nil && len(s.plan.Environment.Start) == 0 && errors.Is(err, syscall.ECONNREFUSED) && time.Since(began) > refusedFor {
					return fmt.Errorf("nothing listens on %s: start the service first, or have drills start it: environment: {start: [python3, app.py]}", base)
				}
				select {
				case <-time.After(readyPoll):
					continue
				case <-ctx.Done():
				}
				if errors.Is(context.Cause(ctx), errNotReady) {
					return s.late(base, r.Within, err)
				}
				return ctx.Err()
			}
		}
	}
	return nil
}

// late says that the service does not answer, and what may be the matter.
func (s *httpEnvironment) late(base string, within time.Duration, err error) error {
	hint := ""
	if s.server != nil && errors.Is(err, syscall.ECONNREFUSED) {
		hint = fmt.Sprintf("; it runs (pid %d), and nothing listens there: does it use another port?", s.server.PID())
	}
	return fmt.Errorf("the service was not ready within %v: %s: %w%s%s", within, base, err, hint, s.words())
}

// words are the end of the service's output, if it is ours to hear them.
func (s *httpEnvironment) words() string {
	if s.server == nil {
		return ""
	}
	return s.server.LastWords()
}

var errNotReady = errors.New("not ready in time")

// gone says how the service ended, unless it runs. One that ended well, and that the suite can
// stop, went into the background.
func (s *httpEnvironment) gone() error {
	if s.server == nil {
		return nil
	}
	well, err := s.server.Ended()
	if err != nil && well && len(s.plan.Environment.Stop) > 0 {
		return nil
	}
	return err
}

const knockLimit = 2 * time.Second

// dialer makes connections.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial makes connections to the service: through the gate, unless it has a way of its own.
func (s *httpEnvironment) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if own := s.plan.Service.Dial; own != nil {
		return own(ctx, network, address)
	}
	return s.gate.DialContext(ctx, network, address)
}

// knock sees whether an instance can be asked.
func knock(ctx context.Context, dial dialer, base, path string) error {
	ctx, cancel := context.WithTimeout(ctx, knockLimit)
	defer cancel()
	if path == "" {
		return probeTCP(ctx, dial, base)
	}
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	transport := &nethttp.Transport{DisableKeepAlives: true, DialContext: dial}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("GET %s answered %s", path, res.Status)
	}
	return nil
}

func probeTCP(ctx context.Context, dial dialer, base string) error {
	addr, err := hostPort(base)
	if err != nil {
		return err
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// stop runs the suite's own command first, if there is one.
func (s *httpEnvironment) stop() error {
	defer s.server.Stop()
	return runCommand(s.plan.Environment.Stop, s.plan.Dir)
}

// runCommand runs a command of the user's to its end.
func runCommand(argv []string, dir string) error {
	if len(argv) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	words := secret.FillAll(argv)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %q: %w: %.200s", argv, err, out)
	}
	return nil
}
