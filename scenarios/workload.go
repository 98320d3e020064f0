package scenarios

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/reference/key"
)

// Workload is who asks, for what, and how often.
type Workload struct {
	Steps    []load.Step
	Sessions int
	Timeout  time.Duration // a client's patience
	Mixes    []load.Mix
	Bursts   load.Bursts
}

// Rate is the highest rate of the schedule, operations per second.
func (w Workload) Rate() float64 {
	rate := 0.0
	for _, s := range w.Steps {
		rate = max(rate, s.Rate)
	}
	return rate
}

// overlay reads a field from the scenario's own mapping, or else from the suite's.
type overlay struct{ own, suite map[string]strictyaml.Node }

func (o overlay) get(name string) strictyaml.Node {
	if n := o.own[name]; n.Present() {
		return n
	}
	return o.suite[name]
}

var workloadFields = []string{"rate", "tenants", "locales", "currencies", "sessions", "timeout", "mix", "bursts"}

func decodeWorkload(f overlay, about Target) Workload {
	w := Workload{
		Steps:    decodeRate(f.get("rate")),
		Sessions: f.get("sessions").Int("sessions", 200, 0),
		Timeout:  f.get("timeout").Duration("timeout", 2*time.Second),
	}
	if w.Timeout <= 0 {
		f.get("timeout").Fail("", "timeout must be above 0", "timeout: 2s")
	}
	values := map[key.Dimension][]string{
		key.Locale:   words(f.get("locales"), "locales"),
		key.Currency: words(f.get("currencies"), "currencies"),
	}
	tenants := f.get("tenants").Int("tenants", 1, 1)
	if tenants > mostTenants {
		f.get("tenants").Fail("", fmt.Sprintf("at most %d tenants", mostTenants), "")
		tenants = mostTenants
	}
	for i := range tenants {
		values[key.Tenant] = append(values[key.Tenant], fmt.Sprintf("t%d", i+1))
	}
	mix := f.get("mix")
	if !mix.Present() {
		mix.Fail("mix", "the workload needs a mix of families", "mix: {product: {share: 100%, keys: 2000, zipf: 1.0, writes: 1%}}")
	}
	total := 0.0
	for _, e := range mix.Entries("mix") {
		m := decodeMix(e, about)
		total += m.Share
		promised, ok := about.Family(e.Name)
		if !ok {
			e.Key.Fail(e.Name, "the target has no such family", strictyaml.Suggest(e.Name, about.FamilyNames()))
			continue
		}
		for _, other := range w.Mixes {
			if about.sameKeys(other.Family, e.Name) {
				e.Key.Fail(e.Name, "the reads of "+other.Family+" ask for the same things", "{family} in the path, or a read of its own: target: {http: {families: {"+e.Name+": {read: ...}}}}")
			}
		}
		for _, d := range promised.Vary {
			d := key.Dimension(d)
			if len(values[d]) == 0 {
				e.Key.Fail(e.Name, fmt.Sprintf("the family varies by %s, but the workload names none", d),
					map[key.Dimension]string{key.Locale: "workload: {locales: [de, en]}", key.Currency: "workload: {currencies: [EUR, USD]}",
						key.Variant: "variants can't be asked for: leave {variant} out of the requests"}[d])
			}
			switch d {
			case key.Tenant:
				m.Tenants = values[d]
			case key.Locale:
				m.Locales = values[d]
			case key.Currency:
				m.Currencies = values[d]
			}
		}
		w.Mixes = append(w.Mixes, m)
	}
	if mix.Present() && math.Abs(total-1) > 1e-9 {
		mix.Fail("", fmt.Sprintf("the shares add up to %g%%, not 100%%", math.Round(total*1e4)/100), "")
	}
	if n := f.get("bursts"); n.Present() {
		w.Bursts = decodeBursts(n)
		if mix.Present() && !slices.ContainsFunc(w.Mixes, func(m load.Mix) bool { return m.Writes > 0 }) {
			n.Fail("", "bursts are writes, and no family of the mix has writes", "mix: {product: {share: 100%, writes: 1%}}")
		}
	}
	return w
}

