package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/targets/service"
)

// served is what a process is to serve.
type served struct {
	spec   service.Spec
	region string
	policy service.Policy
	find   func(name string) (service.Policy, error)
	known  []string // names that find knows
	note   string

	metering service.Metering
}

// greet says what was started, and how to talk to it.
func (what served) greet(ctx context.Context, out io.Writer, f serveFlags, p *service.Process, t *tiers, at, admin string) {
	relay := "on"
	if f.noRelay {
		relay = "off"
	}
	fmt.Fprintf(out, "cachedrill serve  region %s  policy %s  relay %s\n", what.region, what.policy.Name, relay)
	fmt.Fprintf(out, "  source   %s\n", t.sourceName)
	answers := p.RedisAnswers(ctx)
	for _, pool := range append([]string{""}, what.spec.Pools...) {
		note := t.redisNames[pool]
		if pool != "" {
			note += fmt.Sprintf(" for pool %s: %s", pool, strings.Join(what.spec.In(pool), ", "))
		}
		fmt.Fprintf(out, "  redis    %s\n", note)
		if err := answers[pool]; err != nil {
			fmt.Fprintf(out, "           it does not answer (%v): reads go to the source until it does\n", err)
		}
	}
	fmt.Fprintf(out, "  families %s\n", strings.Join(what.spec.FamilyNames(), ", "))
	if line := what.accounted(); line != "" {
		fmt.Fprintf(out, "  accounts %s\n", line)
	}
	if admin != "" {
		fmt.Fprintf(out, "admin on %s/policy\n", admin)
	}
	family := what.spec.Families[0]
	query := ""
	for _, d := range family.Vary {
		query += fmt.Sprintf("&%s=%s", d, strings.ToUpper(string(d[:1])))
	}
	if query != "" {
		query = "?" + query[1:]
	}
	fmt.Fprintf(out, "listening on %s (no authentication)\n  curl -X PUT '%s/%s/17%s' -d my-token; curl -i '%[2]s/%[3]s/17%[4]s'\n",
		at, at, family.Name, query)
}

// takeRegion finds the region that was asked for.
func (what *served) takeRegion(name string) error {
	names := what.spec.RegionNames()
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return fmt.Errorf("--region says which one this process is in: %s", strings.Join(names, ", "))
	case !slices.Contains(names, name):
		return fmt.Errorf("no region is named %q; there are: %s", name, strings.Join(names, ", "))
	}
	what.region = name
	return nil
}

// takePrices reads what things cost, and how much of them may be used.
func (what *served) takePrices(f serveFlags) error {
	if f.prices != "" {
		list, err := cost.Read(f.prices)
		if err != nil {
			return err
		}
		if list.Prices != nil {
			what.metering.Prices = list.Prices
		}
		what.metering.Budgets = list.Budgets
	}
	for _, b := range what.metering.Budgets {
		if b.Name == cost.CrossRegionBytesPerMillion && f.sourceRegion == "" {
			return fmt.Errorf("--prices %s: nothing tells how much of budget %s is used: say with --source-region where the source is, "+
				"since what crosses regions is what goes to it and comes from it", f.prices, b.Name)
		}
	}
	return nil
}

// accounted says the currency of costs, and which budgets there are; empty when there are neither.
func (what *served) accounted() string {
	var parts []string
	if p := what.metering.Prices; p != nil {
		parts = append(parts, "costs in "+p.Currency)
	}
	for _, b := range what.metering.Budgets {
		parts = append(parts, fmt.Sprintf("budget %s %s", b.Name, cost.InBytes(b.Limit)))
	}
	return strings.Join(parts, ", ")
}

// readSpec reads a file that has what a suite has under target.reference.
func readSpec(file string) (service.Spec, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return service.Spec{}, fmt.Errorf("--config: %w", err)
	}
	root, problems := strictyaml.Parse(src)
	var spec service.Spec
	if root.Present() {
		spec = service.DecodeSpec(root)
	}
	if len(problems.List) > 0 {
		return spec, &strictyaml.Error{File: file, Problems: problems.Sorted()}
	}
	return spec, nil
}

