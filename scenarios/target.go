package scenarios

import (
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/targets/http"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Subject is what a suite says of its target, whichever kind it is.
type Subject interface {
	RegionNames() []string
	FamilyNames() []string // none: any name is one
	// vary gives the dimensions of a family; ok is false when the target has no such family.
	vary(family string) (dimensions []string, ok bool)
	// Promise is what the judge holds a family to, and the class as labels show it; ok is false when the target has no such family.
	Promise(family string) (p oracle.Family, class string, ok bool)
	// writes and deletes say whether a family can be changed so.
	writes(family string) bool
	deletes(family string) bool
	// Same says whether two families would be the same things.
	Same(a, b string) bool
}

// Subject gives what the scenario is about.
func (sc *Scenario) Subject() Subject {
	switch {
	case sc.Outside != nil:
		return theirs{sc.Outside.Service}
	case sc.Given != nil:
		return given{sc.Given}
	}
	return ours{sc.Target}
}

// ours is the reference service.
type ours struct{ service.Spec }

func (o ours) vary(family string) ([]string, bool) {
	f, ok := o.Family(family)
	var names []string
	for _, d := range f.Vary {
		names = append(names, string(d))
	}
	return names, ok
}

// Promise implements [Subject].
func (o ours) Promise(family string) (oracle.Family, string, bool) {
	f, ok := o.Family(family)
	p := oracle.Family{Class: oracle.Bounded, Within: f.Contract.Within, Horizon: f.Contract.TTL}
	switch f.Contract.Class {
	case policy.Strong:
		p.Class = oracle.Strong
	case policy.Eventual:
		p.Class, p.Within = oracle.Eventual, f.Contract.Converges()
	}
	return p, f.Contract.Class.String(), ok
}

// Same implements [Subject]: a family is part of its keys.
func (ours) Same(string, string) bool { return false }

func (ours) writes(string) bool  { return true }
func (ours) deletes(string) bool { return true }

// theirs is a service of the user's.
type theirs struct{ *http.Spec }

func (t theirs) vary(family string) ([]string, bool) {
	f, ok := t.Family(family)
	return f.Vary, ok
}

// anyTTL is how long caches are taken to keep copies when nobody says.
const anyTTL = time.Hour

// Promise implements [Subject].
func (t theirs) Promise(family string) (oracle.Family, string, bool) {
	f, _ := t.Family(family)
	return promiseOf(f.Class, f.Within, f.TTL), f.Class, true
}

// promiseOf is what the judge holds a family of somebody else's target to.
func promiseOf(class string, within, ttl time.Duration) oracle.Family {
	p := oracle.Family{Within: within, Horizon: ttl}
	switch class {
	case "strong":
		p.Class = oracle.Strong
	case "eventual":
		p.Class = oracle.Eventual
	case "":
		p.Unclassed = true
	}
	if p.Horizon == 0 {
		p.Horizon = anyTTL
	}
	return p
}

func (t theirs) writes(family string) bool {
	f, _ := t.Family(family)
	return f.Write != nil
}

func (t theirs) deletes(family string) bool {
	f, _ := t.Family(family)
	return f.Delete != nil
}
