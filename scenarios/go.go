package scenarios

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// GoTarget is a target in a Go program, as far as a drill must know it. The program makes its
// environment.
type GoTarget struct {
	Title          string     // the name in the report
	Regions        []string   // where its clients are; none: requests name no region
	Families       []Family   // none: any name is one, and nothing is promised; Writes and Deletes are not read
	ForeignWriters bool       // others may have written the keys: a value without a mark of the run is theirs, and no corruption
	Redis          *RedisPlan // that it uses; nil: the faults of redis and keys are not possible
}

// GoError is what is wrong with a scenario that a program made: there is no file to point into.
type GoError struct{ Problems []strictyaml.Problem }

// Error lists the problems, a line each.
func (e *GoError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		at := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
		lines = append(lines, strings.TrimPrefix(p.String(), at))
	}
	return strings.Join(lines, "\n")
}

// ParseGo reads and checks a scenario against a target of a Go program. own is the scenario as a
// suite writes it, a mapping of one name, made by the program. base, which may be empty, is what a
// person wrote: workload, phases, slo and faults, as at the top of a suite; own goes before it.
// planned are faults that are Go values. What is wrong with base comes as an [*Error] that names
// file, what is wrong with own as a [*GoError].
func ParseGo(g *GoTarget, file string, base, own []byte, planned []faults.Planned) (Scenario, error) {
	root, problems := strictyaml.Parse(own)
	entries := root.Entries("the scenario")
	if len(entries) != 1 {
		problems.List = append(problems.List, strictyaml.Problem{Msg: "a scenario has one name"})
		return Scenario{}, &GoError{problems.List}
	}
	f := root.Fields("the scenario", entries[0].Name, "base") // base is absent: what is missing is noted on own
	shared := map[string]strictyaml.Node{"workload": f["base"], "phases": f["base"], "slo": f["base"], "faults": f["base"]}
	theirs := &strictyaml.Problems{}
	if strings.TrimSpace(string(base)) != "" {
		var written strictyaml.Node
		if written, theirs = strictyaml.Parse(base); written.Present() {
			shared = written.Fields("the scenario", "workload", "phases", "slo", "faults")
		}
	}
	c := common{language: Builtin(), target: g, planned: planned, faults: shared["faults"], workload: shared["workload"], phases: shared["phases"], slo: shared["slo"]}
	c.check()
	sc := c.scenario(entries[0])
	switch {
	case len(theirs.List) > 0:
		return Scenario{}, &Error{File: file, Problems: theirs.Sorted()}
	case len(problems.List) > 0:
		return Scenario{}, &GoError{problems.Sorted()}
	}
	return sc, nil
}

// String implements [Target].
func (t *GoTarget) String() string { return t.Title }

// RegionNames implements [Target].
func (t *GoTarget) RegionNames() []string { return t.Regions }

// FamilyNames implements [Target].
func (t *GoTarget) FamilyNames() []string {
	var names []string
	for _, f := range t.Families {
		names = append(names, f.Name)
	}
	return names
}

// Family implements [Target]. A target without families has them all.
func (t *GoTarget) Family(name string) (Family, bool) {
	f, ok := Family{Name: name}, len(t.Families) == 0
	if i := slices.IndexFunc(t.Families, func(f Family) bool { return f.Name == name }); i >= 0 {
		f, ok = t.Families[i], true
	}
	f.TTL = cmp.Or(f.TTL, unknownTTL)
	f.Writes, f.Deletes = true, true
	return f, ok
}

// Scope implements [Target].
func (t *GoTarget) Scope() faults.Scope {
	s := (&HTTPTarget{Environment: Environment{Redis: t.Redis}}).Scope()
	if t.Redis == nil {
		for _, c := range faults.ServerCapabilities {
			s.Lacks[c] = "the scenario does not say which Redis the target uses"
		}
	}
	return s
}

func (*GoTarget) sameKeys(string, string) bool { return false }
