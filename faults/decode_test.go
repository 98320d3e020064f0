package faults

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

var scope = Scope{
	Regions: []string{"eu", "us"}, Pools: []string{"critical"}, Families: []string{"product", "price"},
	Edges:       []string{"worker@eu -> redis@eu", "worker@us -> redis@us", "relay@eu -> relay@us", "source"},
	SourceEdges: []string{"source"},
}

// decode reads the items of a document's list "faults", and gives the problems, each a line.
func decode(t require.TestingT, doc string, s Scope) (out []Planned, problems []string) {
	root, ps := strictyaml.Parse([]byte(doc))
	list := root.Fields("the document", "faults")["faults"].List("faults")
	failed := false
	for _, n := range list {
		p, ok := All().Decode(n, s)
		if ok {
			out = append(out, p)
		}
		failed = failed || !ok
	}
	for _, p := range ps.Sorted() {
		problems = append(problems, p.String())
	}
	if len(list) > 0 {
		require.Equal(t, failed, len(problems) > 0, "not ok exactly when problems are noted: %v", problems)
	}
	return out, problems
}

func TestDecode(t *testing.T) {
	sec := time.Second
	tests := map[string]struct {
		item string
		want Planned
		text string
	}{
		"restart": {"redis.restart: {region: eu, down: 200ms}",
			Planned{Fault: Restart{Region: "eu", Down: 200 * time.Millisecond}}, "redis.restart{region: eu, down: 200ms}"},
		"restart, defaults": {"redis.restart: {region: us}",
			Planned{Fault: Restart{Region: "us", Down: DefaultDown}}, "redis.restart{region: us, down: 500ms}"},
		"restart, pool": {"redis.restart: {region: us, pool: critical}",
			Planned{Fault: Restart{Region: "us", Pool: "critical", Down: DefaultDown}}, "redis.restart{region: us, pool: critical, down: 500ms}"},
		"expire, pool": {"keys.expire: {family: product, pool: critical}",
			Planned{Fault: Expire{Family: "product", Share: 1, Pool: "critical"}}, "keys.expire{family: product, share: 100%, pool: critical}"},
		"timing": {"redis.restart: {region: us, at: 2s, observe: 3s}",
			Planned{Fault: Restart{Region: "us", Down: DefaultDown}, At: 2 * sec, Observe: 3 * sec}, "redis.restart{region: us, down: 500ms}"},
		"expire, family": {"keys.expire: {family: product}",
			Planned{Fault: Expire{Family: "product", Share: 1}}, "keys.expire{family: product, share: 100%}"},
		"expire, pattern": {`keys.expire: {pattern: "*:product:*", share: 12.5%, region: eu, at: 1s}`,
			Planned{Fault: Expire{Pattern: "*:product:*", Share: 0.125, Regions: []string{"eu"}}, At: sec},
			"keys.expire{pattern: *:product:*, share: 12.5%, region: eu}"},
		"delay": {"invalidation.delay: {by: 2s, for: 3s}",
			Planned{Fault: Delay{By: 2 * sec, For: 3 * sec}}, "invalidation.delay{by: 2s, for: 3s}"},
		"delay, regions": {"invalidation.delay: {by: 2s, for: 3s, region: [us, eu]}",
			Planned{Fault: Delay{By: 2 * sec, For: 3 * sec, Regions: []string{"us", "eu"}}}, "invalidation.delay{by: 2s, for: 3s, region: [us, eu]}"},
		"split": {"region.split: {between: [eu, us], for: 3s}",
			Planned{Fault: Split{Between: [2]string{"eu", "us"}, For: 3 * sec}}, "region.split{between: [eu, us], for: 3s}"},
		"quiet": {"sham: {for: 3s, at: 1s}", Planned{Fault: Nothing{For: 3 * sec}, At: sec}, "sham{for: 3s}"},
		"kill":  {"redis.kill: {region: eu, down: 1s}", Planned{Fault: Kill{Region: "eu", Down: sec}}, "redis.kill{region: eu, down: 1s}"},
		"flush": {"keys.flush: {region: us}", Planned{Fault: Flush{Region: "us"}}, "keys.flush{region: us}"},
		"black-hole": {"network.blackhole: {edge: worker@eu -> redis@eu, direction: down, for: 1s}",
			Planned{Fault: Network{Mode: link.Mode{Kind: link.Blackhole, Direction: link.Down}, Edges: []string{"worker@eu -> redis@eu"}, For: sec}},
			"network.blackhole{edge: worker@eu -> redis@eu, direction: down, for: 1s}"},
		"refuse": {"network.refuse: {edge: worker@eu -> *, for: 1s}",
			Planned{Fault: Network{Mode: link.Mode{Kind: link.Refuse}, Edges: []string{"worker@eu -> *"}, For: sec}},
			"network.refuse{edge: worker@eu -> *, for: 1s}"},
		"reset": {`network.reset: {edge: [source, "*redis*"], for: 1s}`,
			Planned{Fault: Network{Mode: link.Mode{Kind: link.Reset, Direction: link.Both}, Edges: []string{"source", "*redis*"}, For: sec}},
			`network.reset{edge: [source, "*redis*"], direction: both, for: 1s}`},
		"latency": {"network.latency: {edge: source, by: 100ms, jitter: 20ms, for: 1s}",
			Planned{Fault: Network{Mode: link.Mode{Kind: link.Latency, Direction: link.Both, By: sec / 10, Jitter: sec / 50}, Edges: []string{"source"}, For: sec}},
			"network.latency{edge: source, direction: both, by: 100ms, jitter: 20ms, for: 1s}"},
		"slow source": {"source.slow: {by: 100ms, for: 1s}", Planned{Fault: SlowSource{By: sec / 10, For: sec}}, "source.slow{by: 100ms, for: 1s}"},
		"sham of a network fault": {"sham: {of: {network.stall: {edge: source, direction: up, for: 1s}}}",
			Planned{Fault: Sham(Network{Mode: link.Mode{Kind: link.Stall, Direction: link.Up}, Edges: []string{"source"}, For: sec})},
			"sham{of: network.stall{edge: source, direction: up, for: 1s}}"},
		"sham": {"sham: {of: {redis.restart: {region: eu}}, observe: 1s}",
			Planned{Fault: Sham(Restart{Region: "eu", Down: DefaultDown}), Observe: sec}, "sham{of: redis.restart{region: eu, down: 500ms}}"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, problems := decode(t, "faults:\n  - "+c.item+"\n", scope)
			require.Empty(t, problems)
			require.Equal(t, []Planned{c.want}, got)
			require.Equal(t, c.text, got[0].Fault.String())
		})
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := map[string]struct{ item, want string }{
		"unknown fault":           {"redis.restrat: {region: eu}", `2:5: "redis.restrat": unknown fault; did you mean "redis.restart"?`},
		"no such fault at all":    {"earthquake: {}", `2:5: "earthquake": unknown fault; known: invalidation.delay, keys.expire, keys.flush, network.blackhole, network.halfopen, network.latency, network.refuse, network.reset, network.stall, redis.kill, redis.restart, region.split, sham, source.slow`},
		"a word":                  {"keys.expire", `2:5: "keys.expire": expected a fault with its parameters; write its parameters too: - keys.expire: {family: product, share: 100%}`},
		"a list":                  {"[a]", `2:5: expected a fault with its parameters; write a fault and its parameters: - redis.restart: {region: eu, down: 500ms}`},
		"nothing":                 {"{}", `2:5: expected a fault with its parameters; write a fault and its parameters: - redis.restart: {region: eu, down: 500ms}`},
		"two faults":              {"{sham: {for: 1s}, redis.restart: {region: eu}}", `2:23: "redis.restart": an item holds one fault; begin another item with "- "`},
		"timing beside the fault": {"sham: {for: 1s}\n    at: 1s", `3:5: "at": this belongs among the fault's parameters; write - fault: {..., at: 1s}`},
		"no parameters":           {"redis.restart:", `2:5: "redis.restart": needs region: whose Redis; write - redis.restart: {region: eu, down: 500ms}`},
		"parameters as a word":    {"redis.restart: eu", `2:20: "eu": expected the parameters of redis.restart as a mapping; write - redis.restart: {region: eu, down: 500ms}`},
		"unknown parameter":       {"redis.restart: {region: eu, dwn: 1s}", `2:33: "dwn": unknown parameter of redis.restart; did you mean "down"?`},
		"the old word for a pool": {"redis.restart: {region: eu, place: critical}", `2:33: "place": place is now pool; rename the parameter`},
		"a parameter of another":  {"redis.restart: {region: eu, for: 1s}", `2:33: "for": unknown parameter of redis.restart; known: at, down, observe, pool, region`},
		"parameter without value": {"redis.restart: {region: }", `2:21: "region": has no value`},
		"unknown region":          {"redis.restart: {region: eur}", `2:29: "eur": unknown region; did you mean "eu"?`},
		"far unknown region":      {"redis.restart: {region: mars}", `2:29: "mars": unknown region; known: eu, us`},
		"empty region":            {`redis.restart: {region: ""}`, `2:29: region is empty`},
		"region as a mapping":     {"redis.restart: {region: {a: b}}", `2:30: expected region as a single value`},
		"bad duration":            {"redis.restart: {region: eu, down: 500}", `2:39: "500": bad duration for down; write a number with a unit: 500ms, 3s, 1m30s`},
		"no duration":             {"redis.restart: {region: eu, down: 0s}", `2:39: "0s": down must be above 0; write a number with a unit: 500ms, 3s`},
		"negative duration":       {"redis.restart: {region: eu, at: -1s}", `2:37: "-1s": at can't be negative`},
		"expire nothing":          {"keys.expire: {share: 10%}", `2:5: "keys.expire": needs either family or pattern; families: price, product`},
		"expire two things":       {"keys.expire: {family: product, pattern: x}", `2:5: "keys.expire": needs either family or pattern; families: price, product`},
		"unknown family":          {"keys.expire: {family: prodcut}", `2:27: "prodcut": unknown family; did you mean "product"?`},
		"empty pattern":           {`keys.expire: {pattern: ""}`, `2:28: pattern is empty`},
		"share without percent":   {"keys.expire: {family: product, share: 0.5}", `2:43: "0.5": expected share as a percentage; write it as 25%`},
		"share of nothing":        {"keys.expire: {family: product, share: 0%}", `2:43: "0%": share must be above 0%; leave the fault out, or write a larger one`},
		"share of too much":       {"keys.expire: {family: product, share: 101%}", `2:43: "101%": share must be from 0% to 100%`},
		"delay without by":        {"invalidation.delay: {for: 1s}", `2:5: "invalidation.delay": needs by: how long each event is held; write - invalidation.delay: {by: 2s, for: 3s}`},
		"no region in a list":     {"invalidation.delay: {by: 1s, for: 1s, region: []}", `2:51: region is empty; regions: eu, us`},
		"empty region in a list":  {"invalidation.delay: {by: 1s, for: 1s, region: [eu, ~]}", `2:56: expected a region; regions: eu, us`},
		"a region twice":          {"region.split: {between: [eu, eu], for: 1s}", `2:34: "eu": appears twice; name each region once`},
		"one region":              {"region.split: {between: [eu], for: 1s}", `2:29: needs two different regions; write between: [a, b]; regions: eu, us`},
		"one region, no list":     {"region.split: {between: eu, for: 1s}", `2:29: "eu": needs two different regions; write between: [a, b]; regions: eu, us`},
		"unknown region in list":  {"region.split: {between: [eu, uss], for: 1s}", `2:34: "uss": unknown region; did you mean "us"?`},
		"split for no time":       {"region.split: {between: [eu, us]}", `2:5: "region.split": needs for: how long the fault lasts; write - region.split: {between: [eu, us], for: 3s}`},
		"unknown edge":            {"network.refuse: {edge: worker@eu -> redis@us, for: 1s}", `2:28: "worker@eu -> redis@us": unknown edge; did you mean "worker@eu -> redis@eu"?`},
		"edge that matches none":  {"network.refuse: {edge: worker@asia -> *, for: 1s}", `2:28: "worker@asia -> *": matches no edge; known: relay@eu -> relay@us, source, worker@eu -> redis@eu, worker@us -> redis@us`},
		"no edge in a list":       {"network.refuse: {edge: [], for: 1s}", `2:28: edge is empty; edges: relay@eu -> relay@us, source, worker@eu -> redis@eu, worker@us -> redis@us`},
		"an edge twice":           {"network.refuse: {edge: [source, source], for: 1s}", `2:37: "source": appears twice; name each edge once`},
		"an edge without a fault": {"network.reset: {for: 1s}", `2:5: "network.reset": needs edge: which network links: names, or globs with *; write - network.reset: {edge: worker@eu -> redis@eu, for: 3s}`},
		"unknown direction":       {"network.stall: {edge: source, direction: upp, for: 1s}", `2:46: "upp": unknown direction; did you mean "up"?`},
		"refusal in a direction":  {"network.refuse: {edge: source, direction: up, for: 1s}", `2:36: "direction": unknown parameter of network.refuse; known: at, edge, for, observe`},
		"too much jitter":         {"network.latency: {edge: source, by: 1s, jitter: 2s, for: 1s}", `2:53: "2s": jitter must be at most half of by; write at most 500ms`},
		"too short a latency":     {"network.latency: {edge: source, by: 1s, jitter: 500ms, for: 3s}", `2:65: "3s": too short to be noticed: an answer may take 3s longer; write more than that`},
		"too short a slowness":    {"source.slow: {by: 1s, for: 1s}", `2:32: "1s": too short to be noticed: an answer may take 1s longer; write more than that`},
		"flush without a region":  {"keys.flush: {}", `2:5: "keys.flush": needs region: whose Redis; write - keys.flush: {region: eu}`},
		"sham of nothing":         {"sham: {}", `2:5: "sham": needs either for or of; write sham: {for: 3s} or sham: {of: {redis.restart: {region: eu}}}`},
		"sham of two things":      {"sham: {for: 1s, of: {redis.restart: {region: eu}}}", `2:5: "sham": needs either for or of; write sham: {for: 3s} or sham: {of: {redis.restart: {region: eu}}}`},
		"sham of a sham":          {"sham: {of: {sham: {for: 1s}}}", `2:17: "sham": unknown fault; known: invalidation.delay, keys.expire, keys.flush, network.blackhole, network.halfopen, network.latency, network.refuse, network.reset, network.stall, redis.kill, redis.restart, region.split, source.slow`},
		"timing in a sham":        {"sham: {of: {redis.restart: {region: eu, at: 1s}}}", `2:45: "at": unknown parameter of redis.restart; move it out, to the parameters of sham`},
		"problem in a sham":       {"sham: {of: {redis.restart: {region: eur}}}", `2:41: "eur": unknown region; did you mean "eu"?`},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, problems := decode(t, "faults:\n  - "+c.item+"\n", scope)
			require.Equal(t, []string{c.want}, problems)
			require.Empty(t, got)
		})
	}
}

