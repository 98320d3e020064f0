package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/child"
	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/redistest"
)

const shopYAML = `regions: {eu: 2, us: 2}
families:
  product: {class: bounded, within: 2s, ttl: 2s, vary: [tenant]}
  news: {class: bounded, within: 60s, ttl: 60s}
  price: {class: strong, ttl: 60s}
  stock: {class: bounded, within: 60s, ttl: 60s, writes: through}
`

// testRoles are the children of the program, and those of the tests.
func testRoles() map[string]child.Role {
	all := roles()
	maps.Copy(all, pgtest.Roles)
	all[roleArmer] = arm
	return all
}

// shop is what processes of a service share.
type shop struct {
	binary, config, redis, source string
	tmp                           string
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{tmp: t.TempDir(), config: filepath.Join(t.TempDir(), "shop.yaml")}
	require.NoError(t, os.WriteFile(s.config, []byte(shopYAML), 0o644))
	s.redis = "redis://" + redistest.Start(t, goredis.Options{}).Addr
	s.source = pgtest.Shared(t).Database(t)
	s.binary = build(t)
	return s
}

// server is a running process.
type server struct {
	cmd       *exec.Cmd
	at, admin string
	mu        sync.Mutex
	said      bytes.Buffer
	drained   chan struct{} // all output was read
}

var (
	listening = regexp.MustCompile(`(?m)^listening on (http://\S+)`)
	adminOn   = regexp.MustCompile(`(?m)^admin on (http://\S+)`)
)

// serve starts a process, and waits until it listens.
func (s shop) serve(t *testing.T, flags ...string) *server {
	t.Helper()
	p := &server{drained: make(chan struct{})}
	p.cmd = exec.Command(s.binary, append([]string{"serve", "--config", s.config, "--region", "eu", "--listen", "127.0.0.1:0", "--redis", s.redis}, flags...)...)
	p.cmd.Env = append(os.Environ(), "TMPDIR="+s.tmp, sourceEnv+"="+s.source)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.drained; _ = p.cmd.Wait() })
	ready := make(chan string, 1)
	go func() {
		defer close(p.drained)
		lines, told := bufio.NewScanner(out), false
		for lines.Scan() {
			p.mu.Lock()
			p.said.WriteString(lines.Text() + "\n")
			text := p.said.String()
			p.mu.Unlock()
			if m := listening.FindStringSubmatch(text); m != nil && !told {
				if a := adminOn.FindStringSubmatch(text); a != nil {
					p.admin = a[1]
				}
				ready <- m[1]
				told = true
			}
		}
	}()
	select {
	case p.at = <-ready:
	case <-p.drained:
		t.Fatal("it ended: " + p.output())
	case <-time.After(time.Minute):
		t.Fatal("it does not listen: " + p.output())
	}
	return p
}

func (p *server) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// end waits until the process has ended, and tells its exit code.
func (p *server) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.drained:
	case <-time.After(time.Minute):
		t.Fatal("still running: " + p.output())
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

type reply struct {
	code int
	head http.Header
	body string
}

func ask(t *testing.T, method, url, body string) reply {
	t.Helper()
	r, err := request(t.Context(), method, url, body)
	require.NoError(t, err)
	return r
}

func request(ctx context.Context, method, url, body string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

// metric reads one sample of /metrics; series is as the text format has it.
func (p *server) metric(t *testing.T, series string) float64 {
	t.Helper()
	text := ask(t, "GET", p.at+"/metrics", "").body
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			require.NoError(t, err)
			return f
		}
	}
	t.Fatalf("no %s in\n%s", series, text)
	return 0
}

