package drilltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/scenarios"
)

// Class is what a family promises of its reads.
type Class string

// The classes. The zero class promises nothing: staleness is measured, and only objectives hold it
// against the target.
const (
	Bounded  Class = "bounded"  // no read is older than Within
	Strong   Class = "strong"   // linearizable per key
	Eventual Class = "eventual" // converged Within after the last write
)

// Scenario is load, faults and objectives. It is wide because it mirrors a scenario of the YAML,
// which a program then writes as one literal.
type Scenario struct {
	Name string // of the drill in its report; "" is the test's
	Why  string // what the drill is for, in a sentence or two

	Rate     float64       // operations per second, above 0
	Sessions int           // how many clients; 0 is 200
	Timeout  time.Duration // a client's patience; 0 is 2 s

	Families []Family

	// The values of the dimensions by which families vary.
	Tenants             int // 0 is 1
	Locales, Currencies []string

	Regions []string // where clients are; none: requests name no region

	Phases     Phases
	Objectives Objectives
	Faults     []Fault // none: nothing is broken, for as long as the fault phase is

	// Redis is the Redis that the target uses, for the faults of package faults (keys.expire,
	// keys.flush) in YAML.
	Redis *Redis

	// ForeignWriters says that others may have written the keys, as in a Redis that earlier runs
	// have left something in. A value without a mark of the run makes its key unjudged then;
	// without ForeignWriters it is a corruption.
	ForeignWriters bool

	// YAML holds workload, phases, slo and faults in the words of a suite, for instance to share
	// them with one. What stands in the fields above goes before it.
	YAML string
}

// Family is one kind of key: what it promises and how it is asked for.
type Family struct {
	Name   string
	Class  Class
	Within time.Duration // the bound of the class; not of [Strong]
	TTL    time.Duration // for how long a cache may keep a copy; 0: unknown, taken as an hour

	Vary []string // dimensions of its keys: tenant, locale, currency

	Share   float64 // of all operations, 0..1; 0: an even part of what others leave
	Keys    int     // 0 is 1000
	Zipf    float64 // exponent of the keys' popularity; 0 is uniform
	Writes  float64 // of the family's operations, 0..1
	Deletes float64 // likewise
	Absent  float64 // share of the keys that don't exist at the start, 0..1
}

// Phases are the lengths of a drill's parts. The zero value is 3 s, 3 s, 3 s and 4 s; any other is
// as it says.
type Phases struct{ Warmup, Steady, Fault, Recovery time.Duration }

// Objectives are expressions such as "p99 < 50ms", by when they must hold; docs/metrics.md lists
// the metrics.
type Objectives struct{ Steady, Fault, Recovery, Always []string }

// Redis is a Redis that faults may touch, below a prefix only.
type Redis struct {
	URL       string            // redis://127.0.0.1:6379/0
	KeyPrefix string            // of every key that may be touched
	Keys      map[string]string // globs of the families' keys, by family
}

// document is the scenario as a suite writes it.
func (s *Scenario) document() ([]byte, error) {
	workload := map[string]any{}
	if s.Rate != 0 {
		workload["rate"] = number(s.Rate) + "/s"
	}
	if s.Sessions != 0 {
		workload["sessions"] = s.Sessions
	}
	if s.Timeout != 0 {
		workload["timeout"] = s.Timeout.String()
	}
	if s.Tenants != 0 {
		workload["tenants"] = s.Tenants
	}
	if len(s.Locales) > 0 {
		workload["locales"] = s.Locales
	}
	if len(s.Currencies) > 0 {
		workload["currencies"] = s.Currencies
	}
	if mix := s.mix(); len(mix) > 0 {
		workload["mix"] = mix
	}
	doc := map[string]any{"workload": workload}
	if s.Why != "" {
		doc["why"] = s.Why
	}
	if p := s.Phases; p != (Phases{}) {
		doc["phases"] = map[string]string{"warmup": p.Warmup.String(), "steady": p.Steady.String(), "fault": p.Fault.String(), "recovery": p.Recovery.String()}
	}
	slo := map[string][]string{"steady": s.Objectives.Steady, "fault": s.Objectives.Fault, "recovery": s.Objectives.Recovery, "always": s.Objectives.Always}
	maps.DeleteFunc(slo, func(_ string, o []string) bool { return len(o) == 0 })
	if len(slo) > 0 {
		doc["slo"] = slo
	}
	return json.Marshal(map[string]any{s.Name: doc})
}

