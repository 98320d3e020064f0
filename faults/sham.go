package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Sham gives a fault that does everything that f does (the same machinery, connections, probes and
// durations) except the perturbation itself. A drill with it shows what the drilling alone does to the
// target. Its evidence says what it checked; its heal fails when something did change. A fault of another
// package has no sham: injecting that is an error.
func Sham(f Fault) Fault {
	switch f := f.(type) {
	case Restart:
		f.sham = true
		return f
	case Expire:
		f.sham = true
		return f
	case Delay:
		f.sham = true
		return f
	case Split:
		f.sham = true
		return f
	case Kill:
		f.sham = true
		return f
	case Flush:
		f.sham = true
		return f
	case Network:
		f.sham = true
		return f
	case SlowSource:
		f.sham = true
		return f
	case Quiet:
		return f
	}
	return noSham{f}
}

// shamOf says which fault a sham stands for: "sham of redis.restart{...}".
func shamOf(f fmt.Stringer) string { return "sham of " + unsham(f) }

// unsham is the text of a fault, or of what a sham stands for.
func unsham(f fmt.Stringer) string {
	of, is := strings.CutPrefix(f.String(), "sham{of: ")
	if is {
		of = strings.TrimSuffix(of, "}")
	}
	return of
}

type noSham struct{ of Fault }

func (f noSham) String() string { return render(true, f.of.String()) }

func (f noSham) Inject(context.Context, Site) (Injected, error) {
	return Injected{}, fmt.Errorf("%s has no sham", f.of)
}

// Quiet perturbs nothing for a while: a sham of no fault in particular. It checks that no Redis of the
// site became another one and that every edge that has a probe answers, before and after.
type Quiet struct {
	For time.Duration // above 0
}

const quietLimit = 10 * time.Second // of all checks before, and of all checks after

// String gives the fault as YAML shows it.
func (f Quiet) String() string { return render(false, "sham", [2]string{"for", f.For.String()}) }

// Inject looks at the site, within 10 s.
func (f Quiet) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: for must be above 0", f)
	}
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	before, err := look(ctx, site)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	heal := func(ctx context.Context) (string, error) {
		after, err := look(ctx, site)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f, err)
		}
		var checked []string
		for _, name := range sortedKeys(site.Nodes) {
			if !after[name].Same(before[name]) {
				return "", fmt.Errorf("%s: redis@%s was %s and is %s, though nobody restarted it", f, name, before[name].Incarnation(), after[name].Incarnation())
			}
			checked = append(checked, "redis@"+name)
		}
		same := "no Redis to check"
		if len(checked) > 0 {
			same = "same run_id before and after of " + strings.Join(checked, ", ")
		}
		edges := "no edges to check"
		if n := len(probed(site)); n > 0 {
			edges = fmt.Sprintf("%d edges answered", n)
		}
		return fmt.Sprintf("%s: %s; %s", f, same, edges), nil
	}
	return Injected{Began: time.Now(), Hold: f.For, Heal: healOnce(quietLimit, heal)}, nil
}

// look asks every Redis who it is and every edge for an answer.
func look(ctx context.Context, site Site) (map[string]targets.RedisIdentity, error) {
	ids := make(map[string]targets.RedisIdentity, len(site.Nodes))
	for _, name := range sortedKeys(site.Nodes) {
		id, err := site.Nodes[name].Identity(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking redis@%s who it is: %w", name, err)
		}
		ids[name] = id
	}
	for _, name := range probed(site) {
		e := site.Edges[name]
		if err := probe(ctx, e, e.Proxy.Listen()); err != nil {
			return nil, fmt.Errorf("%s does not answer: %w", name, err)
		}
	}
	return ids, nil
}

// probed names the edges that can be asked.
func probed(site Site) []string {
	var out []string
	for _, name := range sortedKeys(site.Edges) {
		if e := site.Edges[name]; e.Proxy != nil && e.Probe != nil {
			out = append(out, name)
		}
	}
	return out
}
