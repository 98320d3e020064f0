package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/tests/program"
)

// loud is a buffer that says when something was written to it.
type loud struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newLoud() *loud { return &loud{more: make(chan struct{}, 1)} }

func (b *loud) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.text.Write(p)
}

func (b *loud) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// until waits until the text is there.
func (b *loud) until(t *testing.T, text string) {
	t.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(b.String(), text) {
		select {
		case <-b.more:
		case <-late:
			t.Fatalf("no %q in %s", text, b)
		}
	}
}

func TestOriginAnswersTellsAndEnds(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	out, errs := newLoud(), newLoud()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"origin", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--service-time", "100ms",
			"--cache-control", "max-age=7"}, out, errs)
	}()
	out.until(t, "curl -i")
	at, admin := program.Addresses(out.String())

	r := program.Ask(t, "PUT", at+"/products/17", "first")
	require.Equal(t, 204, r.Code)
	require.Equal(t, "1", r.Head.Get("X-Version"))
	r = program.Ask(t, "GET", at+"/products/17", "")
	require.Equal(t, "first", r.Body)
	require.Equal(t, "max-age=7", r.Head.Get("Cache-Control"))
	require.Contains(t, program.Ask(t, "GET", admin+"/loads?since=0", "").Body, `"path":"/products/17"`)
	require.Contains(t, program.Ask(t, "GET", admin+"/commits", "").Body, `"body":"first"`)
	require.Contains(t, program.Ask(t, "GET", admin+"/metrics", "").Body, "\ncachedrill_origin_loads_total 1\n")
	require.Equal(t, "ok\n", program.Ask(t, "GET", admin+"/healthz", "").Body)

	// It ends: who waits for news has its answer, and what is under way is answered.
	news, load := make(chan program.Reply, 1), make(chan program.Reply, 1)
	for path, c := range map[string]chan program.Reply{admin + "/commits?since=1&wait=60s": news, at + "/products/17": load} {
		go func() {
			r, err := program.Request(context.Background(), "GET", path, "")
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			c <- r
		}()
	}
	for now := ""; !strings.Contains(now, "\ncachedrill_origin_loads_total 2\n") || !strings.Contains(now, "\ncachedrill_origin_following 1\n"); {
		now = program.Ask(t, "GET", admin+"/metrics", "").Body
	}
	cancel()
	require.Equal(t, exitPass, <-code, "%s%s", out, errs)
	require.Equal(t, "first", (<-load).Body)
	require.Contains(t, (<-news).Body, `"next":1`)
	require.Contains(t, out.String(), "ended: every request was answered")
	_, err := program.Request(t.Context(), "GET", at+"/products/17", "")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestOriginUsage(t *testing.T) {
	for flag, says := range map[string]string{
		"--listen=9000":               "host:port is needed",
		"--listen=":                   "host:port is needed",
		"--admin=localhost":           "host:port is needed",
		"--servers=0":                 "at least 1",
		"--queue=-1":                  "can't be negative",
		"--service-time=-1s":          "can't be negative",
		"--distribution=exponental":   "constant or exponential",
		"--max-objects=0":             "at least 1",
		"--max-bytes=0":               "at least 1",
		"--keep=0":                    "at least 1",
		"--cache-control=max-age=1\n": "printable ASCII",
	} {
		code, out, errs := cli(t, nil, "origin", flag)
		require.Equal(t, exitUsage, code, flag)
		require.Contains(t, errs, says)
		require.Empty(t, out)
	}
	taken := newLoud()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"origin", "--listen", "127.0.0.1:0", "--admin", ""}, taken, taken) }()
	taken.until(t, "curl -i")
	require.NotContains(t, taken.String(), "admin")
	at, _ := program.Addresses(taken.String())
	at = strings.TrimPrefix(at, "http://")
	code, out, errs := cli(t, nil, "origin", "--listen", "127.0.0.1:0", "--admin", at)
	require.Equal(t, exitFail, code)
	require.Contains(t, errs, "--admin: listen tcp "+at)
	require.NotContains(t, out, "listening on")
	cancel()
	require.Equal(t, exitPass, <-ended)
}

// freeAddrs gives addresses on loopback that are free.
func freeAddrs(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// nginxPath is where nginx is. Where there is none the test is skipped; with CI=true it fails.
func nginxPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // where Debian has it, and users don't look
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI must have nginx")
	}
	t.Skip("skipped: nginx is not on PATH")
	return ""
}

// What the help shows as complete is complete.
func TestOriginHelpHasAConfigurationOfNginx(t *testing.T) {
	nginx := nginxPath(t)
	_, help, _ := cli(t, nil, "origin", "--help")
	_, conf, ok := strings.Cut(help, "\n  pid nginx.pid;")
	require.True(t, ok)
	conf, _, ok = strings.Cut(conf, "\n  }\n\n")
	require.True(t, ok)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte("pid nginx.pid;"+conf+"\n}\n"), 0o644))
	output, err := exec.Command(nginx, "-t", "-e", "stderr", "-p", dir, "-c", "nginx.conf").CombinedOutput()
	require.NoError(t, err, string(output))
}