func TestDecodeWhereNothingIsKnown(t *testing.T) {
	_, problems := decode(t, "faults: [{redis.restart: {region: eu}}, {keys.expire: {family: product}}]", Scope{})
	require.Equal(t, []string{
		`1:35: "eu": unknown region; this target has none`,
		`1:64: "product": unknown family; this target has none`,
	}, problems)
}

func TestDecodeWhatATargetDoesNotAllow(t *testing.T) {
	s := Scope{
		Regions: []string{"here"}, Families: []string{"product"}, Edges: []string{"redis"}, KeyPrefix: "drill[1]:",
		Lacks: map[Capability]string{CanStop: "this Redis is managed by its owner; use network.refuse"},
	}
	got, problems := decode(t, `faults:
  - redis.restart: {down: 1s}
  - sham: {of: {redis.restart: {}}}
  - redis.kill: {down: 1s}
  - keys.flush:
  - keys.expire: {}
  - keys.expire: {pattern: "*"}
  - keys.expire: {pattern: "drill[1]:*"}
  - keys.expire: {pattern: 'drill\[1]:product:*'}
  - source.slow: {by: 1s, for: 2s}
`, s)
	require.Equal(t, []string{
		`2:5: "redis.restart": this Redis is managed by its owner; use network.refuse`,
		`3:17: "redis.restart": this Redis is managed by its owner; use network.refuse`,
		`7:28: "*": must begin with this target's key prefix "drill[1]:"; write pattern: 'drill\[1\]:*'`,
		`8:28: "drill[1]:*": must begin with this target's key prefix "drill[1]:"; write pattern: 'drill\[1\]:*'`,
		`10:5: "source.slow": this target has no edge to its source; its edges: redis`,
	}, problems)
	var texts []string
	for _, p := range got {
		texts = append(texts, p.Fault.String())
	}
	require.Equal(t, []string{
		"redis.kill{region: here, down: 1s}", "keys.flush{region: here}", "keys.expire{share: 100%}",
		`keys.expire{pattern: drill\[1]:product:*, share: 100%}`,
	}, texts)
}

