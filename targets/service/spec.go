package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// Spec describes the reference service: `target: {reference: ...}`.
type Spec struct {
	Regions  []Region
	Pools    []string // Redises beside each region's own, by name; each region has one of each
	Source   Source
	Families []Family
}

// Region is a place with workers and a Redis of its own.
type Region struct {
	Name    string
	Workers int
}

// Source describes the source of truth.
type Source struct {
	Servers     int           // requests served at a time
	ServiceTime time.Duration // mean time of a load
	CheckTime   time.Duration // mean time of a version read; 0: a fifth of the load's
	WriteTime   time.Duration // mean time of a write
	Queue       int           // requests that may wait; more are shed. 0: no bound
	// ServeAbandoned says that loads are served although their caller gave up.
	ServeAbandoned bool
}

// Family is one kind of key.
type Family struct {
	Name        string
	Pool        string // whose Redis has its copies; "": the region's own
	Contract    policy.Family
	ServiceTime time.Duration // mean time of a load at the source
	Vary        []key.Dimension
	Empty       float64 // share of the names whose value has an empty text, 0..1
}

// Family finds a family by name.
func (s Spec) Family(name string) (Family, bool) {
	for _, f := range s.Families {
		if f.Name == name {
			return f, true
		}
	}
	return Family{}, false
}

// FamilyNames and RegionNames list the names there are, in the order of the file.
func (s Spec) FamilyNames() []string {
	var names []string
	for _, f := range s.Families {
		names = append(names, f.Name)
	}
	return names
}

// In lists the families of a pool, in the order of the file.
func (s Spec) In(pool string) []string {
	var names []string
	for _, f := range s.Families {
		if f.Pool == pool {
			names = append(names, f.Name)
		}
	}
	return names
}

// RegionNames lists the regions, in the order of the file.
func (s Spec) RegionNames() []string {
	var names []string
	for _, r := range s.Regions {
		names = append(names, r.Name)
	}
	return names
}

// Redises lists the Redises that the service needs, by their names; see [targets.RedisName].
func (s Spec) Redises() []string {
	var names []string
	for _, r := range s.Regions {
		for _, pool := range s.pools() {
			names = append(names, targets.RedisName(r.Name, pool))
		}
	}
	return names
}

// Edges names every network link of the service.
func (s Spec) Edges() []string {
	var names []string
	for _, r := range s.Regions {
		for _, pool := range s.pools() {
			names = append(names, workerRedis(r.Name, pool), relayRedis(r.Name, pool))
		}
		for _, peer := range s.Regions {
			if peer.Name != r.Name {
				names = append(names, targets.RelayEdge(r.Name, peer.Name))
			}
		}
	}
	return names
}

// pools lists the pools of a region, its own first.
func (s Spec) pools() []string { return append([]string{""}, s.Pools...) }

// families gives the families as the cache takes them.
func (s Spec) families() []reference.Family {
	var all []reference.Family
	for _, f := range s.Families {
		all = append(all, reference.Family{
			Schema:   key.Schema{Family: f.Name, Version: 1, Vary: f.Vary},
			Contract: f.Contract,
			Pool:     f.Pool,
		})
	}
	return all
}

// Model describes the source as a model; it has no seed and no clock yet.
func (s Spec) Model() source.ModelConfig {
	times := map[string]time.Duration{}
	for _, f := range s.Families {
		times[f.Name] = f.ServiceTime
	}
	return source.ModelConfig{
		Servers:     s.Source.Servers,
		ServiceTime: s.Source.ServiceTime,
		FamilyTime:  times,
		VersionTime: s.Source.CheckTime,
		WriteTime:   s.Source.WriteTime,
		Queue:       s.Source.Queue,

		ServeAbandoned: s.Source.ServeAbandoned,
	}
}

// DecodeSpec reads `target: {reference: ...}`. Problems are noted on the nodes.
func DecodeSpec(n strictyaml.Node) Spec {
	f := n.FieldsRenamed("the reference target", map[string]string{"places": "pools"}, "regions", "pools", "source", "families")
	spec := Spec{Source: decodeSource(f["source"])}
	for _, e := range f["regions"].Entries("regions") {
		checkName(e, "region")
		workers := e.Value.Int("the number of workers", 2, 1)
		if workers > mostWorkers {
			e.Value.Fail("", fmt.Sprintf("at most %d workers in a region", mostWorkers), "")
		}
		spec.Regions = append(spec.Regions, Region{Name: e.Name, Workers: workers})
	}
	if len(spec.Regions) == 0 {
		f["regions"].Fail("", "the reference target needs regions", "regions: {eu: 2, us: 2}")
	}
	for _, n := range f["pools"].List("pools") {
		name := n.String("pool")
		switch {
		case !GoodName(name):
			n.Fail(name, "bad name of a pool", nameHint)
		case slices.Contains(spec.Pools, name):
			n.Fail(name, "appears twice", "")
		default:
			spec.Pools = append(spec.Pools, name)
		}
	}
	used := map[string]bool{}
	for _, e := range f["families"].Entries("families") {
		checkName(e, "family")
		spec.Families = append(spec.Families, decodeFamily(e, spec))
		used[spec.Families[len(spec.Families)-1].Pool] = true
	}
	for _, n := range f["pools"].List("pools") {
		if name := n.String("pool"); GoodName(name) && !used[name] {
			n.Fail(name, "no family is in this pool", "families: {price: {..., pool: "+name+"}}")
		}
	}
	if len(spec.Families) == 0 {
		f["families"].Fail("", "the reference target needs families", "families: {product: {class: bounded, within: 10s, ttl: 10s}}")
	}
	return spec
}

// mostWorkers bounds the workers of a region: each has a server and a cache of its own in this
// process.
const mostWorkers = 64

