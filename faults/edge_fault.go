package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
)

const (
	edgesInjectLimit = 10 * time.Second
	edgesHealLimit   = 20 * time.Second
	probeLimit       = 300 * time.Millisecond // of one probe: no answer within it is no answer
)

// edgeFault applies one network mode to a set of edges, collects evidence at injection and before
// the heal, and undoes it. It backs network.*, source.slow and region.split.
type edgeFault struct {
	fault Fault
	site  Site
	edges []namedEdge
	mode  link.Mode
	name  string // of the edges, in evidence
	ends  string // of their far ends

	began       time.Time
	revivals    int             // of the links' carriers, before the fault
	crossed     map[string]bool // edges that another fault had already
	first, last string          // what proved, at injection and before the heal, that it bites
	unproven    string          // why that proves nothing of the target; "": it does
	restored    bool
	timing      *timing // of latency; nil: not begun
	silenced    silenced
}

// silenced are connections that lost bytes to a half-open link.
type silenced struct {
	all   []*witness
	still bool // they are silent and open after the heal too
}

// namedEdge is an edge of a site to which something can be done.
type namedEdge struct {
	Edge
	name string
}

// record injects the fault for a while, with its entries in the journal and the audit log.
func (b *edgeFault) record(ctx context.Context, hold time.Duration) (Injected, error) {
	ends := undo.Nothing("the network proxies ended with the process that had injected it")
	return b.site.Record(b.fault, b.names(), ends, func(*undo.Entry) (Injected, error) {
		inject, cancel := context.WithTimeout(ctx, edgesInjectLimit)
		defer cancel()
		if err := b.inject(inject); err != nil {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), edgesHealLimit)
			defer cancel()
			return Injected{}, fmt.Errorf("%s: %w", b.fault, halfDone(err, b.restore(undo)))
		}
		if b.mode.Kind == link.Latency && !b.site.Inert() {
			b.timing = startTiming(ctx, b.edges, b.mode, hold+edgesHealLimit)
		}
		in := Injected{Began: b.began, Hold: hold, Heal: healOnce(edgesHealLimit, b.heal), Unproven: func() string { return b.unproven }}
		if b.besides(ctx) == "" {
			in.Evidence = b.first
		}
		return in, nil
	})
}

func (b *edgeFault) names() []string {
	var out []string
	for _, e := range b.edges {
		out = append(out, e.name)
	}
	return out
}

// edge gives an edge to which something can be done.
func (s Site) edge(name string) (namedEdge, error) {
	e := s.Edges[name]
	if e.Link == nil || e.Prober == nil {
		return namedEdge{}, fmt.Errorf("this target offers no edge %q with a proxy and a probe", name)
	}
	return namedEdge{e, name}, nil
}

