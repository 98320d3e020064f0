package scenarios

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const shopSuite = `
version: 1
target:
  http:
    instances: ["%s"]
    timeout: 500ms
    read: {GET: "/products/{key}?tenant={tenant}"}
    write: {PUT: "/products/{key}?tenant={tenant}", json: {title: "{token}"}}
    bypass: {GET: "/products/{key}?tenant={tenant}&fresh=1"}
    answer:
      token: {json: $.title}
      owner: {json: $.tenant}
      tier: {header: X-Cache}
environment:
  source_qps: {prometheus: "%s/metrics", counter: db_queries_total}
workload:
  rate: 300/s
  tenants: 2
  mix: {product: {share: 100%%, keys: 40, zipf: 1.0, writes: 5%%}}
phases: {warmup: 300ms, steady: 1s, fault: 500ms, recovery: 500ms}
slo:
  steady: ["errors < 1%%", "source_qps.mean < 1000/s", "hit_ratio > 1%%"]
  always: ["lost_writes == 0", "leaks == 0", "staleness.max < 200ms"]
scenarios:
  quiet: {why: nothing happens, faults: [{sham: {for: 300ms}}]}
`

// An edge may listen where a container reaches it. Everywhere is more than it needs.
func TestEdgesListenWhereTheyAreAskedTo(t *testing.T) {
	good := fmt.Sprintf(shopSuite, "http://127.0.0.1:1", "http://127.0.0.1:1")
	doubts := func(listen string) int {
		s, err := Parse("x.yaml", []byte(strings.Replace(good, "environment:",
			"environment:\n  edges: {redis: {listen: \""+listen+"\", upstream: \"127.0.0.1:6379\"}}", 1)))
		require.NoError(t, err)
		n := 0
		for _, d := range s.Doubts {
			if strings.Contains(d.Msg, "everybody who reaches this machine") {
				n++
			}
		}
		return n
	}
	require.Zero(t, doubts("127.0.0.1:7379"))
	require.Equal(t, 1, doubts("0.0.0.0:7379"))
	require.Equal(t, 1, doubts("[::]:7379"))
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if ip := a.(*net.IPNet).IP; ip.IsGlobalUnicast() {
			require.Zero(t, doubts(net.JoinHostPort(ip.String(), "7379")))
		}
	}
}

