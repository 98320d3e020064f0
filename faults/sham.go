package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

var shamDefinition = Definition{
	Name:    "sham",
	Summary: "everything that a fault does except the fault: shows what the drilling alone does",
	Params: []Param{
		{Name: "for", Type: "duration", Doc: "perturb nothing for this long; either this or of"},
		{Name: "of", Type: "fault", Doc: "the fault not to inject, with its parameters; either this or for"},
	},
	Evidence: "what it checked, before and after: every Redis is the one it was, every link answers, nothing was held",
	Heals:    "there is nothing to undo; its heal fails when something did change",
	Example:  "- sham: {of: {redis.restart: {region: eu, down: 500ms}}}",
	Decode:   decodeSham,
}

func decodeSham(p *Params) Fault {
	length, of := p.Node("for"), p.Node("of")
	if length.Present() == of.Present() {
		p.FailHere("needs either for or of", "write sham: {for: 3s} or sham: {of: {redis.restart: {region: eu}}}")
		return nil
	}
	if length.Present() {
		return Nothing{For: p.Positive("for", time.Second)}
	}
	inner, ok := p.catalogue.decode(of, p.scope, "sham")
	if !ok {
		p.ok = false
		return nil
	}
	return Sham(inner.Fault)
}

// Sham gives a fault that runs all of f's machinery (the same connections, probes and durations) on
// handles that note what they are asked to do and perturb nothing; see [Site.Inert]. A drill with
// it shows what the drilling alone does to the target. Its evidence is what it checked; its heal
// fails when something did change. The sham of a sham is that sham.
func Sham(f Fault) Fault {
	if !Perturbs(f) {
		return f
	}
	return sham{f}
}

// Perturbs reports whether a fault does anything: a sham does not.
func Perturbs(f Fault) bool {
	switch f.(type) {
	case sham, Nothing:
		return false
	}
	return true
}

type sham struct{ of Fault }

// String gives the fault as YAML shows it.
func (f sham) String() string { return "sham{of: " + f.of.String() + "}" }

// Lasts implements [Fault].
func (f sham) Lasts() time.Duration { return f.of.Lasts() }

// Inject implements [Fault].
func (f sham) Inject(ctx context.Context, site Site) (Injected, error) {
	run := &shamRun{fault: f, watched: &watched{}}
	inert := run.watched.wrap(site)
	inert.sham, inert.Journal = run, nil
	in, err := f.of.Inject(ctx, inert)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	in.Evidence = ""
	if !run.recorded {
		in.Heal = run.conclude(in.Heal)
	}
	return in, nil
}

// shamRun is a sham that is injected.
type shamRun struct {
	fault    sham
	watched  *watched
	recorded bool // its fault came through [Site.Record]
}

const shamHealLimit = 30 * time.Second

// conclude makes the heal of the fault that was not injected that of its sham: its evidence is that
// what was watched is unchanged.
func (r *shamRun) conclude(heal func(context.Context) (string, error)) func(context.Context) (string, error) {
	return healOnce(shamHealLimit, func(ctx context.Context) (string, error) {
		evidence, err := heal(ctx)
		if err == nil && len(r.watched.names) > 0 {
			evidence, err = r.watched.check(ctx)
		}
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", r.fault, err)
		case evidence == "":
			return "", nil
		}
		return "sham of " + r.fault.of.String() + ": " + evidence, nil
	})
}

// Nothing perturbs nothing for a while: a sham of no fault in particular. It checks that no Redis
// of the site became another one and that every edge that has a probe answers, before and after.
type Nothing struct {
	For time.Duration // above 0
}

const nothingLimit = 10 * time.Second // of all checks before, and of all checks after

// String gives the fault as YAML shows it.
func (f Nothing) String() string { return render("sham", [2]string{"for", f.For.String()}) }

// Lasts implements [Fault].
func (f Nothing) Lasts() time.Duration { return f.For }

// Inject looks at the site, within 10 s.
func (f Nothing) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: for must be above 0", f)
	}
	ctx, cancel := context.WithTimeout(ctx, nothingLimit)
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
		for _, name := range sortedKeys(site.Servers) {
			if !after[name].Same(before[name]) {
				return "", fmt.Errorf("%s: %w", f, becameAnother(name, before[name], after[name]))
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
	return Injected{Began: time.Now(), Hold: f.For, Heal: healOnce(nothingLimit, heal)}, nil
}

func becameAnother(name string, before, after targets.RedisIdentity) error {
	return fmt.Errorf("redis@%s was %s and is %s, though this drill did not restart it", name, before.Incarnation(), after.Incarnation())
}

// look identifies every Redis and probes every edge.
func look(ctx context.Context, site Site) (map[string]targets.RedisIdentity, error) {
	ids := make(map[string]targets.RedisIdentity, len(site.Servers))
	for _, name := range sortedKeys(site.Servers) {
		id, err := site.Servers[name].Identity(ctx)
		if err != nil {
			return nil, fmt.Errorf("identifying redis@%s: %w", name, err)
		}
		ids[name] = id
	}
	for _, name := range probed(site) {
		if err := limited(ctx, site.Edges[name].Prober.Through); err != nil {
			return nil, fmt.Errorf("%s does not answer: %w", name, err)
		}
	}
	return ids, nil
}

// probed names the edges that can be probed.
func probed(site Site) []string {
	var out []string
	for _, name := range sortedKeys(site.Edges) {
		if e := site.Edges[name]; e.Link != nil && e.Prober != nil {
			out = append(out, name)
		}
	}
	return out
}