// served reads what is to be served.
func (f serveFlags) served() (what served, err error) {
	switch {
	case f.config != "" && f.file != "":
		return what, errors.New("--config and --file exclude each other: a suite has its families in it")
	case f.config != "":
		if what.spec, err = readSpec(f.config); err != nil {
			return what, err
		}
		presets := service.Presets()
		what.known = slices.Sorted(maps.Keys(presets))
		what.find = func(name string) (service.Policy, error) {
			if p, ok := presets[name]; ok {
				return p, nil
			}
			return service.Policy{}, fmt.Errorf("no policy is named %q; %s", name, strictyaml.Suggest(name, what.known))
		}
	default:
		suite, note, err := loadSuite(f.file)
		if err != nil {
			return what, err
		}
		if what.spec, err = suite.Scenarios[0].Reference(); err != nil {
			return what, exit{exitUsage, err}
		}
		what.note = note
		what.metering.Prices = suite.Prices
		what.find, what.known = suite.Policy, suite.PolicyNames()
	}
	if err := what.takeRegion(f.region); err != nil {
		return what, err
	}
	if err := f.assignPools(&what.spec); err != nil {
		return what, err
	}
	if err := what.takePrices(f); err != nil {
		return what, err
	}
	for _, family := range what.spec.Families {
		if family.Contract.Writes == policy.WriteBehind {
			return what, fmt.Errorf("family %s is written behind, by one owner for all processes, which serve has not: write it aside or through", family.Name)
		}
	}
	if what.policy, err = what.find(f.policy); err != nil {
		return what, fmt.Errorf("--policy: %w", err)
	}
	for _, control := range f.without {
		if what.policy.Policy, err = what.policy.Without(control); err != nil {
			return what, fmt.Errorf("--without: %w", err)
		}
	}
	if len(f.without) > 0 {
		what.policy.Name += " without " + strings.Join(f.without, ", ")
	}
	return what, nil
}

// assignPools assigns families to pools as --assign says, and sees that --pool and the families are
// about the same pools.
func (f serveFlags) assignPools(spec *service.Spec) error {
	spec.Families, spec.Pools = slices.Clone(spec.Families), slices.Clone(spec.Pools)
	for _, text := range f.assign {
		name, pool, ok := strings.Cut(text, "=")
		if !ok || name == "" || !service.GoodName(pool) {
			return fmt.Errorf("--assign %q: FAMILY=POOL is needed, as in price=critical", text)
		}
		i := slices.IndexFunc(spec.Families, func(f service.Family) bool { return f.Name == name })
		if i < 0 {
			return fmt.Errorf("--assign %s: no family is named %q; %s", text, name, strictyaml.Suggest(name, spec.FamilyNames()))
		}
		spec.Families[i].Pool = pool
		if !slices.Contains(spec.Pools, pool) {
			spec.Pools = append(spec.Pools, pool)
		}
	}
	spec.Pools = slices.DeleteFunc(spec.Pools, func(pool string) bool { return len(spec.In(pool)) == 0 }) // --assign emptied it
	for name := range f.poolFlags() {
		if !slices.Contains(spec.Pools, name) {
			return fmt.Errorf("--pool %s: no family is in that pool; assign one: --assign price=%[1]s", name)
		}
	}
	for _, text := range f.pools {
		if name, at, ok := strings.Cut(text, "="); !ok || !service.GoodName(name) || at == "" {
			return errors.New("--pool: NAME=REDIS is needed, as in critical=redis://cache.eu:6379/1")
		}
	}
	return nil
}

// poolFlags gives what --pool says of each pool, the last one where it says it twice.
func (f serveFlags) poolFlags() map[string]string {
	at := map[string]string{}
	for _, text := range f.pools {
		if name, url, ok := strings.Cut(text, "="); ok {
			at[name] = url
		}
	}
	return at
}