func TestWhatASuiteOfAServiceMustNotSay(t *testing.T) {
	good := fmt.Sprintf(shopSuite, "http://127.0.0.1:1", "http://127.0.0.1:1")
	for _, c := range []struct{ old, new, says string }{
		{"mix: {product: {share: 100%", "mix: {price: {share: 0%}, product: {share: 100%", "the reads of price ask for the same things"},
		{`instances: ["http://127.0.0.1:1"]`, `instances: ["http://shop.example"]`, `not on this machine, and not allowed; safety: {allow: [shop.example]}`},
		{"writes: 5%", "writes: 5%, deletes: 1%", "the target does not say how to delete from the family"},
		{"    write: {PUT: \"/products/{key}?tenant={tenant}\", json: {title: \"{token}\"}}\n", "", "the target does not say how to write the family"},
		{"faults: [{sham: {for: 300ms}}]", "faults: [{redis.restart: {down: 100ms}}]", "the suite does not say which Redis the service uses"},
		{"faults: [{sham: {for: 300ms}}]", "faults: [{network.refuse: {edge: redis, for: 100ms}}]", "edge"},
		{"environment:", "environment:\n  redis: {url: \"redis://127.0.0.1:1\"}\n  edges: {a: {upstream: \"127.0.0.1:1\"}}", "what does it speak?"},
		{"environment:", "environment:\n  redis: {url: \"redis://127.0.0.1:1\", backend: process}", "is it a Redis of yours, or one that the drill starts?"},
		{"environment:", "environment:\n  stop: [x]", "the suite does not start the service"},
		{"environment:", "environment:\n  start: [x]\n  env: {A: \"{edge.redis}\"}", `"{edge.redis}": stands for nothing`},
		{"workload:", "safety: {halt: [\"errors > 3s for 1s\"]}\nworkload:", `"errors > 20% for 3s"`},
		{"workload:", "policies: {a: {env: {B: c}}}\nworkload:", "a policy needs the service started anew"},
		{"counter: db_queries_total", "", "which counter?"},
		{`read: {GET: "/`, `read: {GET: "http://198.51.100.7:23120/`, `where the read goes is not on this machine, and not allowed; safety: {allow: [198.51.100.7]}`},
		{`write: {PUT: "/`, `write: {PUT: "http://198.51.100.7:23120/`, `where the write goes is not on this machine`},
		{`bypass: {GET: "/`, `bypass: {GET: "https://shop.example/`, `where the bypass goes is not on this machine`},
		{"    answer:\n", "    purge: {POST: \"http://shop.example/{key}\"}\n    answer:\n", `where the purge goes is not on this machine`},
		{"    answer:\n", "    families: {product: {delete: {DELETE: \"http://shop.example/{key}?{tenant}\"}}}\n    answer:\n", `where the delete of family product goes is not on this machine`},
		{`{prometheus: "http://127.0.0.1:1/metrics", counter: db_queries_total}`, `{postgres: "postgres://127.0.0.1/db?host=db.example"}`, `"db.example": the database is not on this machine`},
		{`{prometheus: "http://127.0.0.1:1/metrics", counter: db_queries_total}`, `{postgres: "postgres://127.0.0.1,db.example/db"}`, `"db.example": the database is not on this machine`},
		{"environment:", "environment:\n  edges: {redis: {listen: \"203.0.113.9:7379\", upstream: \"127.0.0.1:6379\"}}", "this machine has no such address; its addresses: 127.0.0.1"},
		{"environment:", "environment:\n  edges: {redis: {listen: \"shop.example:7379\", upstream: \"127.0.0.1:6379\"}}", "proxies listen on addresses of this machine"},
	} {
		require.Contains(t, good, c.old)
		_, err := Parse("x.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
		require.ErrorContains(t, err, c.says)
	}
	narrow := strings.NewReplacer("    timeout: 500ms", "    token: {form: integer, digits: 4}\n    key: {form: integer, digits: 4}", "keys: 40,", "keys: 8099,").Replace(good)
	_, err := Parse("x.yaml", []byte(narrow))
	require.ErrorContains(t, err, "product may be written 8134 times, first values included, and its values can tell 900 writes apart")
	require.NotContains(t, err.Error(), "room for")
	_, err = Parse("x.yaml", []byte(strings.Replace(narrow, "8099", "8100", 1)))
	require.ErrorContains(t, err, "its names have room for 8099 keys, and for some that are not there")
	managed := strings.NewReplacer("environment:", "environment:\n  redis: {url: \"redis://127.0.0.1:1\"}", "{sham: {for: 300ms}}", "{redis.restart: {down: 100ms}}, {keys.flush: {}}").Replace(good)
	_, err = Parse("x.yaml", []byte(managed))
	require.ErrorContains(t, err, "this Redis is its owner's, and the suite does not give the commands to restart it")
	require.ErrorContains(t, err, "keys are touched there only below a prefix")
	reference := strings.Replace(string(mustRead(t, "../scenarios.yaml")), "\nworkload:", "\nsafety: {shared: true}\nworkload:", 1)
	_, err = Parse("x.yaml", []byte(reference))
	require.ErrorContains(t, err, "this is for services of your own")
}

// A suite whose only policies are its own was once drilled without any of them.
func TestPolicyOfARunThatNamesNone(t *testing.T) {
	for policies, want := range map[string]string{
		"":                             "as-is",
		"policies: {a: {env: {B: c}}}": "a",
		"policies: {a: {env: {B: c}}}\npolicy: as-is":                  "as-is",
		"policies: {a: {env: {B: c}}, b: {env: {B: d}}}":               "",
		"policies: {a: {env: {B: c}}, b: {env: {B: d}}}\npolicy: b":    "b",
		"policies: {a: {env: {B: c}}, b: {env: {B: d}}}\npolicy: best": "wrong",
	} {
		text := strings.NewReplacer("environment:", "environment:\n  start: [x]", "workload:", policies+"\nworkload:").Replace(fmt.Sprintf(shopSuite, "http://127.0.0.1:1", "http://127.0.0.1:1"))
		s, err := Parse("x.yaml", []byte(text))
		if want == "wrong" {
			require.ErrorContains(t, err, `"best": the suite has no such policy`)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, s.DefaultPolicy(), policies)
		p, err := s.Choose("")
		if want == "" {
			require.ErrorContains(t, err, "x.yaml has several policies, and none is named: choose one with --policy (a, as-is, b), or write policy: NAME into the suite")
			p, err = s.Choose("b")
			want = "b"
		}
		require.NoError(t, err)
		require.Equal(t, want, p.Name)
	}
	reference, err := Parse("x.yaml", mustRead(t, "../scenarios.yaml"))
	require.NoError(t, err)
	require.Equal(t, "recommended", reference.DefaultPolicy())
	reference, err = Parse("x.yaml", append(mustRead(t, "../scenarios.yaml"), "\npolicy: naive\n"...))
	require.NoError(t, err)
	require.Equal(t, "naive", reference.DefaultPolicy())
}

func TestListeningIsCheckedBeforehand(t *testing.T) {
	for text, says := range map[string]string{
		"redis: {backend: embedded, monitor: true}":                 "the embedded Redis has no MONITOR",
		"redis: {backend: auto, monitor: true}":                     "the embedded Redis has no MONITOR",
		"redis: {backend: process, monitor: perhaps}":               "monitor",
		"source_qps: {origin: \"http://127.0.0.1:1\", stampede: w}": "a histogram on a page of metrics",
	} {
		suite := strings.NewReplacer("source_qps: {prometheus: \"%s/metrics\", counter: db_queries_total}", text, "%%", "%").Replace(shopSuite)
		_, err := Parse("shop.yaml", []byte(strings.ReplaceAll(suite, "%s", "http://127.0.0.1:1")))
		require.ErrorContains(t, err, says, text)
	}
}

func mustRead(t *testing.T, file string) []byte {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}
