package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	edgesInjectLimit = 10 * time.Second
	edgesHealLimit   = 20 * time.Second
	probeLimit       = 300 * time.Millisecond // of one probe: no answer within it is no answer
)

// bending is edges whose proxies do something to what passes.
type bending struct {
	title string // of the fault
	site  Site
	edges []Edge
	mode  Mode
	sham  bool
	name  string // of the edges, in evidence
	ends  string // of their far ends

	began    time.Time
	revivals int             // of the proxies, before the fault
	crossed  map[string]bool // edges that another fault had already
	first    string
	last     string
	restored bool
	stopped  context.CancelFunc // of the timing
	timed    chan map[string]timing
	timings  map[string]timing // by edge
}

// bend has the proxies of some edges do something for a while.
func bend(ctx context.Context, b *bending, hold time.Duration) (Injected, error) {
	inject, cancel := context.WithTimeout(ctx, edgesInjectLimit)
	defer cancel()
	if err := b.inject(inject); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), edgesHealLimit)
		defer cancel()
		return Injected{}, halfDone(err, b.restore(undo))
	}
	if b.mode.Kind == Latency && !b.sham {
		b.startTiming(ctx, hold)
	}
	return Injected{Evidence: b.first, Began: b.began, Hold: hold, Heal: healOnce(edgesHealLimit, b.heal)}, nil
}

// pickEdges gives the named edges of a site, which must have a proxy and a probe. Names may be globs.
func pickEdges(site Site, names []string) ([]Edge, error) {
	found, missed := matchEdges(names, sortedKeys(site.Edges))
	if missed != "" {
		return nil, fmt.Errorf("this target offers no edge %q with a proxy and a probe", missed)
	}
	var out []Edge
	for _, name := range found {
		e := site.Edges[name]
		if e.Proxy == nil || e.Probe == nil {
			return nil, fmt.Errorf("this target offers no edge %q with a proxy and a probe", name)
		}
		e.Name = name
		out = append(out, e)
	}
	return out, nil
}

