package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// freeze is a fault that only this test knows: it takes the relay of a region out of service.
type freeze struct {
	region string
	length time.Duration
}

var freezeDefinition = faults.Definition{
	Name:    "relay.freeze",
	Summary: "a relay delivers nothing",
	Params: []faults.Param{
		{Name: "region", Type: "region", Required: true, Doc: "whose relay"},
		{Name: "for", Type: "duration", Default: "1s", Doc: "how long it stays frozen", Was: "lasting"},
	},
	Evidence: "the relay holds events",
	Heals:    "it delivers again",
	Needs:    []faults.Capability{faults.HasRelays},
	Example:  "- relay.freeze: {region: eu}",
	Decode: func(p *faults.Params) faults.Fault {
		return freeze{p.Region("region"), p.Positive("for", time.Second)}
	},
}

func (f freeze) String() string {
	return fmt.Sprintf("relay.freeze{region: %s, for: %v}", f.region, f.length)
}
func (f freeze) Lasts() time.Duration { return f.length }

func (f freeze) Inject(_ context.Context, site faults.Site) (faults.Injected, error) {
	relay := site.Relays[f.region]
	return site.Record(f, []string{"relay@" + f.region}, undo.Nothing("it ended with its process"), func(*undo.Entry) (faults.Injected, error) {
		relay.Delay(time.Hour)
		return faults.Injected{Began: time.Now(), Hold: f.length, Heal: func(context.Context) (string, error) {
			held := relay.Delivered().Held
			relay.Delay(0)
			return fmt.Sprintf("%d events were held", held), nil
		}}, nil
	})
}

// still is a relay that counts how often it was delayed.
type still struct{ delayed int }

func (s *still) Delay(time.Duration)        { s.delayed++ }
func (s *still) Delivered() faults.Delivery { return faults.Delivery{Events: 7} }

const frozen = `
version: 1
target: {reference: {regions: {eu: 1, us: 1}, families: {page: {class: bounded, within: 1s, ttl: 1s}}}}
workload: {rate: 10/s, mix: {page: {share: 100%, keys: 3}}}
scenarios: {s: {faults: [FAULT]}}
`

func TestAFaultIsAddedInOnePlace(t *testing.T) {
	l := Builtin()
	l.Faults = append(l.Faults, freezeDefinition)
	suite, err := l.Parse("x.yaml", []byte(replace(frozen, "{relay.freeze: {region: us, at: 1s}}")))
	require.NoError(t, err)
	planned := suite.Scenarios[0].Faults[0]
	require.Equal(t, "relay.freeze{region: us, for: 1s}", planned.Fault.String())
	require.Equal(t, time.Second, planned.At)
	for fault, problem := range map[string]string{
		"{relay.freeze: {region: mars}}":               "unknown region",
		"{relay.freze: {region: us}}":                  `did you mean "relay.freeze"?`,
		"{relay.freeze: {region: us, lasting: 1s}}":    "lasting is now for",
		"{relay.freeze: {region: us, for: 20s}}":       "shorten it",
		"{sham: {of: {relay.freeze: {region: mars}}}}": "unknown region",
	} {
		_, err := l.Parse("x.yaml", []byte(replace(frozen, fault)))
		require.ErrorContains(t, err, problem)
	}
	_, err = Parse("x.yaml", []byte(replace(frozen, "{relay.freeze: {region: us}}")))
	require.ErrorContains(t, err, "unknown fault", "the builtin language is as it was")

	// The listing, and what it explains.
	require.Contains(t, l.Faults.Names(), "relay.freeze")
	d, ok := l.Faults.Find("relay.freeze")
	require.True(t, ok)
	require.Contains(t, d.Explain(), [2]string{"needs", "invalidation relays"})
	require.Equal(t, "not here", d.Refused(faults.Scope{Lacks: map[faults.Capability]string{faults.HasRelays: "not here"}}))

	// The docs.
	require.Contains(t, l.Faults.Markdown(), "## relay.freeze\n\nA relay delivers nothing.\n")

	// Its sham.
	suite, err = l.Parse("x.yaml", []byte(replace(frozen, "{sham: {of: {relay.freeze: {region: us}}}}")))
	require.NoError(t, err)
	sham := suite.Scenarios[0].Faults[0].Fault
	require.Equal(t, time.Second, sham.Lasts())
	relay := &still{}
	in, err := sham.Inject(t.Context(), faults.Site{Relays: map[string]faults.Relay{"us": relay}})
	require.NoError(t, err)
	evidence, err := in.Heal(t.Context())
	require.NoError(t, err)
	require.Equal(t, "sham of relay.freeze{region: us, for: 1s}: 0 events through relay@us, none held", evidence)
	require.Zero(t, relay.delayed)

	in, err = planned.Fault.Inject(t.Context(), faults.Site{Relays: map[string]faults.Relay{"us": relay}})
	require.NoError(t, err)
	_, err = in.Heal(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, relay.delayed, "without the sham it is the fault")
}

