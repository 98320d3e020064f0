package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

const canarySuite = `
version: 1
target:
  http:
    instances: ["%s"]
    read: {GET: "/{key}"}
    write: {PUT: "/{key}", body: "{token}"}
    headers: {Authorization: "Bearer canary-header", X-Api-Key: "${CANARY_HEADER}"}
    answer: {token: body}
    families: {product: {class: strong, ttl: 1s}}
environment:
  redis:
    url: "redis://%s@%s/0"
    key_prefix: "shop:"
    keys: {product: "shop:*"}
    start: [sh, -c, "echo $0; exit 1", "${CANARY_WORD}"]
    stop: [sh, -c, "echo $0; exit 1", "${CANARY_WORD}"]
    kill: [sh, -c, "echo $0; exit 1", "${CANARY_WORD}"]
  source_qps: {%s}
workload: {rate: 100/s, mix: {product: {share: 100%%, keys: 20, writes: 10%%}}}
phases: {warmup: 300ms, steady: 500ms, fault: 2s, recovery: 1s}
slo: {always: ["violations == 0"]}
scenarios: {restart: {faults: [{redis.restart: {down: 500ms}}]}, expire: {faults: [{keys.expire: {family: product}}]}}
`

// No user, password, query or value of the environment is in any output or file.
func TestCanaries(t *testing.T) {
	server := redistest.Start(t, goredis.Options{}, "--user", "canaryuser", "on", ">canary:pass/word", "~*", "&*", "+@all")
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	service := cachedIn(t, c, "shop:")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "# TYPE loads counter\nloads 1\n") }))
	t.Cleanup(page.Close)
	for name, v := range map[string]string{"CANARY_USER": "canaryuser", "CANARY_PASSWORD": "canary:pass/word", "CANARY_WORD": "canary-of-a-command", "CANARY_HEADER": "canary-of-env"} {
		t.Setenv(name, v)
	}
	t.Chdir(t.TempDir())
	home, err := os.Getwd()
	require.NoError(t, err)
	at := page.Listener.Addr().String()
	good := `counter: loads, prometheus: "http://canary-p-user:canary-p-word@` + at + `/m?key=canary-query"`
	var output string
	for _, s := range []struct{ login, loads string }{
		{"${CANARY_USER}:${CANARY_PASSWORD}", good},
		{"canaryuser:canary%3Apass%2Fword", good},
		{"canaryuser:canary#wrong", good},
		{"canaryuser:canary-wrong", good},
		{"${CANARY_USER}:${CANARY_PASSWORD}", `postgres: "postgres://canary-pg-user:canary-pg-word@127.0.0.1:1/d"`},
		{"${CANARY_USER}:${CANARY_PASSWORD}", `counter: loads, prometheus: "http://canary-p-user:canary-p-word@127.0.0.1:1/m?key=canary-query"`},
		{"${CANARY_USER}:${CANARY_PASSWORD}", `counter: none, prometheus: "http://canary-p-user:canary-p-word@` + at + `/m?key=canary-query"`},
	} {
		suite := fmt.Appendf(nil, canarySuite, service, s.login, server.Addr, s.loads)
		for _, args := range [][]string{{"validate", "-f", "drill.yaml"}, {"check", "-f", "drill.yaml"}, {"run", "-f", "drill.yaml", "--out", "out"},
			{"heal"}, {"report", "out"}} {
			code, out, errs := cliHere(t, home, suite, args...)
			output += fmt.Sprintf("%v: %d\n%s%s\n", args, code, out, errs)
		}
	}
	require.NotRegexp(t, `(?i)canary(user|[-:%])`, output)
	require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "drill.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NotRegexp(t, `(?i)canary(user|[-:%])`, string(text), path)
		return err
	}))
	info, err := os.Stat(filepath.Join(home, stateDir, "undo.jsonl"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	text, err := os.ReadFile(filepath.Join(home, stateDir, "undo.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"login":"${CANARY_USER}:${CANARY_PASSWORD}"`)
	require.Contains(t, string(text), "${CANARY_WORD}")
}

// cliHere runs the program in a folder that stays.
func cliHere(t *testing.T, dir string, suite []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "drill.yaml"), suite, 0o644))
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}