const nameHint = "lower-case letters, digits, - and _"

// GoodName says whether a region, a pool, a family or a policy may be called so.
func GoodName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
}

func checkName(e strictyaml.Entry, what string) {
	if !GoodName(e.Name) {
		e.Key.Fail(e.Name, "bad name of a "+what, nameHint)
	}
}

func decodeSource(n strictyaml.Node) Source {
	f := n.Fields("the source", "servers", "service_time", "check_time", "write_time", "queue", "abandoned")
	abandoned := "dropped"
	if f["abandoned"].Present() {
		abandoned = f["abandoned"].OneOf("what becomes of abandoned loads", "dropped", "served")
	}
	return Source{
		ServeAbandoned: abandoned == "served",

		Servers:     f["servers"].Int("servers", 40, 1),
		ServiceTime: f["service_time"].Duration("service_time", 50*time.Millisecond),
		CheckTime:   f["check_time"].Duration("check_time", 0),
		WriteTime:   f["write_time"].Duration("write_time", 5*time.Millisecond),
		Queue:       f["queue"].Int("queue", 1000, 0),
	}
}

// ClassHint says what a family's class can be.
const ClassHint = "class: bounded (no read older than within), strong (linearizable) or eventual (converges after its ttl)"

func decodeFamily(e strictyaml.Entry, spec Spec) Family {
	f := e.Value.FieldsRenamed("family "+e.Name, map[string]string{"place": "pool", "lease": "read_lease"},
		"class", "within", "ttl", "read_lease", "writes", "pool", "service_time", "vary", "empty")
	fam := Family{Name: e.Name, ServiceTime: f["service_time"].Duration("service_time", spec.Source.ServiceTime)}
	fam.Pool = pool(f["pool"], spec.Pools)
	fam.Contract.Class = policy.ParseClass(f["class"].OneOf("class", policy.Classes()...))
	if !f["class"].Present() {
		e.Key.Fail(e.Name, "the family needs a class", ClassHint)
	}
	fam.Empty = f["empty"].Percent("empty", 0)
	fam.Contract.Within = f["within"].Duration("within", 0)
	fam.Contract.TTL = f["ttl"].Duration("ttl", fam.Contract.Within)
	fam.Contract.ReadLease = f["read_lease"].Duration("read_lease", 0)
	fam.Contract.Writes = policy.ParseWritePath(f["writes"].OneOf("way of writing", policy.WritePaths()...))
	for _, v := range f["vary"].List("dimensions") {
		var names []string
		for _, d := range key.Dimensions {
			names = append(names, string(d))
		}
		if d := key.Dimension(v.OneOf("dimension", names...)); d != "" {
			if slices.Contains(fam.Vary, d) {
				v.Fail("", "appears twice", "")
			}
			fam.Vary = append(fam.Vary, d)
		}
	}
	class := fam.Contract.Class
	switch {
	case class != policy.Bounded && f["within"].Present():
		f["within"].Fail("", "only a bounded family has a bound", "remove within, or make the class bounded")
	case class != policy.Strong && f["read_lease"].Present():
		f["read_lease"].Fail("", "only a strong family has a read lease", "remove read_lease, or make the class strong")
	case class != policy.Eventual && fam.Contract.Writes == policy.WriteBehind:
		f["writes"].Fail("", "only an eventual family can be written behind: its readers see a write after it was acknowledged",
			"writes: aside or through, or class: eventual")
	case fam.Contract.ReadLease > fam.Contract.TTL:
		f["read_lease"].Fail("", "the read lease is longer than the ttl ("+fam.Contract.TTL.String()+")", "lower read_lease or raise ttl")
	case class == policy.Bounded && f["class"].Present() && fam.Contract.Within <= 0:
		e.Key.Fail(e.Name, "a bounded family needs within, above 0", "within: 10s")
	case class == policy.Bounded && fam.Contract.TTL > fam.Contract.Within:
		f["ttl"].Fail("", "the ttl is above the family's bound ("+fam.Contract.Within.String()+")",
			"a copy must not outlive the staleness it may have: lower ttl or raise within")
	case fam.Contract.TTL < time.Millisecond && f["class"].Present():
		e.Key.Fail(e.Name, "the family needs a ttl of at least 1ms", "ttl: 10s")
	}
	return fam
}

// pool reads the pool of a family; "" when it has none of its own.
func pool(n strictyaml.Node, known []string) string {
	if n.Present() && len(known) == 0 {
		n.Fail("", "the target has no pools", "pools: ["+n.String("pool")+"]")
		return ""
	}
	return n.OneOf("pool", known...)
}

// DecodePolicy reads one entry of `policies`: a preset and what to take from it.
func DecodePolicy(e strictyaml.Entry, presets map[string]Policy) Policy {
	checkName(e, "policy")
	f := e.Value.Fields("policy "+e.Name, "preset", "without")
	preset := "recommended"
	if f["preset"].Present() {
		preset = f["preset"].OneOf("preset", slices.Sorted(maps.Keys(presets))...)
	}
	p := presets[preset]
	p.Name = e.Name
	for _, n := range f["without"].List("controls") {
		if name := n.OneOfRenamed("control", policy.RenamedControls, policy.Names()...); name != "" {
			p.Policy, _ = p.Without(name)
		}
	}
	return p
}

// Edge is a directed network link that the service will use, for a proxy to stand in.
type Edge struct {
	Name     string
	Upstream string // host:port
}

// workerRedis names the edge from a region's workers to one of its Redises.
func workerRedis(region, pool string) string {
	return "worker@" + region + " -> redis@" + targets.RedisName(region, pool)
}

// relayRedis names the edge from a region's relay to one of its Redises.
func relayRedis(region, pool string) string {
	return "relay@" + region + " -> redis@" + targets.RedisName(region, pool)
}
