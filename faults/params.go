package faults

import (
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// Params are the parameters of one fault, as a [Definition] decodes them. A problem is noted on the
// node that it concerns, and no fault is made then.
type Params struct {
	name, example string          // of the fault
	key           strictyaml.Node // of its name
	at            map[string]strictyaml.Node
	catalogue     Catalogue // that is being decoded with
	scope         Scope
	ok            bool
}

// Node gives a parameter as it was written.
func (p *Params) Node(name string) strictyaml.Node { return p.at[name] }

// Fail notes a problem of one parameter, or a part of it.
func (p *Params) Fail(n strictyaml.Node, text, msg, hint string) {
	n.Fail(text, msg, hint)
	p.ok = false
}

// FailHere notes a problem that is about the fault as a whole.
func (p *Params) FailHere(msg, hint string) { p.Fail(p.key, p.name, msg, hint) }

// Duration reads a duration of 0 or more.
func (p *Params) Duration(name string, def time.Duration) time.Duration {
	n := p.Node(name)
	if !n.Present() {
		return def
	}
	d := n.Duration(name, -1) // -1 comes back only with a problem noted
	if d < 0 {
		p.ok = false
		return def
	}
	return d
}

// Positive reads a duration above 0.
func (p *Params) Positive(name string, def time.Duration) time.Duration {
	d := p.Duration(name, max(def, 1)) // a required one is missed elsewhere
	if d == 0 {
		p.Fail(p.Node(name), "", name+" must be above 0", "write a number with a unit: 500ms, 3s")
	}
	return d
}

// latency reads a delay and by how much it varies. Something that asks must be able to notice it in
// the time that it is there.
func (p *Params) latency(m link.Mode, lasts time.Duration) (by, jitter time.Duration) {
	by, jitter = p.Positive("by", 0), p.Duration("jitter", 0)
	if !p.ok || !p.Node("by").Present() || !p.Node("for").Present() {
		return by, jitter
	}
	m.By, m.Jitter = by, jitter
	switch most := m.Most(); {
	case 2*jitter > by:
		p.Fail(p.Node("jitter"), "", "jitter must be at most half of by", "write at most "+(by/2).String())
	case lasts <= most:
		p.Fail(p.Node("for"), "", "too short to be noticed: an answer may take "+most.String()+" longer", "write more than that")
	}
	return by, jitter
}

// Share reads a percentage above 0%.
func (p *Params) Share(name string) float64 {
	n := p.Node(name)
	if !n.Present() {
		return 1
	}
	v := n.Percent(name, -1)
	switch {
	case v < 0:
		p.ok = false
	case v == 0:
		p.Fail(n, "", name+" must be above 0%", "leave the fault out, or write a larger one")
	}
	return v
}

// Text reads a word that is not empty.
func (p *Params) Text(name string) string {
	n := p.Node(name)
	if !n.Present() || n.IsMap() || n.IsList() {
		if n.Present() {
			p.Fail(n, "", "expected "+name+" as a single value", "")
		}
		return ""
	}
	v := n.String(name)
	if strings.TrimSpace(v) == "" {
		p.Fail(n, v, name+" is empty", "")
	}
	return v
}

// Known reads one of the known names; "" comes with a problem noted, or when the parameter is
// absent.
func (p *Params) Known(name, what string, known []string) string {
	n := p.Node(name)
	v := p.Text(name)
	if v != "" && !slices.Contains(known, v) {
		p.Fail(n, v, "unknown "+what, suggest(v, known))
		return ""
	}
	return v
}

// Region reads one region; "" comes with a problem noted, or when the parameter is absent.
func (p *Params) Region(name string) string { return p.Known(name, "region", p.scope.Regions) }

// TheRegion reads a region, which may be left out where there is one only.
func (p *Params) TheRegion(name string) string {
	if p.Node(name).Present() {
		return p.Region(name)
	}
	if len(p.scope.Regions) == 1 {
		return p.scope.Regions[0]
	}
	if _, given := p.at[name]; !given {
		p.FailHere("needs "+name+": whose Redis", "write "+p.example)
	}
	return ""
}

// Pool reads the parameter pool, the name of one; "" comes with a problem noted, or when the
// parameter is absent.
func (p *Params) Pool() string { return p.Known("pool", "pool", p.scope.Pools) }

// Regions reads one region or a list of different ones; nil comes with a problem noted, or when the
// parameter is absent.
func (p *Params) Regions(name string) []string {
	return p.several(name, "a region", "region", "regions: "+list(p.scope.Regions), (*Params).Region)
}

// Edges reads one edge, as a name or a glob, or a list of different ones.
func (p *Params) Edges(name string) []string {
	return p.several(name, "an edge", "edge", "edges: "+list(p.scope.Edges), (*Params).edge)
}

func (p *Params) edge(name string) string {
	v := p.Text(name)
	if v == "" {
		return ""
	}
	if _, missed := link.Match([]string{v}, p.scope.Edges); missed != "" {
		msg := "unknown edge"
		if strings.Contains(v, "*") {
			msg = "matches no edge"
		}
		p.Fail(p.Node(name), v, msg, suggest(v, p.scope.Edges))
		return ""
	}
	return v
}

// several reads one thing or a list of different ones; nil comes with a problem noted, or when the
// parameter is absent.
func (p *Params) several(name, one, what, known string, read func(*Params, string) string) []string {
	n := p.Node(name)
	if !n.IsList() {
		if r := read(p, name); r != "" {
			return []string{r}
		}
		return nil
	}
	var out []string
	for _, item := range n.List(what + "s") {
		if !item.Present() {
			p.Fail(item, "", "expected "+one, known)
			continue
		}
		single := &Params{name: p.name, example: p.example, key: p.key, at: map[string]strictyaml.Node{name: item}, scope: p.scope, ok: true}
		r := read(single, name)
		switch {
		case !single.ok:
			p.ok = false
		case slices.Contains(out, r):
			p.Fail(item, r, "appears twice", "name each "+what+" once")
		default:
			out = append(out, r)
		}
	}
	if !p.ok {
		return nil
	}
	if len(out) == 0 {
		p.Fail(n, "", name+" is empty", known)
		return nil
	}
	return out
}

func list(names []string) string {
	if len(names) == 0 {
		return "this target has none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// suggest is strictyaml.Suggest, also where nothing is known.
func suggest(got string, known []string) string {
	if len(known) == 0 {
		return "this target has none"
	}
	return strictyaml.Suggest(got, known)
}