func TestDecodeFindsAllProblems(t *testing.T) {
	_, problems := decode(t, "faults:\n  - region.split: {between: [eu, mars], for: 3, until: 1s}\n  - keys.expire: {family: x, share: 7}\n", scope)
	require.Len(t, problems, 5)
}

func TestCatalogue(t *testing.T) {
	var names []string
	for _, e := range All() {
		names = append(names, e.Name)
		for what, text := range map[string]string{"summary": e.Summary, "evidence": e.Evidence, "heal": e.Heals, "family": e.Family()} {
			require.NotEmpty(t, text, "%s of %s", what, e.Name)
		}
		for _, p := range e.Params {
			require.NotEmpty(t, p.Doc, "%s of %s", p.Name, e.Name)
			require.NotEmpty(t, p.Type, "%s of %s", p.Name, e.Name)
		}
		got, problems := decode(t, "faults:\n  "+e.Example+"\n", scope)
		require.Empty(t, problems, "the example of %s", e.Name)
		require.True(t, strings.HasPrefix(got[0].Fault.String(), e.Name+"{"), got[0].Fault)
	}
	require.ElementsMatch(t, names, All().Names())
	require.Equal(t, []string{
		"invalidation.delay", "keys.expire", "keys.flush", "network.blackhole", "network.halfopen", "network.latency", "network.refuse", "network.reset",
		"network.stall", "redis.kill", "redis.restart", "region.split", "sham", "source.slow",
	}, All().Names())
}

