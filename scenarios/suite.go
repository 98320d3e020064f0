// Package scenarios is the language of suites: YAML in, a checked [Suite] out. It starts nothing.
package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Suite is a file of scenarios against one target.
type Suite struct {
	File     string
	Policies map[string]service.Policy
	Named    string       // the policy that the suite names for runs that name none; may be empty
	Prices   *cost.Prices // nil: there are no prices
	// Env is what each policy sets in the environment of a service that is not the reference.
	Env       map[string]map[string]string
	Target    Target // what all scenarios drill
	Scenarios []Scenario
	Doubts    []strictyaml.Problem // what can be drilled, and will not show what it seems to
}

// Scenario is load, a timeline of faults, and objectives, against one target.
type Scenario struct {
	Name       string
	Why        string // what the drill is for, in a sentence or two
	Target     Target
	Workload   Workload
	Phases     Phases
	Faults     []faults.Planned
	Objectives []slo.PhaseObjective
	Prices     *cost.Prices // of the suite
	Halt       []Halt       // ends a drill early
	Language   Language     // that it is written in

	// ForeignWriters says that others may have written the keys before or may write them now;
	// SharedKeys, that they may delete them too.
	ForeignWriters, SharedKeys bool
}

// countedTenants bounds the tenants whose reads caches count apart.
const countedTenants = 50

// Tenants lists those that the workload has, the first ones where there are many.
func (sc Scenario) Tenants() (all []string) {
	for _, m := range sc.Workload.Mixes {
		for _, t := range m.Tenants {
			if len(all) < countedTenants && !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// Phases are the planned lengths. The fault phase ends when the last fault has been seen healed;
// what is left of its length then belongs to recovery, so that the whole stays as long as planned.
type Phases struct {
	Warmup, Steady, Fault, Recovery time.Duration

	// Dip is how long the load is lowered after the recovery phase, and AfterDip how long it is
	// then what it was before; 0 without a dip.
	Dip, AfterDip time.Duration
}

// Total is the time for which load is sent.
func (p Phases) Total() time.Duration { return p.DipBegins() + p.Dip + p.AfterDip }

// DipBegins is the offset at which a dip begins, and at which the load ends without one.
func (p Phases) DipBegins() time.Duration { return p.Warmup + p.Steady + p.Fault + p.Recovery }

// Error is a file that can't be used, with everything that is wrong with it.
type Error = strictyaml.Error

// Warnings gives the doubts as lines: file:line:column: warning: text: what is so; what would help.
func (s Suite) Warnings() []string {
	var lines []string
	for _, d := range s.Doubts {
		at := fmt.Sprintf("%d:%d: ", d.Line, d.Column)
		lines = append(lines, s.File+":"+at+"warning: "+strings.TrimPrefix(d.String(), at))
	}
	return lines
}

// Scenario finds one by name.
func (s Suite) Scenario(name string) (Scenario, error) {
	for _, sc := range s.Scenarios {
		if sc.Name == name {
			return sc, nil
		}
	}
	return Scenario{}, fmt.Errorf("%s has no scenario %q; %s", s.File, name, strictyaml.Suggest(name, s.Names()))
}

// Everything is a scenario with the families and the objectives of all: what a [Check] is about.
func (s Suite) Everything() Scenario {
	var all Scenario
	seen := map[string]bool{}
	for i, sc := range s.Scenarios {
		if i == 0 {
			all = sc
			all.Workload.Mixes, all.Objectives = nil, nil
		}
		for _, m := range sc.Workload.Mixes {
			if !seen[m.Family] {
				all.Workload.Mixes = append(all.Workload.Mixes, m)
			}
			seen[m.Family] = true
		}
		all.Objectives = append(all.Objectives, sc.Objectives...)
	}
	return all
}

// Names lists the scenarios, in the order of the file.
func (s Suite) Names() []string {
	var names []string
	for _, sc := range s.Scenarios {
		names = append(names, sc.Name)
	}
	return names
}

// Policy finds one by name.
func (s Suite) Policy(name string) (service.Policy, error) {
	if p, ok := s.Policies[name]; ok {
		return p, nil
	}
	return service.Policy{}, fmt.Errorf("%s has no policy %q; %s", s.File, name, strictyaml.Suggest(name, s.PolicyNames()))
}

// DefaultPolicy is the policy of a run that names none: the one that the suite names. Else, of a
// service that is not the reference, the suite's only policy, or the service as it is when there
// are none. Empty: the suite has several, and which is meant must be named.
func (s Suite) DefaultPolicy() string {
	_, isHTTP := s.Target.(*HTTPTarget)
	switch {
	case s.Named != "":
		return s.Named
	case !isHTTP:
		return "recommended"
	case len(s.Env) > 1:
		return ""
	}
	for only := range s.Env {
		return only
	}
	return asIs
}

// Choose gives the policy of a run: the named one, or without a name the suite's default.
func (s Suite) Choose(name string) (service.Policy, error) {
	if name == "" {
		name = s.DefaultPolicy()
	}
	if name == "" {
		return service.Policy{}, fmt.Errorf("%s has several policies, and none is named: choose one with --policy (%s), or write policy: NAME into the suite",
			s.File, strings.Join(s.PolicyNames(), ", "))
	}
	return s.Policy(name)
}

// PolicyNames lists the policies, sorted.
func (s Suite) PolicyNames() []string { return slices.Sorted(maps.Keys(s.Policies)) }

// Reference gives the specification of the reference service; an error when the scenario drills
// something else.
func (sc Scenario) Reference() (service.Spec, error) {
	if t, ok := sc.Target.(ReferenceTarget); ok {
		return t.Spec, nil
	}
	return service.Spec{}, fmt.Errorf("scenario %s drills %s, and not the reference service", sc.Name, sc.Target)
}

// HTTP gives the plan of an HTTP service; an error when the scenario drills something else.
func (sc Scenario) HTTP() (*HTTPTarget, error) {
	if t, ok := sc.Target.(*HTTPTarget); ok {
		return t, nil
	}
	return nil, fmt.Errorf("scenario %s drills %s, and not an HTTP service", sc.Name, sc.Target)
}

// asIs is the policy of a service that is started with nothing changed.
const asIs = "as-is"