func TestServeTwoProcessesOfOneService(t *testing.T) {
	s := newShop(t)
	a, b := s.serve(t, "--tenants", "acme"), s.serve(t)
	require.Contains(t, a.output(), "source   PostgreSQL at 127.0.0.1:")
	require.NotContains(t, a.output(), s.source, "it has a password in it")

	// A strong family: what is acknowledged here is what is read there, at once.
	for i := range 20 {
		token := fmt.Sprint("w", i)
		require.Equal(t, http.StatusNoContent, ask(t, "PUT", a.at+"/price/9", token).code)
		require.Contains(t, ask(t, "GET", b.at+"/price/9", "").body, `"token":"`+token+`"`)
	}
	require.Equal(t, http.StatusNoContent, ask(t, "DELETE", b.at+"/price/9", "").code)
	require.Equal(t, http.StatusNotFound, ask(t, "GET", a.at+"/price/9", "").code)

	// A bounded one: within its bound; here much earlier, because the other worker is told.
	require.Equal(t, http.StatusNoContent, ask(t, "PUT", a.at+"/news/1", "old").code)
	require.Contains(t, ask(t, "GET", b.at+"/news/1", "").body, `"token":"old"`)
	require.Eventually(t, func() bool { return ask(t, "GET", b.at+"/news/1", "").head.Get("X-Tier") == "l1" }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusNoContent, ask(t, "PUT", a.at+"/news/1", "new").code)
	acked := time.Now()
	require.Eventually(t, func() bool { return strings.Contains(ask(t, "GET", b.at+"/news/1", "").body, `"token":"new"`) }, time.Minute, time.Millisecond)
	require.Less(t, time.Since(acked), time.Minute, "the family's bound")

	// The metrics tell of it.
	require.EqualValues(t, 20, a.metric(t, `cachedrill_writes_total{family="price",kind="put",outcome="ok",region="eu"}`))
	require.EqualValues(t, 1, b.metric(t, `cachedrill_writes_total{family="price",kind="delete",outcome="ok",region="eu"}`))
	require.GreaterOrEqual(t, b.metric(t, `cachedrill_reads_total{family="price",region="eu",tier="source"}`), 1.0)
	require.GreaterOrEqual(t, b.metric(t, `cachedrill_reads_total{family="news",region="eu",tier="l1"}`), 1.0)
	require.Positive(t, b.metric(t, `cachedrill_source_loads_total{family="news",kind="load",outcome="ok",region="eu"}`))
	require.Eventually(t, func() bool { // both relays tell both workers of each of the 23 commits
		return b.metric(t, `cachedrill_invalidation_lag_seconds_count{region="eu",via="bus"}`) >= 46 &&
			b.metric(t, `cachedrill_invalidation_lag_seconds_count{region="eu",via="relay"}`) >= 23
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, b.metric(t, `cachedrill_redis_breaker_open{region="eu"}`))
	ask(t, "PUT", a.at+"/product/1?tenant=acme", "x")
	ask(t, "GET", a.at+"/product/1?tenant=acme", "")
	ask(t, "GET", a.at+"/product/1?tenant=nobody", "")
	require.EqualValues(t, 1, a.metric(t, `cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="source"}`))
	require.NotContains(t, ask(t, "GET", a.at+"/metrics", "").body, "nobody")

	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, exitPass, a.end(t), a.output())
	require.Equal(t, exitPass, b.end(t), b.output())
	require.Empty(t, withEnvironment("TMPDIR="+s.tmp), "processes are left")
}

// Two processes with a place of their own in another database of the same server: each family is in its own, and what is written
// through one process is told to the other over the place's bus.
func TestServePlaces(t *testing.T) {
	s := newShop(t)
	flags := []string{"--put", "news=critical", "--place", "critical=" + s.redis + "/1"}
	a, b := s.serve(t, flags...), s.serve(t, flags...)
	require.Contains(t, a.output(), ", database 1 for place critical: news")
	for _, path := range []string{"/news/1", "/price/9"} {
		require.Equal(t, http.StatusNoContent, ask(t, "PUT", a.at+path, "old").code)
		require.Contains(t, ask(t, "GET", b.at+path, "").body, `"token":"old"`)
		require.Equal(t, http.StatusNoContent, ask(t, "PUT", a.at+path, "new").code)
		require.Eventually(t, func() bool { return strings.Contains(ask(t, "GET", b.at+path, "").body, `"token":"new"`) }, 20*time.Second, time.Millisecond,
			"news are kept for a minute: this was told")
	}
	for db, name := range map[int]string{0: "price:9:v1", 1: "news:1:v1"} {
		c := goredis.NewClient(&goredis.Options{Addr: strings.TrimPrefix(s.redis, "redis://"), DB: db})
		require.Equal(t, []string{name}, c.Keys(t.Context(), "*:v1").Val())
		require.NoError(t, c.Close())
	}
	require.Contains(t, ask(t, "GET", a.at+"/readyz", "").body, `"places":{"critical":"ok"}`)
}

