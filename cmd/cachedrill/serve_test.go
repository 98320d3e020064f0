package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/tests/program"
)

// testRoles are the children of the program, and those of the tests.
func testRoles() map[string]reexec.Role {
	all := roles()
	maps.Copy(all, pgtest.Roles)
	all[roleArmer] = arm
	return all
}

func TestServeTwoProcessesOfOneService(t *testing.T) {
	s := program.NewShop(t)
	a, b := s.Serve(t, "--tenants", "acme"), s.Serve(t)
	require.Contains(t, a.Output(), "source   PostgreSQL at 127.0.0.1:")
	require.NotContains(t, a.Output(), s.Source, "it has a password in it")

	// A strong family: what is acknowledged here is what is read there, at once.
	for i := range 20 {
		token := fmt.Sprint("w", i)
		require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", a.URL+"/price/9", token).Code)
		require.Contains(t, program.Ask(t, "GET", b.URL+"/price/9", "").Body, `"token":"`+token+`"`)
	}
	require.Equal(t, http.StatusNoContent, program.Ask(t, "DELETE", b.URL+"/price/9", "").Code)
	require.Equal(t, http.StatusNotFound, program.Ask(t, "GET", a.URL+"/price/9", "").Code)

	// A bounded one: within its bound; here much earlier, because the other worker is notified.
	require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", a.URL+"/news/1", "old").Code)
	require.Contains(t, program.Ask(t, "GET", b.URL+"/news/1", "").Body, `"token":"old"`)
	require.Eventually(t, func() bool { return program.Ask(t, "GET", b.URL+"/news/1", "").Head.Get("X-Tier") == "l1" }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", a.URL+"/news/1", "new").Code)
	acked := time.Now()
	require.Eventually(t, func() bool { return strings.Contains(program.Ask(t, "GET", b.URL+"/news/1", "").Body, `"token":"new"`) }, time.Minute, time.Millisecond)
	require.Less(t, time.Since(acked), time.Minute, "the family's bound")

	// The metrics tell of it.
	require.EqualValues(t, 20, a.Metric(t, `cachedrill_writes_total{family="price",kind="put",outcome="ok",region="eu"}`))
	require.EqualValues(t, 1, b.Metric(t, `cachedrill_writes_total{family="price",kind="delete",outcome="ok",region="eu"}`))
	require.GreaterOrEqual(t, b.Metric(t, `cachedrill_reads_total{family="price",region="eu",tier="source"}`), 1.0)
	require.GreaterOrEqual(t, b.Metric(t, `cachedrill_reads_total{family="news",region="eu",tier="l1"}`), 1.0)
	require.Positive(t, b.Metric(t, `cachedrill_source_loads_total{family="news",kind="load",outcome="ok",region="eu"}`))
	require.Eventually(t, func() bool { // both relays tell both workers of each of the 23 commits
		return b.Metric(t, `cachedrill_invalidation_lag_seconds_count{region="eu",via="bus"}`) >= 46 &&
			b.Metric(t, `cachedrill_invalidation_lag_seconds_count{region="eu",via="relay"}`) >= 23
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, b.Metric(t, `cachedrill_redis_breaker_open{region="eu"}`))
	program.Ask(t, "PUT", a.URL+"/product/1?tenant=acme", "x")
	program.Ask(t, "GET", a.URL+"/product/1?tenant=acme", "")
	program.Ask(t, "GET", a.URL+"/product/1?tenant=unlisted", "")
	require.EqualValues(t, 1, a.Metric(t, `cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="source"}`))
	require.NotContains(t, program.Ask(t, "GET", a.URL+"/metrics", "").Body, "unlisted")

	require.NoError(t, a.Cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, b.Cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, exitPass, a.End(t), a.Output())
	require.Equal(t, exitPass, b.End(t), b.Output())
	require.Empty(t, program.WithEnvironment("TMPDIR="+s.Tmp), "processes are left")
}

// Two processes with a pool of their own in another database of the same server: each family is in
// its own, and what is written through one process reaches the other over the pool's bus.
func TestServePools(t *testing.T) {
	s := program.NewShop(t)
	flags := []string{"--assign", "news=critical", "--pool", "critical=" + s.Redis + "/1"}
	a, b := s.Serve(t, flags...), s.Serve(t, flags...)
	require.Contains(t, a.Output(), ", database 1 for pool critical: news")
	for _, path := range []string{"/news/1", "/price/9"} {
		require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", a.URL+path, "old").Code)
		require.Contains(t, program.Ask(t, "GET", b.URL+path, "").Body, `"token":"old"`)
		require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", a.URL+path, "new").Code)
		require.Eventually(t, func() bool { return strings.Contains(program.Ask(t, "GET", b.URL+path, "").Body, `"token":"new"`) }, 20*time.Second, time.Millisecond,
			"news are kept for a minute: this was heard")
	}
	for db, name := range map[int]string{0: "price:9:v1", 1: "news:1:v1"} {
		c := goredis.NewClient(&goredis.Options{Addr: strings.TrimPrefix(s.Redis, "redis://"), DB: db})
		require.Equal(t, []string{name}, c.Keys(t.Context(), "*:v1").Val())
		require.NoError(t, c.Close())
	}
	require.Contains(t, program.Ask(t, "GET", a.URL+"/readyz", "").Body, `"pools":{"critical":"ok"}`)
}

// A relay in one region carries what another region's processes have written into its own Redis.
func TestServeRegionsHearOfEachOther(t *testing.T) {
	s := program.NewShop(t)
	eu := s.Serve(t)
	us := s.Serve(t, "--region", "us", "--redis", "embedded")
	require.Contains(t, us.Output(), "embedded: miniredis")
	require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", eu.URL+"/news/1", "old").Code)
	require.Contains(t, program.Ask(t, "GET", us.URL+"/news/1", "").Body, `"token":"old"`)
	require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", eu.URL+"/news/1", "new").Code)
	acked := time.Now()
	require.Eventually(t, func() bool {
		return strings.Contains(program.Ask(t, "GET", us.URL+"/news/1", "").Body, `"token":"new"`)
	}, time.Minute, time.Millisecond)
	require.Less(t, time.Since(acked), 30*time.Second, "it was notified, and did not wait for the copy's end")
	require.Positive(t, us.Metric(t, `cachedrill_invalidation_lag_seconds_count{region="us",via="bus"}`))
}

func TestServeEndsInOrder(t *testing.T) {
	s := program.NewShop(t)
	p := s.Serve(t, "--drain", "2s", "--admin", "127.0.0.1:0")
	require.Equal(t, http.StatusOK, program.Ask(t, "GET", p.URL+"/readyz", "").Code)
	require.Contains(t, program.Ask(t, "POST", p.Admin+"?name=naive", "").Body, `"policy":"naive","previous":"recommended"`)
	require.Contains(t, program.Ask(t, "POST", p.Admin+"?rollback=1", "").Body, `"policy":"recommended","previous":"naive"`)
	require.Equal(t, http.StatusNoContent, program.Ask(t, "PUT", p.URL+"/price/1", "first").Code)

	// A write that takes long: somebody else has its row.
	conn, err := pgx.Connect(t.Context(), s.Source)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT * FROM cachedrill.entry WHERE family = 'price' AND id = '1' FOR UPDATE")
	require.NoError(t, err)
	slow := make(chan program.Reply, 1)
	go func() {
		r, _ := program.Request(context.Background(), "PUT", p.URL+"/price/1", "second")
		slow <- r
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		return err == nil && waiting > 0
	}, 30*time.Second, 5*time.Millisecond)

	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		r, err := program.Request(t.Context(), "GET", p.URL+"/readyz", "")
		return err == nil && r.Code == http.StatusServiceUnavailable
	}, 2*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, program.Ask(t, "GET", p.URL+"/price/1", "").Code, "it goes on while it says that it is not ready")
	host := strings.TrimPrefix(p.URL, "http://")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 30*time.Second, 5*time.Millisecond, "then no new request is let in")
	select {
	case r := <-slow:
		t.Fatalf("the write was not waited for: %+v", r)
	default:
	}
	require.NoError(t, tx.Rollback(t.Context()))
	r := <-slow
	require.Equal(t, http.StatusNoContent, r.Code, r.Body)
	require.Equal(t, exitPass, p.End(t), p.Output())
	require.Contains(t, p.Output(), "ended: every request was answered")
	require.Empty(t, program.WithEnvironment("TMPDIR="+s.Tmp), "processes are left")
}