// lukewarm is a backend that only this test knows.
var lukewarm = redis.BackendSpec{
	Name: "lukewarm", Summary: "a Redis that can't be killed", Startable: true,
	Lifetime: func(redis.Config) faults.Lifetime { return faults.EndsWithProcess() },
	Capabilities: func(redis.Config) faults.Capabilities {
		return faults.Capabilities{
			faults.CanStop: faults.Yes(), faults.CanKill: faults.No("a lukewarm Redis can't be killed; use redis.restart"), faults.CanTouch: faults.Yes(),
		}
	},
	Open: func(string, redis.Config) (redis.Node, error) { return nil, errLukewarm },
}

var errLukewarm = errors.New("opened by the test")

const lukewarmSuite = `
version: 1
target: {http: {instances: {local: ["http://127.0.0.1:1"]}, read: {GET: "/{family}/{key}"}, write: {PUT: "/{family}/{key}", json: {v: "{token}"}}, answer: {token: {json: $.v}}}}
environment: {redis: {backend: lukewarm}}
workload: {rate: 10/s, mix: {page: {share: 100%, keys: 3}}}
scenarios: {s: {faults: [FAULT]}}
`

func TestABackendIsAddedInOnePlace(t *testing.T) {
	l := Builtin()
	l.Backends = append(l.Backends, lukewarm)
	parse := func(fault string) (Suite, error) {
		return l.Parse("x.yaml", []byte(replace(lukewarmSuite, fault)))
	}
	suite, err := parse("{redis.restart: {}}")
	require.NoError(t, err)
	_, err = parse("{redis.kill: {}}")
	require.ErrorContains(t, err, `"redis.kill": a lukewarm Redis can't be killed; use redis.restart`)
	_, err = Parse("x.yaml", []byte(replace(lukewarmSuite, "{redis.restart: {}}")))
	require.ErrorContains(t, err, `"lukewarm"`)

	// A drill opens it, and check reads the same refusals.
	target := suite.Scenarios[0].Target.(*HTTPTarget)
	_, err = target.Environment.Redis.Open("", nil)
	require.ErrorIs(t, err, errLukewarm)
	require.Contains(t, target.Scope().Lacks, faults.CanKill)

	// The table in the docs.
	require.Contains(t, l.Backends.Markdown(), "| `lukewarm` | a Redis that can't be killed | yes | no: a lukewarm Redis can't be killed; use redis.restart | yes |\n")
}

// A backend that leaves something undeclared can do nothing, by name, instead of being taken for
// another.
func TestABackendThatDeclaresTooLittleIsRefused(t *testing.T) {
	forgetful := lukewarm
	forgetful.Lifetime = nil
	l := Builtin()
	l.Backends = append(l.Backends, forgetful)
	_, err := l.Parse("x.yaml", []byte(replace(lukewarmSuite, "{redis.restart: {}}")))
	require.ErrorContains(t, err, `the Redis backend "lukewarm" does not declare its lifetime`)

	forgetful = lukewarm
	forgetful.Capabilities = func(redis.Config) faults.Capabilities { return faults.Capabilities{faults.CanStop: faults.Yes()} }
	l.Backends = append(redis.All(), forgetful)
	_, err = l.Parse("x.yaml", []byte(replace(lukewarmSuite, "{redis.kill: {}}")))
	require.ErrorContains(t, err, "it does not declare whether it can kill and start")
	_, err = l.Parse("x.yaml", []byte(replace(lukewarmSuite, "{redis.restart: {}}")))
	require.NoError(t, err)
}

func replace(suite, fault string) string { return strings.Replace(suite, "FAULT", fault, 1) }
