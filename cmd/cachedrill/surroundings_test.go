package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

// cachedIn is a correct service that keeps what it has in a Redis as well, below a prefix.
func cachedIn(t *testing.T, c *goredis.Client, prefix string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := prefix + strings.TrimPrefix(r.URL.Path, "/")
		if r.Method == http.MethodPut {
			body, _ := io.ReadAll(r.Body)
			if err := c.Set(r.Context(), key, body, 0).Err(); err != nil {
				http.Error(w, "", http.StatusInternalServerError)
			}
			return
		}
		v, err := c.Get(r.Context(), key).Result()
		if err != nil {
			http.Error(w, "", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, v)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const cachedSuite = `
version: 1
target:
  http:
    instances: ["%s"]
    read: {GET: "/{key}"}
    write: {PUT: "/{key}", body: "{token}"}
    answer: {token: body}
    families: {product: {class: strong, ttl: 1s}}
environment: {redis: {url: "%s", key_prefix: "shop[1]*:", keys: {product: "shop[1]*:*"}}}
workload: {rate: 100/s, mix: {product: {share: 100%%, keys: 20, writes: 10%%}}}
phases: {warmup: 300ms, steady: 500ms, fault: 2s, recovery: 1s}
slo: {always: ["violations == 0"]}
scenarios: {expire: {faults: [{keys.expire: {family: product}}]}}
`

// Few keys among half a million of somebody else's, below a prefix of glob characters, over a
// socket of the file system and with a password of the environment.
func TestCheckFindsKeysAmongManyOthers(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	server := redistest.Start(t, goredis.Options{Password: "ca/na@ry"}, "--requirepass", "ca/na@ry", "--unixsocket", socket, "--enable-debug-command", "yes")
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr, Password: "ca/na@ry"})
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Do(context.Background(), "DEBUG", "POPULATE", 500_000, "shop1x").Err())
	service := cachedIn(t, c, "shop[1]*:")
	t.Setenv("DRILL_TEST_PASSWORD", "ca/na@ry")
	_, port, _ := net.SplitHostPort(server.Addr)
	for _, url := range []string{"unix://:${DRILL_TEST_PASSWORD}@" + socket, "redis://:${DRILL_TEST_PASSWORD}@127.0.0.1:" + port} {
		code, out, errs := cli(t, map[string]string{"drill.yaml": fmt.Sprintf(cachedSuite, service, url)}, "check", "-f", "drill.yaml")
		require.Equal(t, exitPass, code, out+errs)
		require.Contains(t, out, `keys begin with "shop[1]*:", such as shop[1]*:`)
		require.NotContains(t, out+errs, "ca/na@ry")
	}
	code, out, errs := cli(t, map[string]string{"drill.yaml": fmt.Sprintf(cachedSuite, service, "redis://:${DRILL_TEST_UNSET}@127.0.0.1:"+port)}, "run", "-f", "drill.yaml")
	require.Equal(t, exitUsage, code, out)
	require.Contains(t, errs, "the environment has no variable DRILL_TEST_UNSET")
}