func (s *Scenario) mix() map[string]any {
	mix := map[string]any{}
	left, even := 1.0, 0
	for _, f := range s.Families {
		left -= f.Share
		if f.Share == 0 {
			even++
		}
	}
	for _, f := range s.Families {
		if f.promiseOnly() && s.YAML != "" {
			continue
		}
		m := map[string]any{"share": percent(f.Share), "zipf": number(f.Zipf), "writes": percent(f.Writes), "deletes": percent(f.Deletes), "absent": percent(f.Absent)}
		if f.Share == 0 {
			m["share"] = percent(max(0, left) / float64(even))
		}
		if f.Keys != 0 {
			m["keys"] = f.Keys
		}
		mix[f.Name] = m
	}
	return mix
}

// promiseOnly says that the family leaves how it is asked for to the YAML.
func (f *Family) promiseOnly() bool {
	return f.Share == 0 && f.Keys == 0 && f.Zipf == 0 && f.Writes == 0 && f.Deletes == 0 && f.Absent == 0
}

func number(x float64) string  { return strconv.FormatFloat(x, 'f', -1, 64) }
func percent(x float64) string { return number(100*x) + "%" }

// parse checks the scenario. What is wrong is all in the error, a line each.
func (s *Scenario) parse(title string) (scenarios.Scenario, error) {
	g := &scenarios.GoTarget{Title: title, Regions: s.Regions, ForeignWriters: s.ForeignWriters}
	var errs []error
	if s.Name == "" {
		errs = append(errs, errors.New(`the scenario needs a name; Name: "redis-gone"`))
	}
	seen := map[string]bool{}
	for i, f := range s.Families {
		if err := f.check(); err != nil {
			errs = append(errs, fmt.Errorf("scenario.Families[%d] %q: %w", i, f.Name, err))
		}
		if seen[f.Name] {
			errs = append(errs, fmt.Errorf("scenario.Families[%d] %q: it is there twice; keep one", i, f.Name))
		}
		seen[f.Name] = true
		g.Families = append(g.Families, scenarios.Family{Name: f.Name, Class: string(f.Class), Within: f.Within, TTL: f.TTL, Vary: f.Vary})
	}
	if r := s.Redis; r != nil {
		g.Redis = &scenarios.RedisPlan{URL: r.URL, KeyPrefix: r.KeyPrefix, Keys: r.Keys}
	}
	var planned []faults.Planned
	for i, f := range s.Faults {
		if err := f.check(); err != nil {
			errs = append(errs, fmt.Errorf("scenario.Faults[%d] %q: %w", i, f.Name, err))
			continue
		}
		planned = append(planned, f.planned())
	}
	if len(s.Faults) == 0 && s.YAML == "" {
		planned = append(planned, faults.Planned{Fault: faults.Nothing{For: s.quiet()}})
	}
	if err := errors.Join(errs...); err != nil {
		return scenarios.Scenario{}, err
	}
	doc, err := s.document()
	if err != nil {
		return scenarios.Scenario{}, fmt.Errorf("writing the scenario: %w", err)
	}
	return scenarios.ParseGo(g, "YAML", []byte(s.YAML), doc, planned)
}

// quiet is for how long nothing is broken.
func (s *Scenario) quiet() time.Duration {
	if s.Phases == (Phases{}) {
		return time.Second
	}
	return max(s.Phases.Fault, time.Millisecond)
}

func (f *Family) check() error {
	switch {
	case f.Name == "":
		return errors.New(`it needs a name; Name: "product"`)
	case f.Class != "" && f.Class != Bounded && f.Class != Strong && f.Class != Eventual:
		return fmt.Errorf("unknown class %q; one of drilltest.Bounded, drilltest.Strong, drilltest.Eventual, or none", f.Class)
	case (f.Class == Bounded || f.Class == Eventual) && f.Within <= 0:
		return fmt.Errorf("a %s family promises within which time; Within: time.Second", f.Class)
	case (f.Class == Strong || f.Class == "") && f.Within != 0:
		return errors.New("only a bounded or eventual family has a bound (Within); Class: drilltest.Bounded")
	case f.TTL < 0:
		return fmt.Errorf("TTL %v is below 0", f.TTL)
	}
	for what, x := range map[string]float64{"Share": f.Share, "Writes": f.Writes, "Deletes": f.Deletes, "Absent": f.Absent} {
		if !(x >= 0 && x <= 1) {
			return fmt.Errorf("%s %v is a share, from 0 to 1; 0.05 is 5%%", what, x)
		}
	}
	for _, d := range f.Vary {
		if d != "tenant" && d != "locale" && d != "currency" {
			return fmt.Errorf("it can't vary by %q; tenant, locale or currency", d)
		}
	}
	return nil
}