// The example runs with its defaults, ends on a signal, and leaves nothing behind, however it ends.
func TestNginxExampleLeavesNothing(t *testing.T) {
	nginxPath(t)
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(how.String(), func(t *testing.T) {
			tmp := t.TempDir()
			addr := freeAddrs(t, 3)
			output := newLoud()
			cmd := exec.Command("../../examples/nginx/start.sh")
			// Without a race report's usual second of waiting at the end.
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "CACHEDRILL="+os.Args[0], asProgram+"=1", "GORACE=atexit_sleep_ms=0",
				"LISTEN="+addr[0], "ORIGIN="+addr[1], "ORIGIN_ADMIN="+addr[2])
			cmd.Stdout, cmd.Stderr = output, output
			cmd.WaitDelay = 20 * time.Second
			require.NoError(t, cmd.Start())
			defer http.DefaultClient.CloseIdleConnections()
			at := "http://" + addr[0]
			for {
				r, err := program.Request(t.Context(), "GET", at+"/healthz", "")
				if err == nil && r.Code == 200 {
					break
				}
				require.NotEmpty(t, program.WithEnvironment("TMPDIR="+tmp), "%s", output)
				time.Sleep(5 * time.Millisecond)
			}
			require.Equal(t, "1", program.Ask(t, "PUT", at+"/a", "first").Head.Get("X-Version"))
			require.Equal(t, "MISS", program.Ask(t, "GET", at+"/a", "").Head.Get("X-Cache-Status"))
			r := program.Ask(t, "GET", at+"/a", "")
			require.Equal(t, "HIT", r.Head.Get("X-Cache-Status"))
			require.Equal(t, "max-age=2, stale-while-revalidate=3", r.Head.Get("Cache-Control"))
			require.Equal(t, "first", r.Body)

			require.NoError(t, cmd.Process.Signal(how))
			err := cmd.Wait() // and until its output is closed
			if how == syscall.SIGTERM {
				require.NoError(t, err, "%s", output)
			}
			if how == syscall.SIGKILL { // a sleep of the script's, of a second, outlives it
				require.Eventually(t, func() bool { return len(program.WithEnvironment("TMPDIR="+tmp)) == 0 }, 10*time.Second, 10*time.Millisecond)
			}
			require.Empty(t, program.WithEnvironment("TMPDIR="+tmp))
			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			require.Empty(t, left)
			require.Contains(t, output.String(), "ended: every request was answered")
		})
	}
}

// A drill of nginx sees what Cache-Control allows, and misses an objective that asks for more than
// that.
func TestNginxExampleUnderDrill(t *testing.T) {
	t.Parallel() // most of its time is waiting
	nginxPath(t)
	text, err := os.ReadFile("../../examples/nginx/drill.yaml")
	require.NoError(t, err)
	addr := freeAddrs(t, 4)
	suite, err := scenarios.Parse("drill.yaml", []byte(strings.NewReplacer(
		"127.0.0.1:8080", addr[0], "127.0.0.1:9000", addr[1], "127.0.0.1:9001", addr[2], "127.0.0.1:9002", addr[3],
		"[./start.sh]", "[../../examples/nginx/start.sh]",
		`UPSTREAM: "{edge.source}"`, fmt.Sprintf(`UPSTREAM: "{edge.source}", LISTEN: %q, ORIGIN: %q, ORIGIN_ADMIN: %q, CACHEDRILL: %q, %s: "1", GORACE: atexit_sleep_ms=0`,
			addr[0], addr[1], addr[2], os.Args[0], asProgram),
		"warmup: 8s, steady: 10s, fault: 10s, recovery: 12s", "warmup: 2s, steady: 4s, fault: 4s, recovery: 4s", "sham: {for: 8s}", "sham: {for: 2s}",
		"by: 300ms, for: 8s", "by: 300ms, for: 2s",
		"  fault:    [\"errors < 0.1%\"]", "  fault:    [\"errors < 0.1%\", \"staleness.max < 500ms\"]",
	).Replace(string(text))))
	require.NoError(t, err)
	sc, err := suite.Scenario("nothing")
	require.NoError(t, err)
	res, err := drill.RunIn(t.Context(), sc, environment.New, environment.Options{Policy: suite.Policies[suite.DefaultPolicy()], Seed: 7}, drill.Options{Seed: 7})
	require.NoError(t, err)
	seen := 0
	for _, r := range res.Scenario.SLOs {
		output := fmt.Sprintf("%s: %s, observed %s: %s %s", r.Expr, r.Outcome, r.Observed, r.Why, r.Evidence)
		switch {
		case r.Expr == "staleness.max < 500ms":
			require.NotEqual(t, slo.Pass, r.Outcome, output)
			seen++
		case strings.HasPrefix(r.Expr, "staleness.max"), r.Safety:
			require.NotEqual(t, slo.Fail, r.Outcome, output)
			seen++
		}
	}
	require.Greater(t, seen, 2)
	require.Positive(t, res.Scenario.Oracle.Opportunities["stale"])
	require.NotNil(t, res.Scenario.Phases[1].SourceQPS.Mean)
	require.NotNil(t, res.Scenario.Phases[1].StampedeMax, "the origin tells keys")
	require.Empty(t, res.Scenario.Notes)
}
