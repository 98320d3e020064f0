package scenarios

import (
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Target is what a scenario drills: a [ReferenceTarget], an [*HTTPTarget] or a [*GoTarget].
type Target interface {
	// String describes the target for the report.
	String() string
	// RegionNames lists the regions that clients are in; none: requests name no region.
	RegionNames() []string
	// FamilyNames lists the families; none: any name is one.
	FamilyNames() []string
	// Family gives what the target promises of a family; ok is false when it has no such family.
	Family(name string) (f Family, ok bool)
	// Scope is what faults can touch here, and which faults are refused, with the reason.
	Scope() faults.Scope
	// sameKeys says whether two families would be the same things.
	sameKeys(a, b string) bool
}

// Family is what a target promises of one kind of key, and which operations it offers on it.
type Family struct {
	Name   string
	Class  string        // bounded, strong or eventual; "": nothing is promised
	Within time.Duration // the bound of a bounded family; of an eventual one, until it has converged
	TTL    time.Duration // how long a cache may keep a copy; 0: for ever
	Vary   []string      // dimensions of its keys: tenant, locale, currency

	Writes, Deletes bool // its keys can be written to, and deleted

	MostKeys   uint64 // how many keys its names can tell apart; 0 is no bound
	MostWrites uint64 // how many writes of one drill its values can tell apart; 0 is no bound
}

// unknownTTL is how long caches are taken to keep copies of a family that names no TTL.
const unknownTTL = time.Hour

// ReferenceTarget is the service that comes with this program.
type ReferenceTarget struct{ Spec service.Spec }

// String implements [Target]: "reference: workers eu 2, us 2".
func (r ReferenceTarget) String() string {
	var parts []string
	for _, region := range r.Spec.Regions {
		parts = append(parts, fmt.Sprintf("%s %d", region.Name, region.Workers))
	}
	return "reference: workers " + strings.Join(parts, ", ")
}

// RegionNames implements [Target].
func (r ReferenceTarget) RegionNames() []string { return r.Spec.RegionNames() }

// FamilyNames implements [Target].
func (r ReferenceTarget) FamilyNames() []string { return r.Spec.FamilyNames() }

// Family implements [Target].
func (r ReferenceTarget) Family(name string) (Family, bool) {
	f, ok := r.Spec.Family(name)
	if !ok {
		return Family{Name: name, Writes: true, Deletes: true}, false
	}
	out := Family{Name: name, Class: f.Contract.Class.String(), Within: f.Contract.Within, TTL: f.Contract.TTL, Writes: true, Deletes: true}
	if f.Contract.Class == policy.Eventual {
		out.Within = f.Contract.Converges()
	}
	for _, d := range f.Vary {
		out.Vary = append(out.Vary, string(d))
	}
	return out, true
}

// Scope implements [Target].
func (r ReferenceTarget) Scope() faults.Scope {
	return faults.Scope{Regions: r.Spec.RegionNames(), Pools: r.Spec.Pools, Families: r.Spec.FamilyNames(), Edges: r.Spec.Edges()}
}

func (ReferenceTarget) sameKeys(string, string) bool { return false }