func TestServeUsage(t *testing.T) {
	const config = "shop.yaml"
	files := map[string]string{config: program.ShopYAML, "bad.yaml": "regions: {eu: 1}\nfamilies:\n  product: {class: bonded, ttl: 2s}\n", "empty.yaml": "",
		"behind.yaml": "regions: {eu: 1}\nfamilies:\n  likes: {class: eventual, ttl: 2s, writes: behind}\n"}
	for _, c := range []struct {
		args string
		says string
	}{
		{"--config bad.yaml", `bad.yaml:3:20: "bonded": `},
		{"--config empty.yaml", "empty.yaml:1:1: the document is empty"},
		{"--config nowhere.yaml", "nowhere.yaml"},
		{"--config behind.yaml", "family likes is written behind"},
		{"--config shop.yaml -f x.yaml", "exclude each other"},
		{"--config shop.yaml", "--region says which one this process is in: eu, us"},
		{"--config shop.yaml --region ue", `no region is named "ue"; there are: eu, us`},
		{"--config shop.yaml --region eu --policy recomended", `did you mean "recommended"?`},
		{"--config shop.yaml --region eu --without jiter", `unknown control "jiter"`},
		{"--region eu --listen 8080", `--listen "8080": host:port is needed`},
		{"--region eu --admin 0.0.0.0:9000", "must be on loopback"},
		{"--region eu --l1-size 0", "--without l1"},
		{"--region eu --drain -1s", "can't be negative"},
		{"--region eu --redis redis://u:secret@h:1", "would answer with what no longer is"},
		{"--region eu --redis h:1", "redis://[user:password@]host:port"},
		{"--region eu --redis redis://u:secret@h:1/x --source postgres://h/d", "can't be read"},
		{"--region eu --redis redis://h:1 --source postgres://h/d --assign product=critical", "no flag says where the Redis of pool critical is: --pool critical=redis://host:port, or CACHEDRILL_REDIS_CRITICAL"},
		{"--region eu --place critical=redis://h:1", "--place is now --pool"},
		{"--region eu --put product=critical", "--put is now --assign"},
		{"--region eu --assign product", "FAMILY=POOL is needed"},
		{"--region eu --assign prduct=critical", `did you mean "product"?`},
		{"--region eu --pool critical=redis://u:secret@h:1", "no family is in that pool"},
		{"--region eu --assign product=critical --pool redis://u:secret@h:1", "NAME=REDIS is needed"},
		{"--region eu --assign product=critical --redis redis://h:1 --source postgres://h/d --pool critical=redis://u:secret@h:port", "--pool critical: that URL can't be read"},
		{"--region eu --redis redis://u:secret@h:port --source postgres://h/d", "can't be read"},
		{"--region eu --redis embeded", "did you mean embedded?"},
		{"--region eu --redis embedded --source mysql://u:secret@h/d", "--source: it is model, or postgres://"},
		{"--region eu --redis embedded --source postgres://u:secret@h:port/d", "can't be read"},
		{"now", `unknown command "now"`},
	} {
		code, out, errs := cli(t, files, append([]string{"serve"}, strings.Fields(c.args)...)...)
		require.Equal(t, exitUsage, code, "%s: %s", c.args, errs)
		require.Contains(t, errs, c.says, c.args)
		require.NotContains(t, errs, "secret", c.args)
		require.Empty(t, out, c.args)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	code, _, errs := cli(t, files, "serve", "--region", "eu", "--redis", "embedded", "--listen", busy.Addr().String())
	require.Equal(t, exitFail, code)
	require.Contains(t, errs, "address already in use")
	code, _, errs = cli(t, files, "serve", "--region", "eu", "--redis", "embedded", "--source", "postgres://u:secret@127.0.0.1:1/d?connect_timeout=2")
	require.Equal(t, exitFail, code)
	require.Contains(t, errs, "connection refused")
	require.NotContains(t, errs, "secret")
}
