package faults

import (
	"fmt"
	"slices"
	"strings"
)

// Definition is everything that users, suites and tools know of a fault, and the decoder that makes
// one. It stands beside the fault's code.
type Definition struct {
	Name     string // as YAML names it
	Summary  string
	Params   []Param // its own; every fault also takes [Timing]
	Evidence string  // what proves that it bit
	Heals    string  // what its heal does
	Destroys string  // what no heal brings back; "": nothing
	Needs    []Capability
	Example  string // an item of a YAML list of faults

	// Decode makes the fault from its parameters. Problems are noted through them.
	Decode func(*Params) Fault
}

// Family is the part of the name before the dot: what the fault is done to.
func (d Definition) Family() string {
	family, _, _ := strings.Cut(d.Name, ".")
	return family
}

// Refused gives why a scope lacks what the fault needs, and what would do; "" when it lacks
// nothing.
func (d Definition) Refused(s Scope) string {
	for _, c := range d.Needs {
		if why, lacks := s.Lacks[c]; lacks {
			return why
		}
	}
	return ""
}

// Param describes a parameter of a fault.
type Param struct {
	Name    string
	Type    string
	Default string // empty when Required, or when Doc has what its absence means
	Doc     string

	Required bool   // it must be given
	Was      string // what it was once called; a suite that still does is shown the name
}

// Timing describes the parameters that every fault takes.
func Timing() []Param {
	return []Param{
		{Name: "at", Type: "duration", Default: "0s", Doc: "when to inject, from the start of the fault phase"},
		{Name: "observe", Type: "duration", Default: "0s", Doc: "how long the fault phase goes on at least, from the injection"},
	}
}

// Catalogue is the faults that suites can name, in the order of listings. It is a value: append a
// [Definition] for a fault of one's own.
type Catalogue []Definition

// Find gives the definition of a fault by its name.
func (c Catalogue) Find(name string) (Definition, bool) {
	i := slices.IndexFunc(c, func(d Definition) bool { return d.Name == name })
	if i < 0 {
		return Definition{}, false
	}
	return c[i], true
}

// Names lists the faults by their names, sorted.
func (c Catalogue) Names() []string {
	var out []string
	for _, d := range c {
		out = append(out, d.Name)
	}
	slices.Sort(out)
	return out
}

// Markdown describes every fault, a section each.
func (c Catalogue) Markdown() string {
	var b strings.Builder
	for _, d := range c {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```yaml\n%s\n```\n\n", d.Name, strings.ToUpper(d.Summary[:1])+d.Summary[1:], d.Example)
		b.WriteString("| parameter | type | default | |\n| --- | --- | --- | --- |\n")
		for _, p := range append(slices.Clone(d.Params), Timing()...) {
			def := p.Default
			if p.Required {
				def = "required"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Name, p.Type, def, p.Doc)
		}
		fmt.Fprintf(&b, "\n*Evidence:* %s.\n\n*Heal:* %s.\n\n*Destroys:* %s.\n", d.Evidence, d.Heals, d.lost())
		if len(d.Needs) > 0 {
			fmt.Fprintf(&b, "\n*Needs:* %s.\n", d.needs())
		}
	}
	return b.String()
}

// Explain describes one fault for a terminal: what follows its parameters.
func (d Definition) Explain() [][2]string {
	out := [][2]string{{"evidence", d.Evidence}, {"heal", d.Heals}, {"destroys", d.lost()}}
	if len(d.Needs) > 0 {
		out = append(out, [2]string{"needs", d.needs()})
	}
	return out
}

func (d Definition) lost() string {
	if d.Destroys == "" {
		return "nothing"
	}
	return d.Destroys
}

func (d Definition) needs() string {
	needs := make([]string, len(d.Needs))
	for i, c := range d.Needs {
		needs[i] = string(c)
		if slices.Contains(ServerCapabilities, c) {
			needs[i] = "a Redis that the drill can " + needs[i]
		}
		if c == CanTouch {
			needs[i] = "a Redis whose keys the drill may change"
		}
	}
	return strings.Join(needs, ", ")
}
