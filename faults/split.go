package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Split cuts two regions' caches off from each other: what their relays send each other disappears, in
// both directions. Both still reach the source.
//
// Evidence: a probe through each edge's proxy gets no answer while the same probe, sent directly to where
// the proxy leads, does; at injection and again just before the heal.
type Split struct {
	Between [2]string     // two different regions
	For     time.Duration // above 0
	sham    bool
}

const (
	splitInjectLimit = 10 * time.Second
	splitHealLimit   = 20 * time.Second
	probeLimit       = 300 * time.Millisecond // of one probe: no answer within it is no answer
)

// String gives the fault as YAML shows it.
func (f Split) String() string {
	return render(f.sham, "region.split", [2]string{"between", oneOrList(f.Between[:])}, [2]string{"for", f.For.String()})
}

// Inject black-holes both edges; it returns within 10 s, and some seconds more when it must undo. An edge
// that does not answer to begin with can't be cut, and is an error.
func (f Split) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: for must be above 0", f)
	}
	c := &cut{fault: f, site: site}
	for _, name := range []string{
		RelayEdge(f.Between[0], f.Between[1]),
		RelayEdge(f.Between[1], f.Between[0]),
	} {
		e, ok := site.Edges[name]
		if !ok || e.Proxy == nil || e.Probe == nil {
			return Injected{}, fmt.Errorf("%s: this target offers no edge %q with a proxy and a probe", f, name)
		}
		e.Name = name
		c.edges = append(c.edges, e)
	}
	inject, cancel := context.WithTimeout(ctx, splitInjectLimit)
	defer cancel()
	if err := c.inject(inject); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), splitHealLimit)
		defer cancel()
		return Injected{}, fmt.Errorf("%s: %w", f, errors.Join(err, c.restore(undo)))
	}
	return Injected{Evidence: c.first, Began: c.began, Hold: f.For, Heal: healOnce(splitHealLimit, c.heal)}, nil
}

// RelayEdge names the edge over which one region's relay tells another's.
func RelayEdge(from, to string) string { return "relay@" + from + " -> relay@" + to }

// cut is the two edges between two regions.
type cut struct {
	fault    Split
	site     Site
	edges    []Edge
	began    time.Time
	revivals int // of the proxies, before the fault
	first    string
	last     string
	restored bool
}

func (c *cut) inject(ctx context.Context) error {
	if err := c.answered(ctx); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	c.revivals = c.countRevivals()
	c.began = time.Now()
	if c.fault.sham {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range c.edges {
		g.Go(func() error { return e.Proxy.Blackhole(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.first = c.silent(ctx)
	return nil
}

// answered asks every edge once through its proxy.
func (c *cut) answered(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range c.edges {
		g.Go(func() error {
			if err := probe(gctx, e, e.Proxy.Listen()); err != nil {
				return fmt.Errorf("%s does not answer: %w", e.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// silent says that no edge answers through its proxy although every far end answers directly; "" when
// that is not so.
func (c *cut) silent(ctx context.Context) string {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range c.edges {
		g.Go(func() error {
			if probe(gctx, e, e.Proxy.Listen()) == nil {
				return errors.New("it answers")
			}
			return probe(gctx, e, e.Upstream)
		})
	}
	if g.Wait() != nil {
		return ""
	}
	return fmt.Sprintf("%s and back: no answer through the proxies within %s, while both far ends answer directly%s",
		c.edges[0].Name, probeLimit, c.site.stamp())
}

func probe(ctx context.Context, e Edge, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return e.Probe(ctx, addr)
}

func (c *cut) restore(ctx context.Context) error {
	if c.fault.sham || c.restored || c.began.IsZero() {
		return nil
	}
	// Each edge is restored even when another one can't be.
	errs := make([]error, len(c.edges))
	var g errgroup.Group
	for i, e := range c.edges {
		g.Go(func() error { errs[i] = e.Proxy.Restore(ctx); return nil })
	}
	_ = g.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restoring the edges: %w", err)
	}
	c.restored = true
	return nil
}

func (c *cut) heal(ctx context.Context) (string, error) {
	if c.first != "" && c.last == "" && !c.restored {
		c.last = c.silent(ctx)
	}
	if err := c.restore(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", c.fault, err)
	}
	for {
		err := c.answered(ctx)
		if err == nil {
			break
		}
		if wait(ctx, time.Now().Add(20*time.Millisecond)) != nil {
			return "", fmt.Errorf("%s: after the heal: %w", c.fault, err)
		}
	}
	return c.evidence(), nil
}

func (c *cut) evidence() string {
	restarted := ""
	if n := c.countRevivals() - c.revivals; n > 0 {
		restarted = fmt.Sprintf("; proxies that hung or died were started anew on the same ports (%d times), which cut every connection through them", n)
	}
	if c.fault.sham {
		return fmt.Sprintf("%s: %s and back answered through the proxies before and after%s", shamOf(c.fault), c.edges[0].Name, restarted)
	}
	if c.first == "" || c.last == "" {
		return ""
	}
	return c.first + ", and so until the heal; both answer through the proxies again" + restarted
}

func (c *cut) countRevivals() int {
	n, seen := 0, map[*Proxies]bool{}
	for _, e := range c.edges {
		if ps := e.Proxy.owner; !seen[ps] {
			seen[ps] = true
			n += len(ps.Restarts())
		}
	}
	return n
}