// A relay in one region carries what another region's processes have written into its own Redis.
func TestServeRegionsHearOfEachOther(t *testing.T) {
	s := newShop(t)
	eu := s.serve(t)
	us := s.serve(t, "--region", "us", "--redis", "embedded")
	require.Contains(t, us.output(), "embedded: miniredis")
	require.Equal(t, http.StatusNoContent, ask(t, "PUT", eu.at+"/news/1", "old").code)
	require.Contains(t, ask(t, "GET", us.at+"/news/1", "").body, `"token":"old"`)
	require.Equal(t, http.StatusNoContent, ask(t, "PUT", eu.at+"/news/1", "new").code)
	acked := time.Now()
	require.Eventually(t, func() bool { return strings.Contains(ask(t, "GET", us.at+"/news/1", "").body, `"token":"new"`) }, time.Minute, time.Millisecond)
	require.Less(t, time.Since(acked), 30*time.Second, "it was told, and did not wait for the copy's end")
	require.Positive(t, us.metric(t, `cachedrill_invalidation_lag_seconds_count{region="us",via="bus"}`))
}

func TestServeEndsInOrder(t *testing.T) {
	s := newShop(t)
	p := s.serve(t, "--drain", "2s", "--admin", "127.0.0.1:0")
	require.Equal(t, http.StatusOK, ask(t, "GET", p.at+"/readyz", "").code)
	require.Contains(t, ask(t, "POST", p.admin+"?name=naive", "").body, `"policy":"naive","previous":"recommended"`)
	require.Contains(t, ask(t, "POST", p.admin+"?rollback=1", "").body, `"policy":"recommended","previous":"naive"`)
	require.Equal(t, http.StatusNoContent, ask(t, "PUT", p.at+"/price/1", "first").code)

	// A write that takes long: somebody else has its row.
	conn, err := pgx.Connect(t.Context(), s.source)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT * FROM cachedrill.entry WHERE family = 'price' AND id = '1' FOR UPDATE")
	require.NoError(t, err)
	slow := make(chan reply, 1)
	go func() {
		r, _ := request(context.Background(), "PUT", p.at+"/price/1", "second")
		slow <- r
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		return err == nil && waiting > 0
	}, 30*time.Second, 5*time.Millisecond)

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		r, err := request(t.Context(), "GET", p.at+"/readyz", "")
		return err == nil && r.code == http.StatusServiceUnavailable
	}, 2*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, ask(t, "GET", p.at+"/price/1", "").code, "it goes on while it says that it is not ready")
	host := strings.TrimPrefix(p.at, "http://")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 30*time.Second, 5*time.Millisecond, "then nobody new is let in")
	select {
	case r := <-slow:
		t.Fatalf("the write was not waited for: %+v", r)
	default:
	}
	require.NoError(t, tx.Rollback(t.Context()))
	r := <-slow
	require.Equal(t, http.StatusNoContent, r.code, r.body)
	require.Equal(t, exitPass, p.end(t), p.output())
	require.Contains(t, p.output(), "ended: every request was answered")
	require.Empty(t, withEnvironment("TMPDIR="+s.tmp), "processes are left")
}