// Every default that the catalogue tells is what leaving the parameter out means.
func TestCatalogueDefaults(t *testing.T) {
	for _, e := range All() {
		required := map[string]string{
			"redis.restart": "region: eu", "keys.expire": "family: product", "invalidation.delay": "by: 1s, for: 1s",
			"region.split": "between: [eu, us], for: 1s", "sham": "for: 1s",
			"redis.kill": "region: eu", "keys.flush": "region: eu", "source.slow": "by: 1s, for: 3s",
			"network.latency": "edge: source, by: 1s, for: 3s",
		}[e.Name]
		if required == "" {
			required = "edge: source, for: 1s"
		}
		for _, p := range append(e.Params, Timing()...) {
			if p.Default == "" {
				continue
			}
			got, problems := decode(t, "faults:\n  - "+e.Name+": {"+required+"}\n  - "+e.Name+": {"+required+", "+p.Name+": "+p.Default+"}\n", scope)
			require.Empty(t, problems)
			require.Equal(t, got[0], got[1], "%s of %s", p.Name, e.Name)
		}
	}
}

// A fault reads back from the words in which reports show it, and a sham of a sham is that sham.
func TestStringIsYAML(t *testing.T) {
	names := rapid.SampledFrom([][]string{nil, {"eu"}, {"us", "eu"}})
	length := rapid.Int64Range(1, int64(time.Hour))
	rapid.Check(t, func(t *rapid.T) {
		d := func(name string) time.Duration { return time.Duration(length.Draw(t, name)) }
		all := []Fault{
			Restart{Region: "eu", Down: d("down")},
			Expire{Family: "product", Share: float64(rapid.IntRange(1, 100).Draw(t, "share")) / 100, Regions: names.Draw(t, "in")},
			Delay{By: d("by"), For: d("for"), Regions: names.Draw(t, "regions")},
			Split{Between: [2]string{"us", "eu"}, For: d("for")},
			Nothing{For: d("for")},
			Kill{Region: "us", Down: d("down")},
			Flush{Region: "us"},
			SlowSource{By: time.Hour, Jitter: d("jitter") / 2, For: 2*time.Hour + d("for")},
		}
		for _, k := range []link.Kind{link.Blackhole, link.Stall, link.Refuse, link.Reset, link.Latency, link.HalfOpen} {
			n := Network{
				Mode:  link.Mode{Kind: k},
				Edges: rapid.SampledFrom([][]string{{"source"}, {"worker@eu -> *"}, {"*", "relay@eu -> relay@us"}}).Draw(t, "edges"),
				For:   d("for"),
			}
			if k != link.Refuse {
				n.Mode.Direction = rapid.SampledFrom([]link.Direction{link.Both, link.Up, link.Down}).Draw(t, "direction")
			}
			if k == link.Latency {
				n.Mode.By, n.Mode.Jitter, n.For = time.Hour, d("jitter")/2, 4*time.Hour+d("for")
			}
			all = append(all, n)
		}
		for _, f := range all {
			for _, f := range []Fault{f, Sham(f), Sham(Sham(f))} {
				yaml := strings.ReplaceAll(f.String(), "{", ": {")
				if of, ok := strings.CutPrefix(yaml, "sham: {of: "); ok {
					yaml = "sham: {of: {" + of + "}"
				}
				got, problems := decode(t, "faults:\n  - "+yaml+"\n", scope)
				require.Empty(t, problems, yaml)
				require.Equal(t, f.String(), got[0].Fault.String())
			}
		}
	})
}

// FuzzDecode: whatever is written, Decode neither panics nor lets a fault through that can't be
// injected for its own fields' sake.
func FuzzDecode(f *testing.F) {
	for _, e := range All() {
		f.Add("faults:\n  " + e.Example + "\n")
	}
	f.Add("faults: [{sham: {of: {sham: ~}}}, ~, {region.split: {between: [[eu], {us: us}]}}]")
	f.Fuzz(func(t *testing.T, doc string) {
		got, _ := decode(t, doc, scope)
		for _, p := range got {
			require.NotNil(t, p.Fault)
			_, err := p.Fault.Inject(context.Background(), Site{})
			if err != nil {
				require.NotContains(t, err.Error(), "must be above 0")
			}
		}
	})
}