// decodeBursts reads {every: 2s, size: 3, quiet: 1s}.
func decodeBursts(n strictyaml.Node) load.Bursts {
	f := n.Fields("the bursts", "every", "size", "quiet")
	b := load.Bursts{Every: f["every"].Duration("every", 0), Size: f["size"].Int("size", 2, 2)}
	b.Quiet = f["quiet"].Duration("quiet", b.Every/2)
	switch {
	case !f["every"].Present():
		n.Fail("", "the bursts need a time between them", "bursts: {every: 2s, size: 3, quiet: 1s}")
	case b.Every <= 0:
		f["every"].Fail("", "every must be above 0", "every: 2s")
	case b.Quiet < 0 || b.Quiet >= b.Every:
		f["quiet"].Fail("", fmt.Sprintf("quiet must be shorter than the %v between bursts", b.Every), "")
	}
	if b.Size > 3 {
		f["size"].Fail("", "a burst has 2 or 3 writes", "size: 3")
	}
	return b
}

// mostTenants bounds the tenants of a workload.
const mostTenants = 10_000

// mostKeys bounds a family's keys: each has a row at the source and a copy in every Redis.
const mostKeys = 1_000_000

func decodeMix(e strictyaml.Entry, about Target) load.Mix {
	f := e.Value.Fields("the mix of "+e.Name, "share", "keys", "zipf", "writes", "deletes", "absent")
	if !f["share"].Present() {
		e.Key.Fail(e.Name, "the family's share of the operations is missing", "share: 100%")
	}
	keys := f["keys"].Int("keys", 1000, 1)
	if keys > mostKeys {
		f["keys"].Fail("", fmt.Sprintf("at most %d keys", mostKeys), "")
		keys = mostKeys
	}
	m := load.Mix{
		Family:  e.Name,
		Share:   f["share"].Percent("share", 0),
		Keys:    keys,
		Zipf:    f["zipf"].Float("zipf", 1),
		Writes:  f["writes"].Percent("writes", 0.01),
		Deletes: f["deletes"].Percent("deletes", 0),
		Absent:  f["absent"].Percent("absent", 0),
	}
	promised, _ := about.Family(e.Name)
	if most := promised.MostKeys; most > 0 && uint64(keys) > most {
		e.Key.Fail(e.Name, fmt.Sprintf("its names have room for %d keys, and for some that are not there", most), "more digits: {key:08d}")
	}
	if !promised.Writes {
		if f["writes"].Present() && m.Writes > 0 {
			f["writes"].Fail("", "the target does not say how to write the family", `target: {http: {write: {PUT: "/products/{key}", json: {title: "{token}"}}}}`)
		}
		m.Writes = 0
	}
	if m.Deletes > 0 && !promised.Deletes {
		f["deletes"].Fail("", "the target does not say how to delete from the family", `target: {http: {delete: {DELETE: "/products/{key}"}}}`)
	}
	if changes := math.Round((m.Writes+m.Deletes)*1e4) / 100; changes > 100 {
		f["deletes"].Fail("", fmt.Sprintf("writes and deletes add up to %g%% of the family's operations", changes), "")
		m.Deletes = 0
	}
	return m
}

// decodeRate reads 1500/s, or steps [{at: 0s, rate: 1000/s}, {at: 5s, rate: 2000/s}].
func decodeRate(n strictyaml.Node) []load.Step {
	if !n.Present() {
		n.Fail("rate", "the workload needs a rate", "rate: 1500/s")
		return nil
	}
	if !n.IsList() {
		return []load.Step{{Rate: n.Rate("rate", 0)}}
	}
	var steps []load.Step
	for i, s := range n.List("steps") {
		f := s.Fields("a step of the rate", "at", "rate")
		step := load.Step{At: f["at"].Duration("at", 0), Rate: f["rate"].Rate("rate", 0)}
		switch {
		case !f["rate"].Present():
			s.Fail("", "the step needs a rate", "{at: 5s, rate: 2000/s}")
		case i == 0 && step.At != 0:
			f["at"].Fail("", "the first step begins at 0s", "")
		case i > 0 && step.At <= steps[i-1].At:
			f["at"].Fail("", "steps must follow each other in time", "")
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		n.Fail("", "the rate has no steps", "rate: 1500/s")
	}
	return steps
}

func words(n strictyaml.Node, what string) []string {
	var out []string
	seen := map[string]bool{}
	for _, v := range n.List(what) {
		s := v.String(what)
		if s == "" || seen[s] {
			v.Fail(s, "empty or twice in "+what, "")
			continue
		}
		seen[s] = true
		out = append(out, s)
	}
	return out
}
