package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// Entry describes a fault to its users.
type Entry struct {
	Name     string // as YAML names it
	Family   string // the part of the name before the dot: what it is done to
	Summary  string
	Params   []Param // its own; every fault also takes Timing
	Evidence string  // how it is proven
	Undo     string  // what heal does, and what it can't
	Example  string  // an item of a YAML list of faults
}

// Param describes a parameter of a fault.
type Param struct {
	Name    string
	Type    string
	Default string // empty when Required, or when Doc says what its absence means
	Doc     string
	// Required says that it must be given.
	Required bool
}

// Timing describes the parameters that every fault takes.
func Timing() []Param {
	return []Param{
		{Name: "at", Type: "duration", Default: "0s", Doc: "when to inject, from the start of the fault phase"},
		{Name: "observe", Type: "duration", Default: "0s", Doc: "how long the fault phase goes on at least, from the injection"},
	}
}

// kind is a fault that YAML can name.
type kind struct {
	Entry
	decode func(*params) Fault
}

// kinds is every fault that YAML can name. It is a function because sham decodes another kind.
func kinds() []kind {
	return []kind{
		{Entry{
			Name:    "redis.restart",
			Summary: "Redis goes away and comes back empty",
			Params: []Param{
				theRegion,
				{Name: "pool", Type: "pool", Doc: "that of this pool; the region's own when absent"},
				{Name: "down", Type: "duration", Default: DefaultDown.String(), Doc: "how long it stays away"},
			},
			Evidence: "connections are refused while it is down; afterwards another run_id (and pid) answers, with fewer keys",
			Undo:     "it is started again on the same address and must answer a ping; what it held is lost",
			Example:  restartExample,
		}, decodeRestart},
		{Entry{
			Name:    "redis.kill",
			Summary: "Redis dies as in a crash (SIGKILL) and comes back empty",
			Params: []Param{
				theRegion,
				{Name: "down", Type: "duration", Default: DefaultDown.String(), Doc: "how long it stays away"},
			},
			Evidence: "connections are refused while it is down; afterwards another run_id (and pid) answers, with fewer keys",
			Undo:     "it is started again on the same address and must answer a ping; what it held is lost",
			Example:  killExample,
		}, decodeKill},
		{Entry{
			Name:    "keys.expire",
			Summary: "many keys expire at the same moment",
			Params: []Param{
				{Name: "family", Type: "family", Doc: "whose keys; either this or pattern, or, at a target with a key prefix, neither: all keys below that"},
				{Name: "pattern", Type: "glob", Doc: "keys that match this Redis glob; at a target with a key prefix it begins with that"},
				{Name: "share", Type: "percentage", Default: "100%", Doc: "how many of them, above 0%; the same ones in every run"},
				{Name: "region", Type: "region or list", Doc: "in which Redis; all when absent"},
				{Name: "pool", Type: "pool", Doc: "only in the Redis of this pool"},
			},
			Evidence: "of the keys that would have lived on, how many were gone right after the moment; those written meanwhile are told apart",
			Undo:     "can't be undone: the caches must fill again. Interrupted before the moment, keys get their own expiry back",
			Example:  "- keys.expire: {family: product, share: 100%}",
		}, decodeExpire},
		{Entry{
			Name:     "keys.flush",
			Summary:  "all keys are deleted; at a target with a key prefix, those below it",
			Params:   []Param{theRegion},
			Evidence: "how many keys there were before, and right after: asked in one transaction with the deletion",
			Undo:     "can't be undone: the keys are lost, and the caches must fill again",
			Example:  flushExample,
		}, decodeFlush},
		network(Blackhole, "bytes disappear; connections stay open, and those that lost some are closed at the heal",
			"probes through the proxies get no answer within "+probeLimit.String()+" while the same probes past them do, at the beginning and just before the heal"),
		network(Refuse, "new connections are refused, present ones are cut",
			"new connections through the proxies are refused while probes past them are answered, at the beginning and just before the heal; a connection that was open before was cut"),
		network(Reset, "connections end with a reset (RST): new ones at once, present ones as soon as bytes move (idle ones notice nothing)",
			"new connections through the proxies are reset while probes past them are answered, at the beginning and just before the heal; so was one that was open before"),
		network(Stall, "bytes wait, and all of them are delivered at the heal, also those that their sender has given up on",
			"probes through the proxies get no answer within "+probeLimit.String()+" while the same probes past them do, at the beginning and just before the heal"),
		network(Latency, "bytes are late",
			"probes by and by: on every edge they take longer through the proxy than past it by what the fault adds at least"),
		{Entry{
			Name:    "source.slow",
			Summary: "the source answers late: latency on every edge that leads to it",
			Params: append(latencyParameters("each answer is later"),
				Param{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts"}),
			Evidence: "probes by and by: on every edge they take longer through the proxy than past it by what the fault adds at least",
			Undo:     "the proxies let the answers pass at once, and probes are no longer late",
			Example:  "- source.slow: {by: 200ms, jitter: 50ms, for: 3s}",
		}, decodeSlowSource},
		{Entry{
			Name:    "invalidation.delay",
			Summary: "invalidation events are held, then delivered",
			Params: []Param{
				{Name: "by", Type: "duration", Required: true, Doc: "how long each event is held"},
				{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts; what is held then is delivered at once"},
				{Name: "region", Type: "region or list", Doc: "whose relay; all when absent"},
			},
			Evidence: "the relays count events that were held, and the slowest was late by at least half of what the delay could do",
			Undo:     "what is held is delivered at once, and none may be held any more",
			Example:  "- invalidation.delay: {by: 2s, for: 3s}",
		}, decodeDelay},
		{Entry{
			Name:    "region.split",
			Summary: "two regions' caches stop hearing of each other",
			Params: []Param{
				{Name: "between", Type: "two regions", Required: true, Doc: "which two; both still reach the source"},
				{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts"},
			},
			Evidence: "a probe through the proxies gets no answer while the same probe past them does",
			Undo:     "the links pass again and must answer a probe; bytes that were sent meanwhile are lost, and their connections are closed",
			Example:  "- region.split: {between: [eu, us], for: 3s}",
		}, decodeSplit},
		{Entry{
			Name:    "sham",
			Summary: "everything that a fault does except the fault: shows what the drilling alone does",
			Params: []Param{
				{Name: "for", Type: "duration", Doc: "perturb nothing for this long; either this or of"},
				{Name: "of", Type: "fault", Doc: "the fault not to inject, with its parameters; either this or for"},
			},
			Evidence: "what it checked, before and after: every Redis is the one it was, every link answers, nothing was held",
			Undo:     "there is nothing to undo; its heal fails when something did change",
			Example:  "- sham: {of: {redis.restart: {region: eu, down: 500ms}}}",
		}, decodeSham},
	}
}

const (
	restartExample = "- redis.restart: {region: eu, down: 500ms}"
	killExample    = "- redis.kill: {region: eu, down: 500ms}"
	flushExample   = "- keys.flush: {region: eu}"
)

// theRegion is the parameter that params.theRegion reads.
var theRegion = Param{Name: "region", Type: "region", Doc: "whose Redis; may be left out where there is one only"}

func latencyParameters(what string) []Param {
	return []Param{
		{Name: "by", Type: "duration", Required: true, Doc: "how much " + what},
		{Name: "jitter", Type: "duration", Default: "0s", Doc: "by how much that varies, both ways; at most half of by"},
	}
}

// network is the kind of what is done to edges.
func network(k ModeKind, summary, evidence string) kind {
	name := "network." + k.String()
	e := Entry{
		Name: name, Summary: summary, Evidence: evidence,
		Params: []Param{{Name: "edge", Type: "edge or list", Required: true, Doc: "which network links: names, or globs with *"}},
		Undo:   "the edges pass again and must answer a probe",
	}
	example := "edge: worker@eu -> redis@eu"
	if k != Refuse {
		e.Params = append(e.Params, Param{Name: "direction", Type: "both, up or down", Default: string(Both),
			Doc: "up is what those who dial send, down what comes back"})
	}
	if k == Latency {
		e.Params = append(e.Params, latencyParameters("bytes are later, in each direction")...)
		e.Undo = "the edges pass at once again, and probes are no longer late"
		example = "edge: worker@eu -> *, by: 100ms, jitter: 20ms"
	}
	e.Params = append(e.Params, Param{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts"})
	e.Example = "- " + name + ": {" + example + ", for: 3s}"
	return kind{e, func(p *params) Fault { return decodeNetwork(p, k) }}
}

// Catalogue describes every fault, for users.
func Catalogue() []Entry {
	var out []Entry
	for _, k := range kinds() {
		k.Family, _, _ = strings.Cut(k.Name, ".")
		out = append(out, k.Entry)
	}
	return out
}

// Names lists every fault that YAML can name, sorted.
func Names() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return out
}

func decodeRestart(p *params) Fault {
	return Restart{Region: p.theRegion("region", restartExample), Pool: p.pool(), Down: p.positive("down", DefaultDown)}
}

func decodeKill(p *params) Fault {
	return Kill{Region: p.theRegion("region", killExample), Down: p.positive("down", DefaultDown)}
}

func decodeFlush(p *params) Fault { return Flush{Region: p.theRegion("region", flushExample)} }

func decodeExpire(p *params) Fault {
	f := Expire{Share: p.share("share"), Regions: p.regions("region"), Pool: p.pool()}
	family, pattern := p.get("family"), p.get("pattern")
	switch {
	case family.Present() && pattern.Present(), !family.Present() && !pattern.Present() && p.scope.KeyPrefix == "":
		p.failHere("needs either family or pattern", "families: "+list(p.scope.Families))
	case family.Present():
		f.Family = p.known("family", "family", p.scope.Families)
	case pattern.Present():
		f.Pattern = p.text("pattern")
		if f.Pattern != "" && !below(f.Pattern, p.scope.KeyPrefix) {
			p.fail(pattern, f.Pattern, fmt.Sprintf("must begin with this target's key prefix %q", p.scope.KeyPrefix),
				"write pattern: '"+escapeGlob(p.scope.KeyPrefix)+"*'")
		}
	}
	return f
}

func decodeNetwork(p *params, k ModeKind) Fault {
	f := Network{Mode: Mode{Kind: k}, Edges: p.edges("edge"), For: p.positive("for", 0)}
	if k != Refuse {
		f.Mode.Direction = Both
		if n := p.get("direction"); n.Present() {
			f.Mode.Direction = Direction(p.known("direction", "direction", []string{string(Both), string(Up), string(Down)}))
		}
	}
	if k == Latency {
		f.Mode.By, f.Mode.Jitter = p.latency(f.Mode, f.For)
	}
	return f
}

func decodeSlowSource(p *params) Fault {
	f := SlowSource{For: p.positive("for", 0)}
	f.By, f.Jitter = p.latency(Mode{Direction: Down}, f.For)
	if len(p.scope.SourceEdges) == 0 {
		why := "give it one, or leave the fault out"
		if len(p.scope.Edges) > 0 {
			why = "its edges: " + list(p.scope.Edges)
		}
		p.failHere("this target has no edge to its source", why)
	}
	return f
}

func decodeDelay(p *params) Fault {
	return Delay{By: p.positive("by", 0), For: p.positive("for", 0), Regions: p.regions("region")}
}

func decodeSplit(p *params) Fault {
	f := Split{For: p.positive("for", 0)}
	n, rs := p.get("between"), p.regions("between")
	switch {
	case !n.Present(), rs == nil: // noted
	case len(rs) != 2:
		p.fail(n, "", "needs two different regions", "write between: [a, b]; regions: "+list(p.scope.Regions))
	default:
		f.Between = [2]string(rs)
	}
	return f
}

func decodeSham(p *params) Fault {
	length, of := p.get("for"), p.get("of")
	if length.Present() == of.Present() {
		p.failHere("needs either for or of", "write sham: {for: 3s} or sham: {of: {"+exampleBody()+"}}")
		return nil
	}
	if length.Present() {
		return Quiet{For: p.positive("for", time.Second)}
	}
	inner, ok := decodeOne(of, p.scope, "sham")
	if !ok {
		p.ok = false
		return nil
	}
	return Sham(inner.Fault)
}

// exampleBody is an example of a fault as it stands inside a sham.
func exampleBody() string { return "redis.restart: {region: eu}" }

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
