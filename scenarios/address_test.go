package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const addressed = `
version: 1
target: {http: {instances: ["http://127.0.0.1:1"], read: {GET: "/{key}"}, write: {PUT: "/{key}", body: "{token}"}, answer: {token: body}, families: {p: {class: strong, ttl: 1s}}}}
environment: {%s}
workload: {rate: 100/s, mix: {p: {share: 100%%, keys: 10, writes: 10%%}}}
phases: {warmup: 300ms, steady: 500ms, fault: 2s, recovery: 1s}
slo: {always: ["violations == 0"]}
scenarios: {s: {faults: [{sham: {for: 1s}}]}}
`

func surroundings(t *testing.T, environment string) (Environment, error) {
	t.Helper()
	s, err := Parse("drill.yaml", fmt.Appendf(nil, addressed, environment))
	if err != nil {
		return Environment{}, err
	}
	return s.Target.(*HTTPTarget).Environment, nil
}

func TestURLsTakeVariablesOfTheEnvironment(t *testing.T) {
	t.Setenv("DRILL_TEST_USER", "canaryuser")
	t.Setenv("DRILL_TEST_PASSWORD", "ca/na@ry#%:1")
	t.Setenv("DRILL_TEST_ENCODED", "ca%40nary")
	t.Setenv("DRILL_TEST_URL", "redis://whole:canary@127.0.0.1:1/2")
	const encoded = "ca%2Fna%40ry%23%25%3A1"
	for _, c := range []struct{ url, want, login string }{
		{"redis://${DRILL_TEST_USER}:${DRILL_TEST_PASSWORD}@127.0.0.1:1/0", "redis://canaryuser:" + encoded + "@127.0.0.1:1/0", "${DRILL_TEST_USER}:${DRILL_TEST_PASSWORD}"},
		{"rediss://:${DRILL_TEST_PASSWORD}@127.0.0.1:1", "rediss://:" + encoded + "@127.0.0.1:1", ":${DRILL_TEST_PASSWORD}"},
		{"redis://someone:${DRILL_TEST_ENCODED}@127.0.0.1:1", "redis://someone:ca%40nary@127.0.0.1:1", ":${DRILL_TEST_ENCODED}"},
		{"${DRILL_TEST_URL}", "redis://whole:canary@127.0.0.1:1/2", "${DRILL_TEST_URL}"},
		{"unix://:${DRILL_TEST_PASSWORD}@/run/redis.sock?db=1", "unix://:" + encoded + "@/run/redis.sock?db=1", ":${DRILL_TEST_PASSWORD}"},
		{"unix:///run/redis.sock", "unix:///run/redis.sock", ""},
	} {
		e, err := surroundings(t, `redis: {url: "`+c.url+`"}`)
		require.NoError(t, err, c.url)
		require.Equal(t, c.want, e.Redis.URL)
		require.Equal(t, c.login, e.Redis.Login)
	}
	e, err := surroundings(t, `source_qps: {postgres: "postgres://${DRILL_TEST_USER}:${DRILL_TEST_PASSWORD}@127.0.0.1:1/shop"}`)
	require.NoError(t, err)
	require.Equal(t, "postgres://canaryuser:"+encoded+"@127.0.0.1:1/shop", e.Loads.Postgres)
	e, err = surroundings(t, `source_qps: {counter: c, prometheus: "http://${DRILL_TEST_USER}:${DRILL_TEST_PASSWORD}@127.0.0.1:1/metrics?key=canaryquery"}`)
	require.NoError(t, err)
	require.Equal(t, "c of http://***@127.0.0.1:1/metrics?***", e.Loads.String())
}

// What is wrong with a URL is said without showing it.
func TestURLsThatDoNotParse(t *testing.T) {
	for _, c := range []struct{ environment, want string }{
		{`redis: {url: "redis://canary:ca#na/ry@127.0.0.1:1/0"}`, "percent-encoded"},
		{`redis: {url: "redis://:ca%ry@127.0.0.1:1/0"}`, "percent-encoded"},
		{`redis: {url: "redis://:canary@127.0.0.1:1/canary"}`, "no address of a Redis"},
		{`redis: {url: "unix://canary"}`, "no address of a Redis"},
		{`redis: {url: "redis://:${DRILL_TEST_UNSET}@127.0.0.1:1/canary"}`, "the environment has no variable DRILL_TEST_UNSET"},
		{`source_qps: {counter: c, prometheus: "http://canary:ca ry@127.0.0.1:1/m"}`, "no address of a page of metrics"},
		{`source_qps: {counter: c, prometheus: "http://127.0.0.1:1/m?k=${DRILL_TEST_UNSET}"}`, "DRILL_TEST_UNSET"},
		{`source_qps: {origin: "http://canary:ca%ry@127.0.0.1:1"}`, "no address of an origin"},
		{`source_qps: {origin: "http://${DRILL_TEST_UNSET}"}`, "DRILL_TEST_UNSET"},
		{`source_qps: {postgres: "postgres://canary:ca%ry@127.0.0.1:1/d"}`, "no address of a PostgreSQL"},
		{`source_qps: {postgres: "mysql://canary:canary@127.0.0.1:1/d"}`, "no address of a PostgreSQL"},
		{`source_qps: {postgres: "postgres://u:${DRILL_TEST_UNSET}@127.0.0.1:1/d"}`, "DRILL_TEST_UNSET"},
	} {
		_, err := surroundings(t, c.environment)
		require.ErrorContains(t, err, c.want, c.environment)
		for _, part := range []string{"canary", "ca#", "ca%", "na/ry", "ca ry"} {
			require.NotContains(t, err.Error(), part)
		}
		require.Equal(t, 1, len(strings.Split(err.Error(), "\n")), "%s: %v", c.environment, err)
	}
}

// A prefix is text, also within the globs of families.
func TestPrefixWithGlobCharacters(t *testing.T) {
	for _, keys := range []string{`shop[1]*:p:*`, `shop\\[1\\]\\*:p:*`} {
		e, err := surroundings(t, `redis: {url: "redis://127.0.0.1:1", key_prefix: "shop[1]*:", keys: {p: "`+keys+`"}}`)
		require.NoError(t, err)
		require.Equal(t, `shop\[1\]\*:p:*`, e.Redis.Keys["p"])
	}
	_, err := surroundings(t, `redis: {url: "redis://127.0.0.1:1", key_prefix: "shop[1]:", keys: {p: "shop1:*"}}`)
	require.ErrorContains(t, err, `outside of key_prefix`)
}
