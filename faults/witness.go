package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/faults/link"
)

// limited makes one probe, which must not take long.
func limited(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return probe(ctx)
}

// expectRefusal makes a connection that must end with an error of its own kind.
func expectRefusal(ctx context.Context, p Prober, want error) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	c, err := p.Dial(ctx)
	if err == nil {
		end, _ := ctx.Deadline()
		_ = c.SetDeadline(end)
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("it met %v", err)
}

// witness is a connection that was open before the fault.
type witness struct {
	conn net.Conn
	ask  func(context.Context, net.Conn) error // nil: it says nothing
}

// openWitnesses opens a connection through every edge that is about to be refused, reset or half
// open; nil for one that another fault has.
func (b *edgeFault) openWitnesses(ctx context.Context) (all []*witness, err error) {
	open := newWitness
	switch {
	case b.site.Inert():
		return nil, nil
	case b.mode.Kind == link.HalfOpen:
		open = newTalker
	case b.mode.Kind != link.Refuse && b.mode.Kind != link.Reset:
		return nil, nil
	}
	for _, e := range b.edges {
		w, err := open(ctx, e.Prober)
		if err != nil && !b.crossed[e.name] {
			return all, fmt.Errorf("%s: %w", e.name, err)
		}
		all = append(all, w)
	}
	return all, nil
}

func closeWitnesses(all []*witness) {
	for _, w := range all {
		if w != nil {
			w.close()
		}
	}
}

func newWitness(ctx context.Context, p Prober) (*witness, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	c, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	// A far end that greets has done so by then; one that hangs up at once makes no witness.
	if err := drain(c, time.Now().Add(20*time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.Close()
		return nil, fmt.Errorf("it does not keep connections open: %w", err)
	}
	return &witness{conn: c}, nil
}

// newTalker opens a connection over which a request has been answered.
func newTalker(ctx context.Context, p Prober) (*witness, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	c, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Ask(ctx, c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &witness{c, p.Ask}, nil
}

// silent reports whether every witness, asked again, hears nothing, and not that its connection has
// ended.
func silent(ctx context.Context, all []*witness) bool {
	mute := make([]bool, len(all))
	var g errgroup.Group
	for i, w := range all {
		g.Go(func() error { mute[i] = w == nil || w.silent(ctx); return nil })
	}
	_ = g.Wait()
	return !slices.Contains(mute, false)
}

func (w *witness) silent(ctx context.Context) bool {
	_ = w.conn.SetDeadline(time.Now().Add(probeLimit))
	if _, err := io.WriteString(w.conn, "\r\n"); err != nil { // so that something is lost, whatever the request is
		return false
	}
	err := limited(ctx, func(ctx context.Context) error { return w.ask(ctx, w.conn) })
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func drain(c net.Conn, until time.Time) error {
	_ = c.SetReadDeadline(until)
	for buf := make([]byte, 512); ; {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

// cut waits for the connection to end; under a reset, when bytes move.
func (w *witness) cut(ctx context.Context, m link.Mode) error {
	until := time.Now().Add(time.Second)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if m.Kind == link.Refuse {
		if err := drain(w.conn, until); errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("it is still open")
		}
		return nil
	}
	if !m.Direction.Has(link.Streams[0]) {
		return nil // what would move is up to the other end
	}
	_ = w.conn.SetWriteDeadline(until)
	_, err := io.WriteString(w.conn, "\r\n")
	if err == nil {
		err = drain(w.conn, until)
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return fmt.Errorf("it was not reset: %w", err)
}

func (w *witness) close() { _ = w.conn.Close() }