func (b *bending) inject(ctx context.Context) error {
	b.crossed = map[string]bool{}
	for _, e := range b.edges {
		other, err := e.Proxy.Asked(ctx, b)
		if err != nil {
			return err
		}
		b.crossed[e.Name] = other
	}
	if err := b.answered(ctx, b.crossed); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	var witnesses []*witness
	if !b.sham && (b.mode.Kind == Refuse || b.mode.Kind == Reset) {
		for _, e := range b.edges {
			w, err := newWitness(ctx, e.Proxy.Listen())
			if err == nil {
				defer w.close()
			} else if !b.crossed[e.Name] {
				return fmt.Errorf("before the fault: %s: %w", e.Name, err)
			}
			witnesses = append(witnesses, w)
		}
	}
	b.revivals = b.countRevivals()
	b.began = time.Now()
	if b.sham {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		g.Go(func() error { return e.Proxy.Ask(gctx, b, b.mode) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if b.mode.Kind == Latency {
		return nil // seen by and by
	}
	b.first = b.bitten(ctx)
	for i, w := range witnesses {
		if w == nil {
			continue
		}
		if err := w.cut(ctx, b.mode); err != nil {
			b.first = ""
			return fmt.Errorf("a connection through %s that was open before: %w", b.edges[i].Name, err)
		}
	}
	return nil
}

// answered asks every edge once through its proxy, except some.
func (b *bending) answered(ctx context.Context, except map[string]bool) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		if except[e.Name] {
			continue
		}
		g.Go(func() error {
			if err := probe(gctx, e, e.Proxy.Listen()); err != nil {
				return fmt.Errorf("%s does not answer: %w", e.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// bitten says what every edge does to a probe through its proxy, although every far end answers directly;
// "" when that is not so.
func (b *bending) bitten(ctx context.Context) string {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		g.Go(func() error {
			if err := b.bites(gctx, e); err != nil {
				return err
			}
			return probe(gctx, e, e.Upstream)
		})
	}
	if g.Wait() != nil {
		return ""
	}
	what := map[ModeKind]string{
		Blackhole: "no answer through the proxies within " + probeLimit.String(),
		Stall:     "no answer through the proxies within " + probeLimit.String(),
		Refuse:    "connections through the proxies are refused",
		Reset:     "connections through the proxies are reset",
	}[b.mode.Kind]
	return fmt.Sprintf("%s: %s, while %s directly%s", b.name, what, b.ends, b.site.stamp())
}

// bites makes a new connection through a proxy, and says what is wrong when it fares well.
func (b *bending) bites(ctx context.Context, e Edge) error {
	switch b.mode.Kind {
	case Refuse:
		return meets(ctx, e.Proxy.Listen(), syscall.ECONNREFUSED)
	case Reset:
		return meets(ctx, e.Proxy.Listen(), syscall.ECONNRESET)
	}
	err := probe(ctx, e, e.Proxy.Listen())
	if err == nil {
		return errors.New("it answers")
	}
	if errors.Is(err, syscall.ECONNREFUSED) && !b.crossed[e.Name] {
		return err // that is another fault than ours
	}
	return nil
}

// meets makes a connection that must end with an error of its own kind.
func meets(ctx context.Context, addr string, want error) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
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

func probe(ctx context.Context, e Edge, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return e.Probe(ctx, addr)
}

func (b *bending) restore(ctx context.Context) error {
	if b.sham || b.restored || b.began.IsZero() {
		return nil
	}
	// Each edge is restored even when another one can't be.
	errs := make([]error, len(b.edges))
	var g errgroup.Group
	for i, e := range b.edges {
		g.Go(func() error { errs[i] = e.Proxy.Release(ctx, b); return nil })
	}
	_ = g.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restoring the edges: %w", err)
	}
	b.restored = true
	return nil
}

func (b *bending) heal(ctx context.Context) (string, error) {
	if b.first != "" && b.last == "" && !b.restored {
		b.last = b.bitten(ctx)
	}
	b.endTiming()
	if err := b.restore(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", b.title, err)
	}
	still, err := b.settle(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: after the heal: %w", b.title, err)
	}
	return b.evidence(still), nil
}

// settle waits until every edge answers as it should again, and names those that another fault still has:
// of them it can only be said that their proxies confirmed to do nothing for this one.
func (b *bending) settle(ctx context.Context) (still []string, err error) {
	for {
		except := map[string]bool{}
		still = nil
		for _, e := range b.edges {
			other, err := e.Proxy.Asked(ctx, b)
			if err != nil {
				return nil, err
			}
			if except[e.Name] = other; other {
				still = append(still, e.Name)
			}
		}
		err := b.answered(ctx, except)
		if err == nil {
			err = b.prompt(ctx, except)
		}
		if err == nil {
			return still, nil
		}
		if wait(ctx, time.Now().Add(20*time.Millisecond)) != nil {
			return nil, err
		}
	}
}

func (b *bending) evidence(still []string) string {
	also := ""
	if n := b.countRevivals() - b.revivals; n > 0 {
		also = fmt.Sprintf("; proxies that hung or died were started anew on the same ports (%d times), which cut every connection through them", n)
	}
	again := "it answers through the proxies again"
	switch {
	case len(still) == len(b.edges):
		again = "then the proxies confirmed to do so no more"
	case b.ends == bothEnds:
		again = "both answer through the proxies again"
	case len(b.edges) > 1:
		again = "all answer through the proxies again"
	}
	if len(still) > 0 {
		also += "; another fault still has " + strings.Join(still, ", ")
	}
	switch {
	case b.sham:
		return fmt.Sprintf("sham of %s: %s answered through the proxies before and after%s", b.title, b.name, also)
	case b.mode.Kind == Latency:
		if said := b.late(); said != "" {
			return b.name + ": " + said + "; by the heal no longer" + also
		}
		return ""
	case b.first == "" || b.last == "":
		return ""
	}
	open := ""
	if b.mode.Kind == Refuse || b.mode.Kind == Reset {
		open = ", and connections that were open before are cut"
	}
	return b.first + open + ", and so until the heal; " + again + also
}

func (b *bending) countRevivals() int {
	n, seen := 0, map[*Proxies]bool{}
	for _, e := range b.edges {
		if ps := e.Proxy.owner; !seen[ps] {
			seen[ps] = true
			n += len(ps.Restarts())
		}
	}
	return n
}

// witness is a connection that was open before the fault.
type witness struct{ conn net.Conn }

func newWitness(ctx context.Context, addr string) (*witness, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	// Whoever greets has done so; whoever hangs up at once is no witness.
	if err := drain(c, time.Now().Add(20*time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.Close()
		return nil, fmt.Errorf("it does not keep connections open: %w", err)
	}
	return &witness{c}, nil
}

func drain(c net.Conn, until time.Time) error {
	_ = c.SetReadDeadline(until)
	for buf := make([]byte, 512); ; {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

// cut sees that the connection ends; under a reset, when bytes move.
func (w *witness) cut(ctx context.Context, m Mode) error {
	until := time.Now().Add(time.Second)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if m.Kind == Refuse {
		if err := drain(w.conn, until); errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("it is still open")
		}
		return nil
	}
	if !m.Direction.has(streams[0]) {
		return nil // what would move is the other end's to say
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
