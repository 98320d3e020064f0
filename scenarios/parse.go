package scenarios

import (
	"maps"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets/service"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

func decodeSuite(file string, root strictyaml.Node, l Language) Suite {
	f := root.Fields("the suite", "version", "policies", "policy", "prices", "target", "environment", "safety", "workload", "phases", "slo", "scenarios")
	suite := Suite{File: file, Policies: service.Presets()}
	if !f["version"].Present() {
		f["version"].Fail("version", "the version of the file's format is missing", "version: 1")
	} else if f["version"].Int("version", 1, 1) != 1 {
		f["version"].Fail("", "this program reads version 1", "version: 1")
	}
	common := common{language: l, workload: f["workload"], phases: f["phases"], slo: f["slo"]}
	suite.Target = decodeTarget(file, f, l)
	common.target = suite.Target
	if t, isHTTP := suite.Target.(*HTTPTarget); isHTTP {
		suite.decodeHTTPPolicies(f["policies"], t)
	} else {
		presets := zoo.Presets()
		maps.Copy(presets, service.Presets())
		for _, e := range f["policies"].Entries("policies") {
			suite.Policies[e.Name] = service.DecodePolicy(e, presets)
		}
	}
	suite.decodeDefaultPolicy(f["policy"])
	if f["prices"].Present() {
		p := cost.DecodePrices(f["prices"])
		suite.Prices = &p
	}
	common.prices = suite.Prices
	common.check()
	entries := f["scenarios"].Entries("scenarios")
	if len(entries) == 0 {
		f["scenarios"].Fail("", "the suite has no scenarios", "scenarios: {name: {why: ..., faults: [...]}}")
	}
	for _, e := range entries {
		suite.Scenarios = append(suite.Scenarios, common.scenario(e))
	}
	return suite
}

func decodeTarget(file string, suite map[string]strictyaml.Node, l Language) Target {
	n := suite["target"]
	if !n.Present() {
		n.Fail("target", "the suite needs a target", "target: {reference: {regions: ..., families: ...}} or target: {http: {...}}")
		return ReferenceTarget{}
	}
	f := n.Fields("the target", "reference", "http")
	switch {
	case f["reference"].Present() == f["http"].Present():
		n.Fail("", "the target needs to be one of: reference, http", "target: {http: {instances: [...], read: ..., write: ..., answer: ...}}")
		return ReferenceTarget{}
	case f["http"].Present():
		return decodeHTTP(file, f["http"], suite["environment"], suite["safety"], l)
	}
	for _, name := range []string{"environment", "safety"} {
		refuse(suite[name], name, "this is for services of your own: the reference service brings everything along", "remove it, or make the target http")
	}
	return ReferenceTarget{service.DecodeSpec(f["reference"])}
}

// decodeDefaultPolicy reads the name of the policy of a run that names none.
func (s *Suite) decodeDefaultPolicy(n strictyaml.Node) {
	if !n.Present() {
		return
	}
	name := n.String("the name of a policy")
	if _, ok := s.Policies[name]; !ok {
		n.Fail(name, "the suite has no such policy", strictyaml.Suggest(name, s.PolicyNames()))
	}
	s.Named = name
}

func (s *Suite) decodeHTTPPolicies(n strictyaml.Node, target *HTTPTarget) {
	s.Policies = map[string]service.Policy{asIs: {}}
	s.Env = map[string]map[string]string{}
	for _, e := range n.Entries("policies") {
		f := e.Value.Fields("policy "+e.Name, "env")
		env := map[string]string{}
		for _, v := range f["env"].Entries("variables of the environment") {
			env[v.Name] = v.Value.String("a value")
		}
		if len(env) == 0 {
			e.Key.Fail(e.Name, "the policy changes nothing", `{env: {CACHE_TTL: "60"}}`)
		}
		if len(target.Environment.Start) == 0 {
			e.Key.Fail(e.Name, "a policy needs the service started anew, and the suite does not say how", "environment: {start: [python3, app.py]}")
		}
		s.Env[e.Name] = env
	}
	for name := range s.Env {
		s.Policies[name] = service.Policy{}
	}
	for name, p := range s.Policies {
		p.Name = name
		s.Policies[name] = p
	}
}
