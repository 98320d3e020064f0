package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/targets"
)

const (
	startTimeout  = 10 * time.Second      // of a whole Start, on top of its ctx
	stopTimeout   = 5 * time.Second       // of a Stop or Kill, on top of its ctx
	rebindEvery   = 50 * time.Millisecond // between tries to get an occupied port back
	probeEvery    = 5 * time.Millisecond  // between questions whether a new server answers
	probePatience = 500 * time.Millisecond
	refuseWithin  = time.Second     // after the end of a server
	patience      = 2 * time.Second // of the administrative client, for each step
	portTries     = 10              // of the first Start
)

var (
	errPortTaken = errors.New("the port is taken")
	errClosed    = errors.New("the node is closed")
)

// server is one incarnation of a running server. stop and kill return nil once it is ended for good
// and its files are gone (its port may be closed a moment later), and may be repeated after an
// error.
type server interface {
	stop(ctx context.Context) error
	kill(ctx context.Context) error
	pause() error
	resume() error
	ended() error                  // why it ended by itself; nil while it runs
	is(targets.RedisIdentity) bool // whether it is this server that answered so
}

// launcher starts the nth incarnation of a server on a port of 127.0.0.1. The error is
// errPortTaken, wrapped, when somebody else has it. The server may need a moment until it answers.
type launcher func(ctx context.Context, port, nth int) (server, error)

// node is the life of a server, whatever kind it is.
type node struct {
	facts
	name    string
	backend Backend
	launch  launcher
	client  *goredis.Client

	life context.Context // ends with Close
	end  context.CancelFunc
	ops  chan struct{} // holds one element while somebody changes the state

	nth    int  // launches so far; of the holder of ops
	closed bool // whether the client is; of the holder of ops

	mu   sync.Mutex // guards what follows; written only by the holder of ops
	port int        // 0 before the first successful Start
	cur  server     // nil: stopped
}

func newNode(name string, b Backend, f facts, l launcher) *node {
	n := &node{facts: f, name: name, backend: b, launch: l, ops: make(chan struct{}, 1)}
	n.life, n.end = context.WithCancel(context.Background())
	n.client = newClient(name, n.Addr, patience)
	return n
}

