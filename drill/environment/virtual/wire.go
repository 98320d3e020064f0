package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/reference/store"
)

// wire is a network link in memory: each way takes a moment, and faults are applied to it as to a
// proxy. It carries whole commands instead of bytes, and does not know which way they go:
//   - a blackhole, stall or reset of one direction meets a command on its way there;
//   - latency of one direction is shared by both ways, so that an answer is as late as it should
//     be;
//   - messages to listeners, which nothing holds back, are lost under a stall as under a blackhole;
//   - a half-open wire loses commands as a blackhole does, and a listener that has lost a message
//     hears nothing ever after.
//
// It implements [store.Wire] and [faults.Link].
type wire struct {
	mu       sync.Mutex
	rng      *rand.Rand
	requests link.Requests
	changed  chan struct{} // closed and replaced when requests change
	mute     map[any]bool  // listeners that hear nothing any more
}

func newWire(rng *rand.Rand) *wire {
	return &wire{rng: rng, changed: make(chan struct{}), mute: map[any]bool{}}
}

// One way takes between these times.
const (
	shortest = 100 * time.Microsecond
	longest  = 500 * time.Microsecond
)

// silence is after how long of it a client that set no deadline gives up.
const silence = 600 * time.Millisecond

// Carry implements [store.Wire].
func (w *wire) Carry(ctx context.Context) error {
	if err := pause.For(ctx, w.takes()); err != nil {
		return err
	}
	for {
		s, changed := w.state()
		switch {
		case s.Refused:
			return store.ErrRefused
		case s.is(func(d link.Shape) bool { return d.Reset }):
			return syscall.ECONNRESET
		case s.is(func(d link.Shape) bool { return d.Drop || d.Mute }):
			if err := pause.For(ctx, silence); err != nil {
				return err
			}
			return context.DeadlineExceeded
		case s.is(func(d link.Shape) bool { return d.Stall }):
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}

// takes draws how long one way takes.
func (w *wire) takes() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := shortest + time.Duration(w.rng.Int64N(int64(longest-shortest)))
	var delay, jitter time.Duration
	for _, d := range w.requests.Sum().Shapes {
		delay, jitter = delay+d.Delay, jitter+d.Jitter
	}
	if jitter > 0 {
		delay += time.Duration(w.rng.Int64N(2*int64(jitter)+1)) - jitter
	}
	return took + delay/2 // a command and its answer go this way each
}

// wireState is what a wire does.
type wireState struct{ link.State }

func (s wireState) is(what func(link.Shape) bool) bool { return what(s.Shapes[0]) || what(s.Shapes[1]) }

func (w *wire) state() (wireState, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return wireState{w.requests.Sum()}, w.changed
}

// Hears implements [store.Wire].
func (w *wire) Hears(listener any) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := wireState{w.requests.Sum()}
	if s.is(func(d link.Shape) bool { return d.Mute }) {
		w.mute[listener] = true
	}
	return !w.mute[listener] && !s.Refused && !s.is(func(d link.Shape) bool { return d.Reset || d.Drop || d.Stall })
}

// Apply implements [faults.Link].
func (w *wire) Apply(_ context.Context, owner any, modes ...link.Mode) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = w.requests.With(owner, modes...)
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// Clear implements [faults.Link].
func (w *wire) Clear(ctx context.Context, owner any) error { return w.Apply(ctx, owner) }

// HeldByOthers implements [faults.Link].
func (w *wire) HeldByOthers(_ context.Context, owner any) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests.Others(owner), nil
}

// Revived implements [faults.Link]: a wire does not break by itself.
func (w *wire) Revived() (carrier any, times int) { return w, 0 }

var _ faults.Link = (*wire)(nil)

// prober probes what a wire leads to. It implements [faults.Prober].
type prober struct {
	wire *wire
	far  func(context.Context) error // asks the far end itself
}

// Through implements [faults.Prober].
func (p prober) Through(ctx context.Context) error {
	err := p.wire.Carry(ctx)
	if err == nil {
		err = p.far(ctx)
	}
	if err == nil {
		err = p.wire.Carry(ctx)
	}
	return refusal(err)
}

// Past implements [faults.Prober].
func (p prober) Past(ctx context.Context) error { return refusal(p.far(ctx)) }

// Dial implements [faults.Prober].
func (p prober) Dial(ctx context.Context) (net.Conn, error) {
	if s, _ := p.wire.state(); s.Refused {
		return nil, refusal(store.ErrRefused)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	c := &conn{Conn: near, wire: p.wire, closed: make(chan struct{})}
	c.watching.Go(func() { c.watch(far) })
	return c, nil
}

// Ask implements [faults.Prober].
func (p prober) Ask(ctx context.Context, over net.Conn) error {
	c := over.(*conn)
	if s, _ := p.wire.state(); s.is(func(d link.Shape) bool { return d.Mute }) {
		c.mute.Store(true)
	}
	if c.mute.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.Through(ctx)
}

// refusal has a store's refusal be one of a network too.
func refusal(err error) error {
	if errors.Is(err, store.ErrRefused) {
		return fmt.Errorf("%w: %w", err, syscall.ECONNREFUSED)
	}
	return err
}

// conn is a connection through a wire, over which nothing is sent but what a fault does to it.
type conn struct {
	net.Conn // what is written to it is read by watch
	wire     *wire

	watching sync.WaitGroup
	once     sync.Once
	mute     atomic.Bool // it has lost something to a half-open wire
	closed   chan struct{}
	cut      error // why it ended; written before the pipe is closed
}

// watch ends the connection when the wire refuses or resets connections.
func (c *conn) watch(far net.Conn) {
	defer func() { _ = far.Close() }()
	c.watching.Go(func() { // takes what is written
		for buf := make([]byte, 64); ; {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	})
	for {
		s, changed := c.wire.state()
		switch {
		case s.is(func(d link.Shape) bool { return d.Reset }):
			c.cut = syscall.ECONNRESET
			return
		case s.Refused:
			c.cut = net.ErrClosed
			return
		}
		select {
		case <-changed:
		case <-c.closed:
			return
		}
	}
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.why(err)
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.why(err)
}

// why gives what a fault did instead of how the pipe ended.
func (c *conn) why(err error) error {
	if (errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)) && c.cut != nil {
		return c.cut
	}
	return err
}

// Close implements [net.Conn], and waits for what watches the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	c.watching.Wait()
	return err
}
