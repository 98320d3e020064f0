package faults

import (
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// Scope says what a fault may name, and what it may not be, at one target.
type Scope struct {
	Regions, Pools, Families []string

	Edges       []string // all of them
	SourceEdges []string // those that lead to the source
	KeyPrefix   string   // when set, patterns of keys must begin with it
	// Refused says of faults, by name, why this target can't have them: "this Redis is managed by somebody
	// else; use network.refuse".
	Refused map[string]string
}

// Planned is a fault with its place in the fault phase.
type Planned struct {
	Fault   Fault
	At      time.Duration // when to inject, from the start of the fault phase; 0 or more
	Observe time.Duration // how long the fault phase goes on at least, from the injection; 0 = as long as it goes on anyway
}

// Decode reads an item of a list of faults: a mapping of one fault's name to its parameters, at and
// observe among them. What is wrong with it is noted on the node; ok is false then.
func Decode(n strictyaml.Node, s Scope) (p Planned, ok bool) { return decodeOne(n, s, "") }

// decodeOne reads a fault that stands in a list, or, when inside is not empty, in that fault.
func decodeOne(n strictyaml.Node, s Scope, inside string) (Planned, bool) {
	var all []kind
	var names []string
	for _, k := range kinds() {
		if k.Name != inside {
			all, names = append(all, k), append(names, k.Name)
		}
	}
	if !n.IsMap() {
		word := ""
		if !n.IsList() && n.Present() {
			word = n.String("a fault")
		}
		hint := "write a fault and its parameters: " + all[0].Example
		for _, k := range all {
			if k.Name == word {
				hint = "write its parameters too: " + k.Example
			}
		}
		n.Fail("", "expected a fault with its parameters", hint)
		return Planned{}, false
	}
	entries := n.Entries("a fault")
	if len(entries) == 0 {
		n.Fail("", "expected a fault with its parameters", "write a fault and its parameters: "+all[0].Example)
		return Planned{}, false
	}
	var of *kind
	var body strictyaml.Entry
	ok := true
	for _, e := range entries {
		i := slices.Index(names, e.Name)
		switch {
		case e.Name == "at" || e.Name == "observe":
			e.Key.Fail(e.Name, "this belongs among the fault's parameters", "write - fault: {..., "+e.Name+": 1s}")
		case i < 0:
			e.Key.Fail(e.Name, "unknown fault", strictyaml.Suggest(e.Name, names))
		case of != nil:
			e.Key.Fail(e.Name, "an item holds one fault", `begin another item with "- "`)
		default:
			of, body = &all[i], e
			continue
		}
		ok = false
	}
	if of == nil {
		return Planned{}, false
	}
	if why, refused := s.Refused[of.Name]; refused {
		body.Key.Fail(of.Name, why, "")
		return Planned{}, false
	}
	p, good := of.read(body, s, inside)
	return p, ok && good
}

// read reads the fault's parameters.
func (k kind) read(e strictyaml.Entry, s Scope, inside string) (Planned, bool) {
	p := &params{name: k.Name, key: e.Key, at: map[string]strictyaml.Node{}, scope: s, ok: true}
	var known []string
	for _, d := range k.Params {
		known = append(known, d.Name)
	}
	if inside == "" {
		for _, d := range Timing() {
			known = append(known, d.Name)
		}
	}
	if e.Value.Present() && !e.Value.IsMap() {
		p.fail(e.Value, "", "expected the parameters of "+k.Name+" as a mapping", "write "+k.Example)
		return Planned{}, false
	}
	for _, f := range e.Value.Entries("the parameters of " + k.Name) {
		if slices.Contains(known, f.Name) {
			p.at[f.Name] = f.Value
			if !f.Value.Present() {
				p.fail(f.Key, f.Name, "has no value", "")
			}
			continue
		}
		hint := strictyaml.Suggest(f.Name, known)
		if inside != "" && slices.ContainsFunc(Timing(), func(d Param) bool { return d.Name == f.Name }) {
			hint = "move it out, to the parameters of " + inside
		}
		if f.Name == "place" && slices.Contains(known, "pool") {
			p.fail(f.Key, f.Name, "place is now pool", "rename the parameter")
			continue
		}
		p.fail(f.Key, f.Name, "unknown parameter of "+k.Name, hint)
	}
	for _, d := range k.Params {
		if _, given := p.at[d.Name]; d.Required && !given {
			p.failHere("needs "+d.Name+": "+d.Doc, "write "+k.Example)
		}
	}
	out := Planned{Fault: k.decode(p), At: p.duration("at", 0), Observe: p.duration("observe", 0)}
	if !p.ok {
		return Planned{}, false
	}
	return out, true
}

// params reads the parameters of one fault. A problem is noted on the node it concerns and clears ok.
type params struct {
	name  string
	key   strictyaml.Node // of the fault's name
	at    map[string]strictyaml.Node
	scope Scope
	ok    bool
}

func (p *params) get(name string) strictyaml.Node { return p.at[name] }

func (p *params) fail(n strictyaml.Node, text, msg, hint string) {
	n.Fail(text, msg, hint)
	p.ok = false
}

// failHere notes a problem that is about the fault as a whole.
func (p *params) failHere(msg, hint string) { p.fail(p.key, p.name, msg, hint) }

// duration reads a duration of 0 or more.
func (p *params) duration(name string, def time.Duration) time.Duration {
	n := p.get(name)
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

// positive reads a duration above 0.
func (p *params) positive(name string, def time.Duration) time.Duration {
	d := p.duration(name, max(def, 1)) // a required one is missed elsewhere
	if d == 0 {
		p.fail(p.get(name), "", name+" must be above 0", "write a number with a unit: 500ms, 3s")
	}
	return d
}

// latency reads a delay and by how much it varies. Something that asks must be able to notice it in the time
// that it is there.
func (p *params) latency(m Mode, lasts time.Duration) (by, jitter time.Duration) {
	by, jitter = p.positive("by", 0), p.duration("jitter", 0)
	if !p.ok || !p.get("by").Present() || !p.get("for").Present() {
		return by, jitter
	}
	m.By, m.Jitter = by, jitter
	switch most := m.most(); {
	case 2*jitter > by:
		p.fail(p.get("jitter"), "", "jitter must be at most half of by", "write at most "+(by/2).String())
	case lasts <= most:
		p.fail(p.get("for"), "", "too short to be noticed: an answer may take "+most.String()+" longer", "write more than that")
	}
	return by, jitter
}

// share reads a percentage above 0%.
func (p *params) share(name string) float64 {
	n := p.get(name)
	if !n.Present() {
		return 1
	}
	v := n.Percent(name, -1)
	switch {
	case v < 0:
		p.ok = false
	case v == 0:
		p.fail(n, "", name+" must be above 0%", "leave the fault out, or write a larger one")
	}
	return v
}

// text reads a word that is not empty.
func (p *params) text(name string) string {
	n := p.get(name)
	if !n.Present() || n.IsMap() || n.IsList() {
		if n.Present() {
			p.fail(n, "", "expected "+name+" as a single value", "")
		}
		return ""
	}
	v := n.String(name)
	if strings.TrimSpace(v) == "" {
		p.fail(n, v, name+" is empty", "")
	}
	return v
}

// known reads one of the known names; "" comes with a problem noted, or when the parameter is absent.
func (p *params) known(name, what string, known []string) string {
	n := p.get(name)
	v := p.text(name)
	if v != "" && !slices.Contains(known, v) {
		p.fail(n, v, "unknown "+what, suggest(v, known))
		return ""
	}
	return v
}

func (p *params) region(name string) string { return p.known(name, "region", p.scope.Regions) }

// theRegion reads a region, which may be left out where there is one only.
func (p *params) theRegion(name, example string) string {
	if p.get(name).Present() {
		return p.region(name)
	}
	if len(p.scope.Regions) == 1 {
		return p.scope.Regions[0]
	}
	if _, given := p.at[name]; !given {
		p.failHere("needs "+name+": whose Redis", "write "+example)
	}
	return ""
}

// pool reads the name of a pool; "" comes with a problem noted, or when the parameter is absent.
func (p *params) pool() string { return p.known("pool", "pool", p.scope.Pools) }

// regions reads one region or a list of different ones; nil comes with a problem noted, or when the
// parameter is absent.
func (p *params) regions(name string) []string {
	return p.several(name, "a region", "region", "regions: "+list(p.scope.Regions), (*params).region)
}

// edges reads one edge, as a name or a glob, or a list of different ones.
func (p *params) edges(name string) []string {
	return p.several(name, "an edge", "edge", "edges: "+list(p.scope.Edges), (*params).edge)
}

func (p *params) edge(name string) string {
	v := p.text(name)
	if v == "" {
		return ""
	}
	if _, missed := matchEdges([]string{v}, p.scope.Edges); missed != "" {
		msg := "unknown edge"
		if strings.Contains(v, "*") {
			msg = "matches no edge"
		}
		p.fail(p.get(name), v, msg, suggest(v, p.scope.Edges))
		return ""
	}
	return v
}

// several reads one thing or a list of different ones; nil comes with a problem noted, or when the
// parameter is absent.
func (p *params) several(name, one, what, known string, read func(*params, string) string) []string {
	n := p.get(name)
	if !n.IsList() {
		if r := read(p, name); r != "" {
			return []string{r}
		}
		return nil
	}
	var out []string
	for _, item := range n.List(what + "s") {
		if !item.Present() {
			p.fail(item, "", "expected "+one, known)
			continue
		}
		single := &params{name: p.name, key: p.key, at: map[string]strictyaml.Node{name: item}, scope: p.scope, ok: true}
		r := read(single, name)
		switch {
		case !single.ok:
			p.ok = false
		case slices.Contains(out, r):
			p.fail(item, r, "appears twice", "name each "+what+" once")
		default:
			out = append(out, r)
		}
	}
	if !p.ok {
		return nil
	}
	if len(out) == 0 {
		p.fail(n, "", name+" is empty", known)
		return nil
	}
	return out
}