// begin waits until no other call changes the state. The context it returns ends with ctx, with the
// node, and after limit; done must be called.
func (n *node) begin(ctx context.Context, limit time.Duration) (_ context.Context, done func(), _ error) {
	select {
	case n.ops <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-n.life.Done():
		return nil, nil, errClosed
	}
	if n.life.Err() != nil || ctx.Err() != nil {
		<-n.ops
		if n.life.Err() != nil {
			return nil, nil, errClosed
		}
		return nil, nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	detach := context.AfterFunc(n.life, cancel)
	return ctx, func() { detach(); cancel(); <-n.ops }, nil
}

func (n *node) current() (server, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cur, n.port
}

func (n *node) set(cur server, port int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cur, n.port = cur, port
}

// Start is [Node.Start].
func (n *node) Start(ctx context.Context) error {
	ctx, done, err := n.begin(ctx, startTimeout)
	if err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	defer done()
	cur, port := n.current()
	if cur != nil {
		if err := cur.ended(); err != nil {
			return fmt.Errorf("starting %s: %w", n.name, err)
		}
		return fmt.Errorf("starting %s: it is running already", n.name)
	}
	if port == 0 {
		err = n.startAnywhere(ctx)
	} else {
		err = n.startAgain(ctx, port)
	}
	if err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	return nil
}

func (n *node) startAnywhere(ctx context.Context) error {
	var err error
	for range portTries {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = n.startOn(ctx, port); err == nil || !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// startAgain wants the same port again, and waits for what sits on it now: connections of the last
// incarnation that linger, or a passer-by.
func (n *node) startAgain(ctx context.Context, port int) error {
	for {
		err := n.startOn(ctx, port)
		if err == nil || !errors.Is(err, errPortTaken) {
			return err
		}
		select {
		case <-time.After(rebindEvery):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (n *node) startOn(ctx context.Context, port int) error {
	n.nth++
	s, err := n.launch(ctx, port, n.nth)
	if err != nil {
		return err
	}
	if err := n.await(ctx, s, port); err != nil {
		cleanup, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = s.kill(cleanup)
		return err
	}
	n.set(s, port)
	return nil
}

// await asks at the port until s itself answers. It uses a client of its own, which keeps the
// failures out of the administrative one.
func (n *node) await(ctx context.Context, s server, port int) error {
	c := newClient(n.name, func() string { return loopback(port) }, probePatience)
	defer c.Close()
	for {
		id, err := ask(ctx, c, n.backend)
		if err == nil && s.is(id) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("another server answers at %s: %s", loopback(port), id)
		}
		if end := s.ended(); end != nil {
			return end
		}
		select {
		case <-time.After(probeEvery):
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w (%w)", err, ctx.Err())
		}
	}
}

// Stop is [Node.Stop].
func (n *node) Stop(ctx context.Context) error {
	return n.finish(ctx, "stopping", server.stop)
}

// Kill is [Node.Kill].
func (n *node) Kill(ctx context.Context) error {
	return n.finish(ctx, "killing", server.kill)
}

func (n *node) finish(ctx context.Context, doing string, how func(server, context.Context) error) error {
	return n.change(ctx, doing, func(ctx context.Context, cur server, port int) error {
		died := cur.ended()
		if err := how(cur, ctx); err != nil {
			return err
		}
		n.set(nil, port)
		return errors.Join(died, awaitRefused(loopback(port)))
	})
}

// awaitRefused makes sure that nothing listens any more. A server that was killed together with its
// guard is reparented: its end is not reported here.
func awaitRefused(addr string) error {
	for deadline := time.Now().Add(refuseWithin); ; {
		c, err := net.DialTimeout("tcp4", addr, refuseWithin)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			_ = c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it was ended, but %s still does not refuse connections (%v)", addr, err)
		}
		<-time.After(probeEvery)
	}
}

// Pause is [Node.Pause].
func (n *node) Pause(ctx context.Context) error {
	return n.change(ctx, "pausing", func(_ context.Context, cur server, _ int) error {
		if err := cur.ended(); err != nil {
			return err
		}
		return cur.pause()
	})
}

// Resume is [Node.Resume].
func (n *node) Resume(ctx context.Context) error {
	return n.change(ctx, "resuming", func(_ context.Context, cur server, _ int) error {
		if err := cur.ended(); err != nil {
			return err
		}
		return cur.resume()
	})
}

func (n *node) change(ctx context.Context, doing string, do func(context.Context, server, int) error) error {
	ctx, done, err := n.begin(ctx, stopTimeout)
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, n.name, err)
	}
	defer done()
	cur, port := n.current()
	if cur == nil {
		return fmt.Errorf("%s %s: it is not running", doing, n.name)
	}
	if err := do(ctx, cur, port); err != nil {
		return fmt.Errorf("%s %s: %w", doing, n.name, err)
	}
	return nil
}

// Addr is [Node.Addr].
func (n *node) Addr() string {
	if _, port := n.current(); port != 0 {
		return loopback(port)
	}
	return ""
}

// Client is [Node.Client].
func (n *node) Client() *goredis.Client { return n.client }

// Keys is [Node.Keys].
func (n *node) Keys() faults.Keys { return rediskeys.Of(n.client) }

// Ping implements [faults.ServerProbe].
func (n *node) Ping(ctx context.Context) error { return rediskeys.Ping(ctx, n.client, n.Addr()) }

// Location implements [faults.ServerFacts].
func (n *node) Location() undo.Server { return undo.Server{Addr: n.Addr()} }

// Identity is [Node.Identity].
func (n *node) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	cur, _ := n.current()
	if cur == nil {
		return targets.RedisIdentity{}, fmt.Errorf("identifying %s: it is not running", n.name)
	}
	id, err := ask(ctx, n.client, n.backend)
	switch end := cur.ended(); {
	case end != nil:
		err = end
	case err == nil && !cur.is(id):
		err = fmt.Errorf("another server answers at %s: %s", n.Addr(), id)
	case errors.Is(err, os.ErrDeadlineExceeded) && passed(ctx):
		// The client gave its connection the deadline of ctx, which may be a moment behind it.
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if err != nil {
		return targets.RedisIdentity{}, fmt.Errorf("identifying %s: %w", n.name, err)
	}
	return id, nil
}

func passed(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// Close is [Node.Close].
func (n *node) Close() error {
	n.end() // what is under way gives up
	n.ops <- struct{}{}
	defer func() { <-n.ops }()
	var errs error
	if cur, port := n.current(); cur != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := cur.stop(ctx); err != nil {
			errs = fmt.Errorf("closing %s: %w", n.name, err)
		} else {
			n.set(nil, port)
		}
	}
	if !n.closed {
		n.closed = true
		errs = errors.Join(errs, n.client.Close())
	}
	return errs
}