// Acknowledged writes survive kill -9 of the process that acknowledged them. CACHEDRILL_SOAK says how often that is tried.
func TestServedWritesSurviveKill(t *testing.T) {
	_, rounds, ok := seedRange(os.Getenv("CACHEDRILL_SOAK"))
	if !ok {
		rounds = 3
	}
	s := newShop(t)
	conn, err := pgx.Connect(t.Context(), s.source)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	total := 0
	// Another process, which goes on, hears of what was committed and told by nobody who wrote it. Its copies live for a minute.
	survivor := s.serve(t)
	written := []string{"price", "news", "stock"} // strong aside, bounded aside, bounded through
	for round := range rounds {
		p := s.serve(t)
		for _, family := range written[1:] {
			for i := range 5 {
				ask(t, "GET", fmt.Sprintf("%s/%s/%d", survivor.at, family, i), "")
			}
		}
		var mu sync.Mutex
		acked := map[string]string{} // version by token
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := 0; ; i++ {
					token := fmt.Sprintf("%d-%d-%d", round, w, i)
					r, err := request(context.Background(), "PUT", fmt.Sprintf("%s/%s/%d", p.at, written[(w+i)%len(written)], i%5), token)
					if err != nil {
						return // it was killed
					}
					if r.code == http.StatusNoContent {
						mu.Lock()
						acked[token] = r.head.Get("X-Version")
						mu.Unlock()
					}
				}
			})
		}
		many := 50 * (round%4 + 1)
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(acked) >= many }, time.Minute, time.Millisecond)
		require.NoError(t, p.cmd.Process.Kill())
		writers.Wait()
		require.Equal(t, -1, p.end(t), "it was killed")
		rows, err := conn.Query(t.Context(), "SELECT token, version::text FROM cachedrill.outbox")
		require.NoError(t, err)
		found := map[string]string{}
		for rows.Next() {
			var token, version string
			require.NoError(t, rows.Scan(&token, &version))
			found[token] = version
		}
		require.NoError(t, rows.Err())
		for token, version := range acked {
			require.Equal(t, version, found[token], "write %s was acknowledged", token)
		}
		total += len(acked)
		for _, family := range written {
			for i := range 5 {
				var newest string
				require.NoError(t, conn.QueryRow(t.Context(), "SELECT max(version)::text FROM cachedrill.outbox WHERE family = $1 AND id = $2",
					family, strconv.Itoa(i)).Scan(&newest))
				require.Eventually(t, func() bool {
					return ask(t, "GET", fmt.Sprintf("%s/%s/%d", survivor.at, family, i), "").head.Get("X-Version") == newest
				}, 20*time.Second, time.Millisecond, "version %s of %s:%d was committed by a process that is gone", newest, family, i)
			}
		}
	}
	require.NoError(t, survivor.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitPass, survivor.end(t), survivor.output())
	t.Logf("%d acknowledged writes survived %d kills", total, rounds)
	require.Empty(t, withEnvironment("TMPDIR="+s.tmp), "processes are left")
}

func TestServeUsage(t *testing.T) {
	const config = "shop.yaml"
	files := map[string]string{config: shopYAML, "bad.yaml": "regions: {eu: 1}\nfamilies:\n  product: {class: bonded, ttl: 2s}\n", "empty.yaml": "",
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
		{"--region eu --redis redis://h:1 --source postgres://h/d --put product=critical", "nobody says where the Redis of place critical is: --place critical=redis://host:port, or CACHEDRILL_REDIS_CRITICAL"},
		{"--region eu --put product", "FAMILY=PLACE is needed"},
		{"--region eu --put prduct=critical", `did you mean "product"?`},
		{"--region eu --place critical=redis://u:secret@h:1", "no family is in that place"},
		{"--region eu --put product=critical --place redis://u:secret@h:1", "NAME=REDIS is needed"},
		{"--region eu --put product=critical --redis redis://h:1 --source postgres://h/d --place critical=redis://u:secret@h:port", "--place critical: that URL can't be read"},
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
