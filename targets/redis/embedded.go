package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"

	"github.com/cachedrill/cachedrill/targets"
)

// miniredis ages TTLs only on request. A tick sorts all keys under the server's one lock; measured
// with miniredis 2.40: 0.2 ms at 1,000 keys, 1.2 ms at 5,000, 8 ms at 20,000. Its own ClockTTL does
// the same work on every command, which no load would survive.
//
// A tick ages a key by the whole time since the last one, also when the key is younger: an expiry
// comes up to one tick early or late.
const (
	tickEvery = 10 * time.Millisecond
	tickShare = 10 // ticks take at most one in so many of all moments: with many keys they get rarer
	wakeEvery = 20 * time.Millisecond
)

// embedded is one incarnation of a server within this process. Each has a miniredis of its own
// instead of a restarted one, which would still know the scripts of its former life and would leave
// blocking commands unanswered (2.40: Close cancels its context for good).
type embedded struct {
	runID    string
	mini     *miniredis.Miniredis
	srv      *miniserver.Server
	listener net.Listener // ours: miniredis's own accepts before it knows its commands

	ending    sync.Once
	stopC     chan struct{} // closed to end it
	accepting sync.WaitGroup
	ageing    sync.WaitGroup
	down      chan struct{} // closed when nothing of it is left
}

func launchEmbedded(_ context.Context, port, nth int) (server, error) {
	l, err := net.Listen("tcp4", loopback(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %w", errPortTaken, err)
	}
	if err != nil {
		return nil, err
	}
	e := &embedded{
		runID:    "embedded-" + strconv.Itoa(nth),
		mini:     miniredis.NewMiniRedis(),
		listener: l,
		stopC:    make(chan struct{}),
		down:     make(chan struct{}),
	}
	c, err := e.mini.Dial() // makes its server, without a listener
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting miniredis: %w", err), l.Close())
	}
	_ = c.Close()
	e.srv = e.mini.Server()
	e.srv.SetPreHook(e.info)
	e.accepting.Go(e.accept)
	e.ageing.Go(e.age)
	return e, nil
}

func (e *embedded) accept() {
	for {
		c, err := e.listener.Accept()
		switch {
		case err == nil:
			e.srv.ServeConn(c)
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of file descriptors, or a connection that is gone already
			select {
			case <-time.After(tickEvery):
			case <-e.stopC:
			}
		}
	}
}

// info answers INFO server, which miniredis doesn't know.
func (e *embedded) info(c *miniserver.Peer, cmd string, args ...string) bool {
	if cmd != "INFO" || len(args) != 1 || !strings.EqualFold(args[0], "server") {
		return false
	}
	version := strings.TrimPrefix(miniredisVersion(), "miniredis ")
	c.WriteBulk(fmt.Sprintf("# Server\r\nminiredis_version:%s\r\nprocess_id:0\r\nrun_id:%s\r\n", version, e.runID))
	return true
}

// age lets TTLs pass in real time.
func (e *embedded) age() {
	last := time.Now()
	for wait := tickEvery; ; {
		select {
		case <-time.After(wait):
		case <-e.stopC:
			return
		}
		began := time.Now()
		e.mini.FastForward(began.Sub(last))
		last = began
		wait = max(tickEvery, (tickShare-1)*time.Since(began))
	}
}

// shut ends it in an order that miniredis's own Close does not keep: that drops its server while
// commands still run, and one that uses it (INFO, a script that calls a command) panics; and it
// waits for a lock that a publisher holds for as long as a subscriber does not read.
func (e *embedded) shut() {
	defer close(e.down)
	_ = e.listener.Close()
	e.mini.CtxCancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		e.accepting.Wait() // a connection that came after its Close would stay
		e.srv.Close()
		e.ageing.Wait()
	}()
	for {
		select {
		case <-closed:
			return
		case <-time.After(wakeEvery):
			// Wakes blocked commands, which see then that they have to end. (Their own wake-up at
			// CtxCancel is sent without the lock and can get lost.)
			e.mini.FlushAll()
		}
	}
}

func (e *embedded) stop(ctx context.Context) error {
	e.ending.Do(func() {
		close(e.stopC)
		go e.shut()
	})
	select {
	case <-e.down:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a command is still running in it: %w", ctx.Err())
	}
}

func (e *embedded) kill(ctx context.Context) error   { return e.stop(ctx) }
func (e *embedded) pause() error                     { return errNoPause }
func (e *embedded) resume() error                    { return errNoPause }
func (e *embedded) ended() error                     { return nil }
func (e *embedded) is(id targets.RedisIdentity) bool { return id.RunID == e.runID && id.PID == 0 }

var errNoPause = fmt.Errorf("the %s backend has no process to pause: %w", Embedded, errors.ErrUnsupported)

// miniredisVersion gives e.g. "miniredis 2.40.0", or without the number where the binary doesn't
// tell what it was built from, as test binaries don't.
var miniredisVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/alicebob/miniredis/v2" {
				return "miniredis " + strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "miniredis"
})
