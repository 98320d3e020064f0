package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/oracle"
)

// Given is a target that a Go program brings along, as far as a drill must know it. Its environment is the program's to make.
type Given struct {
	Title          string   // what the report calls it
	Regions        []string // where its clients are; none: nowhere in particular
	Families       []GivenFamily
	ForeignWriters bool       // others may write the keys: a value without a mark of the run is theirs
	Redis          *RedisPlan // that it uses; nil: the faults of redis and keys are not possible
}

// GivenFamily is what the target promises of one kind of key.
type GivenFamily struct {
	Name   string
	Class  string // bounded, strong, eventual; "": nothing is promised, and nothing is held against it
	Within time.Duration
	TTL    time.Duration // for how long a copy may be kept; 0: unknown
	Vary   []string
}

// GivenError is what is wrong with a scenario that a program made: there is no file to point into.
type GivenError struct{ Problems []strictyaml.Problem }

// Error lists the problems, a line each.
func (e *GivenError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		at := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
		lines = append(lines, strings.TrimPrefix(p.String(), at))
	}
	return strings.Join(lines, "\n")
}

// ParseGiven reads and checks a scenario against a target of a Go program. own is the scenario as a suite writes it, a mapping of one
// name, made by the program. base, which may be empty, is what a person wrote: workload, phases, slo and faults, as at the top of a
// suite; own goes before it. planned are faults that are Go values. What is wrong with base comes as an [*Error] that names file,
// what is wrong with own as a [*GivenError].
func ParseGiven(g *Given, file string, base, own []byte, planned []faults.Planned) (Scenario, error) {
	root, problems := strictyaml.Parse(own)
	entries := root.Entries("the scenario")
	if len(entries) != 1 {
		problems.List = append(problems.List, strictyaml.Problem{Msg: "a scenario has one name"})
		return Scenario{}, &GivenError{problems.List}
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
	c := common{given: g, planned: planned, faults: shared["faults"], workload: shared["workload"], phases: shared["phases"], slo: shared["slo"]}
	c.check()
	sc := c.scenario(entries[0])
	switch {
	case len(theirs.List) > 0:
		return Scenario{}, &Error{File: file, Problems: theirs.Sorted()}
	case len(problems.List) > 0:
		return Scenario{}, &GivenError{problems.Sorted()}
	}
	return sc, nil
}

func (g *Given) scope() faults.Scope {
	s := (&Outside{Environment: Environment{Redis: g.Redis}}).Scope()
	if g.Redis == nil {
		for _, c := range faults.ServerCapabilities {
			s.Lacks[c] = "the scenario does not say which Redis the target uses"
		}
	}
	return s
}

// given shows a drill what a [Given] target promises.
type given struct{ *Given }

func (g given) RegionNames() []string { return g.Regions }

func (g given) FamilyNames() []string {
	var names []string
	for _, f := range g.Families {
		names = append(names, f.Name)
	}
	return names
}

func (g given) family(name string) (GivenFamily, bool) {
	if i := slices.IndexFunc(g.Families, func(f GivenFamily) bool { return f.Name == name }); i >= 0 {
		return g.Families[i], true
	}
	return GivenFamily{Name: name}, len(g.Families) == 0
}

func (g given) vary(name string) ([]string, bool) {
	f, ok := g.family(name)
	return f.Vary, ok
}

// Promise implements [Subject].
func (g given) Promise(name string) (oracle.Family, string, bool) {
	f, ok := g.family(name)
	return promiseOf(f.Class, f.Within, f.TTL), f.Class, ok
}

func (given) writes(string) bool { return true }

// Same implements [Subject]: a family is part of its keys.
func (given) Same(string, string) bool { return false }

func (given) deletes(string) bool { return true }