// pickEdges gives the named edges of a site. Names may be globs.
func pickEdges(site Site, names []string) ([]namedEdge, error) {
	found, missed := link.Match(names, sortedKeys(site.Edges))
	if missed != "" {
		found = []string{missed} // which there is none of
	}
	var out []namedEdge
	for _, name := range found {
		e, err := site.edge(name)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (b *edgeFault) inject(ctx context.Context) error {
	b.crossed = map[string]bool{}
	for _, e := range b.edges {
		other, err := e.Link.HeldByOthers(ctx, b)
		if err != nil {
			return err
		}
		b.crossed[e.name] = other
	}
	if err := b.answered(ctx, b.crossed); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	witnesses, err := b.openWitnesses(ctx)
	defer func() {
		if b.silenced.all == nil {
			closeWitnesses(witnesses)
		}
	}()
	if err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	b.revivals = b.countRevivals()
	b.began = time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		g.Go(func() error { return e.Link.Apply(gctx, b, b.mode) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if b.site.Inert() || b.mode.Kind == link.Latency {
		return nil // latency is seen by and by
	}
	b.first = b.observed(ctx)
	if b.mode.Kind == link.HalfOpen {
		b.silenced.all = witnesses
		if !silent(ctx, witnesses) {
			b.first = ""
		}
		return nil
	}
	for i, w := range witnesses {
		if w == nil {
			continue
		}
		if err := w.cut(ctx, b.mode); err != nil {
			b.first = ""
			return fmt.Errorf("a connection through %s that was open before: %w", b.edges[i].name, err)
		}
	}
	return nil
}

// answered asks every edge once through its proxy, except some.
func (b *edgeFault) answered(ctx context.Context, except map[string]bool) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		if except[e.name] {
			continue
		}
		g.Go(func() error {
			if err := limited(gctx, e.Prober.Through); err != nil {
				return fmt.Errorf("%s does not answer: %w", e.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// observed gives what every edge does to a probe through its proxy, although every far end answers
// directly; "" when that is not so.
func (b *edgeFault) observed(ctx context.Context) string {
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range b.edges {
		g.Go(func() error {
			if err := b.bites(gctx, e); err != nil {
				return err
			}
			return limited(gctx, e.Prober.Past)
		})
	}
	if g.Wait() != nil {
		return ""
	}
	what := map[link.Kind]string{
		link.Blackhole: "no answer through the proxies within " + probeLimit.String(),
		link.Stall:     "no answer through the proxies within " + probeLimit.String(),
		link.HalfOpen:  "no answer through the proxies within " + probeLimit.String(),
		link.Refuse:    "connections through the proxies are refused",
		link.Reset:     "connections through the proxies are reset",
	}[b.mode.Kind]
	return fmt.Sprintf("%s: %s, while %s directly%s", b.name, what, b.ends, b.site.stamp())
}

// bites makes a new connection through an edge; an error is what is wrong when it fares well.
func (b *edgeFault) bites(ctx context.Context, e namedEdge) error {
	switch b.mode.Kind {
	case link.Refuse:
		return expectRefusal(ctx, e.Prober, syscall.ECONNREFUSED)
	case link.Reset:
		return expectRefusal(ctx, e.Prober, syscall.ECONNRESET)
	}
	err := limited(ctx, e.Prober.Through)
	if err == nil {
		return errors.New("it answers")
	}
	if errors.Is(err, syscall.ECONNREFUSED) && !b.crossed[e.name] {
		return err // that is another fault than ours
	}
	return nil
}

func (b *edgeFault) restore(ctx context.Context) error {
	if b.restored || b.began.IsZero() {
		return nil
	}
	// Each edge is restored even when another one can't be.
	errs := make([]error, len(b.edges))
	var g errgroup.Group
	for i, e := range b.edges {
		g.Go(func() error { errs[i] = e.Link.Clear(ctx, b); return nil })
	}
	_ = g.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restoring the edges: %w", err)
	}
	b.restored = true
	return nil
}

// besides says which of the edges the target does not use, or gets around; "" when there are none.
func (b *edgeFault) besides(ctx context.Context) string {
	if b.site.Inert() {
		return ""
	}
	var all []string
	for _, e := range b.edges {
		if e.Around != "" {
			all = append(all, e.Around)
		} else if why := b.site.unused(ctx, e.name, b.mode.Kind == link.Refuse); why != "" {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

func (b *edgeFault) heal(ctx context.Context) (string, error) {
	if !b.restored {
		b.unproven = b.besides(ctx)
	}
	if b.first != "" && b.last == "" && !b.restored {
		b.last = b.observed(ctx)
	}
	b.timing.end()
	if err := b.restore(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", b.fault, err)
	}
	still, err := b.settle(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: after the heal: %w", b.fault, err)
	}
	if b.silenced.all != nil {
		b.silenced.still = silent(ctx, b.silenced.all)
		closeWitnesses(b.silenced.all)
	}
	return b.evidence(still), nil
}

// settle waits until every edge answers as it should again, and names those that another fault
// still has: of them it is only known that their proxies confirmed to do nothing for this one.
func (b *edgeFault) settle(ctx context.Context) (still []string, err error) {
	for {
		except := map[string]bool{}
		still = nil
		for _, e := range b.edges {
			other, err := e.Link.HeldByOthers(ctx, b)
			if err != nil {
				return nil, err
			}
			if except[e.name] = other; other {
				still = append(still, e.name)
			}
		}
		err := b.answered(ctx, except)
		if err == nil {
			err = b.prompt(ctx, except)
		}
		if err == nil {
			return still, nil
		}
		if pause.For(ctx, 20*time.Millisecond) != nil {
			return nil, err
		}
	}
}

func (b *edgeFault) evidence(still []string) string {
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
	case b.unproven != "":
		return ""
	case b.mode.Kind == link.Latency:
		if late := b.timing.late(); late != "" {
			return b.name + ": " + late + "; by the heal no longer" + also
		}
		return ""
	case b.first == "" || b.last == "", b.mode.Kind == link.HalfOpen && !b.silenced.still:
		return ""
	}
	open := ""
	if b.mode.Kind == link.Refuse || b.mode.Kind == link.Reset {
		open = ", and connections that were open before are cut"
	}
	if len(b.silenced.all) > 0 {
		again = "new connections are answered again, and one that had lost bytes stayed open and silent"
	}
	return b.first + open + ", and so until the heal; " + again + also
}

func (b *edgeFault) countRevivals() int {
	n, seen := 0, map[any]bool{}
	for _, e := range b.edges {
		carrier, times := e.Link.Revived()
		if !seen[carrier] {
			seen[carrier] = true
			n += times
		}
	}
	return n
}

// prompt checks that probes through the edges, except some, are no longer late.
func (b *edgeFault) prompt(ctx context.Context, except map[string]bool) error {
	need := b.mode.Least()
	if b.mode.Kind != link.Latency || b.site.Inert() || need < time.Millisecond {
		return nil
	}
	for _, e := range b.edges {
		if except[e.name] {
			continue
		}
		past, through, ok := timeProbes(ctx, e, b.mode)
		if !ok {
			return fmt.Errorf("%s does not answer, or not directly", e.name)
		}
		if through-past >= need {
			return fmt.Errorf("%s still takes %s", e.name, through)
		}
	}
	return nil
}

// bothEnds is what evidence calls the far ends of two edges.
const bothEnds = "both far ends answer"
