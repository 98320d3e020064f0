package faults

import (
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// Scope says what a fault may name, and what it may not be, at one target.
type Scope struct {
	Regions, Pools, Families []string

	Edges       []string // all of them
	SourceEdges []string // those that lead to the source
	KeyPrefix   string   // when set, patterns of keys must begin with it
	// Lacks is what is not possible at the target: why, and what would do instead, such as "this
	// Redis is managed by its owner; use network.refuse". What is not in it is possible.
	Lacks map[Capability]string
}

// Planned is a fault with its place in the fault phase.
type Planned struct {
	Fault   Fault
	At      time.Duration // when to inject, from the start of the fault phase; 0 or more
	Observe time.Duration // how long the fault phase goes on at least, from the injection; 0 = as long as it goes on anyway
}

// Decode reads an item of a list of faults: a mapping of one fault's name to its parameters, at and
// observe among them. What is wrong with it is noted on the node; ok is false then.
func (c Catalogue) Decode(n strictyaml.Node, s Scope) (p Planned, ok bool) { return c.decode(n, s, "") }

// decode reads a fault that stands in a list, or, when inside is not empty, in that fault.
func (c Catalogue) decode(n strictyaml.Node, s Scope, inside string) (Planned, bool) {
	all := slices.DeleteFunc(slices.Clone(c), func(d Definition) bool { return d.Name == inside })
	names := all.Names()
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
	var of *Definition
	var body strictyaml.Entry
	ok := true
	for _, e := range entries {
		i := slices.IndexFunc(all, func(d Definition) bool { return d.Name == e.Name })
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
	if why := of.Refused(s); why != "" {
		body.Key.Fail(of.Name, why, "")
		return Planned{}, false
	}
	p, good := c.read(*of, body, s, inside)
	return p, ok && good
}

// read reads a fault's parameters.
func (c Catalogue) read(k Definition, e strictyaml.Entry, s Scope, inside string) (Planned, bool) {
	p := &Params{name: k.Name, example: k.Example, key: e.Key, at: map[string]strictyaml.Node{}, catalogue: c, scope: s, ok: true}
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
		p.Fail(e.Value, "", "expected the parameters of "+k.Name+" as a mapping", "write "+k.Example)
		return Planned{}, false
	}
	for _, f := range e.Value.Entries("the parameters of " + k.Name) {
		if slices.Contains(known, f.Name) {
			p.at[f.Name] = f.Value
			if !f.Value.Present() {
				p.Fail(f.Key, f.Name, "has no value", "")
			}
			continue
		}
		if i := slices.IndexFunc(k.Params, func(d Param) bool { return d.Was != "" && d.Was == f.Name }); i >= 0 {
			p.Fail(f.Key, f.Name, f.Name+" is now "+k.Params[i].Name, "rename the parameter")
			continue
		}
		hint := strictyaml.Suggest(f.Name, known)
		if inside != "" && slices.ContainsFunc(Timing(), func(d Param) bool { return d.Name == f.Name }) {
			hint = "move it out, to the parameters of " + inside
		}
		p.Fail(f.Key, f.Name, "unknown parameter of "+k.Name, hint)
	}
	for _, d := range k.Params {
		if _, given := p.at[d.Name]; d.Required && !given {
			p.FailHere("needs "+d.Name+": "+d.Doc, "write "+k.Example)
		}
	}
	out := Planned{Fault: k.Decode(p), At: p.Duration("at", 0), Observe: p.Duration("observe", 0)}
	if !p.ok {
		return Planned{}, false
	}
	return out, true
}
