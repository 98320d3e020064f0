package faults

import (
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strict"
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
				{Name: "region", Type: "region", Required: true, Doc: "whose Redis"},
				{Name: "place", Type: "place", Doc: "that of this place; the region's own when absent"},
				{Name: "down", Type: "duration", Default: DefaultDown.String(), Doc: "how long it stays away"},
			},
			Evidence: "connections are refused while it is down; afterwards another run_id (and pid) answers, with fewer keys",
			Undo:     "it is started again on the same address and must answer a ping; what it held is lost",
			Example:  "- redis.restart: {region: eu, down: 500ms}",
		}, decodeRestart},
		{Entry{
			Name:    "keys.expire",
			Summary: "many keys expire at the same moment",
			Params: []Param{
				{Name: "family", Type: "family", Doc: "whose keys; either this or pattern"},
				{Name: "pattern", Type: "glob", Doc: "keys that match this Redis glob; either this or family"},
				{Name: "share", Type: "percentage", Default: "100%", Doc: "how many of them, above 0%; the same ones in every run"},
				{Name: "region", Type: "region or list", Doc: "in which Redis; all when absent"},
				{Name: "place", Type: "place", Doc: "only in the Redis of this place"},
			},
			Evidence: "of the keys that would have lived on, how many were gone right after the moment; those written meanwhile are told apart",
			Undo:     "can't be undone: the caches must fill again. Interrupted before the moment, keys get their own expiry back",
			Example:  "- keys.expire: {family: product, share: 100%}",
		}, decodeExpire},
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
	return Restart{Region: p.region("region"), Place: p.place(), Down: p.positive("down", DefaultDown)}
}

func decodeExpire(p *params) Fault {
	f := Expire{Share: p.share("share"), Regions: p.regions("region"), Place: p.place()}
	switch family, pattern := p.get("family"), p.get("pattern"); {
	case family.Present() == pattern.Present():
		p.failHere("needs either family or pattern", "families: "+list(p.scope.Families))
	case family.Present():
		f.Family = p.known("family", "family", p.scope.Families)
	default:
		f.Pattern = p.text("pattern")
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

// suggest is strict.Suggest, also where nothing is known.
func suggest(got string, known []string) string {
	if len(known) == 0 {
		return "this target has none"
	}
	return strict.Suggest(got, known)
}
