package program

import (
	"bufio"
	"bytes"
	"context"
	"io"
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

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/redistest"
)

// ShopYAML is the configuration of the service that a [Shop] serves: one family of each promise.
const ShopYAML = `regions: {eu: 2, us: 2}
families:
  product: {class: bounded, within: 2s, ttl: 2s, vary: [tenant]}
  news: {class: bounded, within: 60s, ttl: 60s}
  price: {class: strong, ttl: 60s}
  stock: {class: bounded, within: 60s, ttl: 60s, writes: through}
`

// Shop is what the `cachedrill serve` processes of one service share: a configuration, a Redis, a
// PostgreSQL database, and the folder for their temporary files.
type Shop struct {
	Config, Redis, Source string
	Tmp                   string
}

// NewShop starts a Redis server and makes a database of the test binary's shared PostgreSQL.
func NewShop(t testing.TB) Shop {
	t.Helper()
	s := Shop{Tmp: t.TempDir(), Config: filepath.Join(t.TempDir(), "shop.yaml")}
	require.NoError(t, os.WriteFile(s.Config, []byte(ShopYAML), 0o644))
	s.Redis = "redis://" + redistest.Start(t, goredis.Options{}).Addr
	s.Source = pgtest.Shared(t).Database(t)
	return s
}

// Server is a running `cachedrill serve`.
type Server struct {
	Cmd *exec.Cmd
	// URL is where it answers, Admin where its policy is switched; Admin is empty without --admin.
	URL, Admin string

	mu      sync.Mutex
	printed bytes.Buffer
	drained chan struct{} // closed when all output was read
}

var (
	listening = regexp.MustCompile(`(?m)^listening on (http://\S+)`)
	adminOn   = regexp.MustCompile(`(?m)^admin on (http://\S+)`)
)

// Serve starts a process of the service, in region eu where flags name no other, and waits until it
// listens.
func (s Shop) Serve(t testing.TB, flags ...string) *Server {
	t.Helper()
	p := &Server{drained: make(chan struct{})}
	p.Cmd = exec.Command(Build(t), append([]string{"serve", "--config", s.Config, "--region", "eu", "--listen", "127.0.0.1:0", "--redis", s.Redis}, flags...)...)
	p.Cmd.Env = append(os.Environ(), "TMPDIR="+s.Tmp, "CACHEDRILL_SOURCE="+s.Source)
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.Cmd.StdoutPipe()
	require.NoError(t, err)
	p.Cmd.Stderr = p.Cmd.Stdout
	require.NoError(t, p.Cmd.Start())
	t.Cleanup(func() { _ = p.Cmd.Process.Kill(); <-p.drained; _ = p.Cmd.Wait() })
	ready := make(chan [2]string, 1)
	go p.read(out, ready)
	select {
	case at := <-ready:
		p.URL, p.Admin = at[0], at[1]
	case <-p.drained:
		t.Fatal("it ended: " + p.Output())
	case <-time.After(time.Minute):
		t.Fatal("it does not listen: " + p.Output())
	}
	return p
}

// read keeps the output, and sends the addresses once they were printed.
func (p *Server) read(out io.Reader, ready chan<- [2]string) {
	defer close(p.drained)
	sent := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.mu.Lock()
		p.printed.WriteString(lines.Text() + "\n")
		text := p.printed.String()
		p.mu.Unlock()
		if url, admin := Addresses(text); url != "" && !sent {
			ready <- [2]string{url, admin}
			sent = true
		}
	}
}

// Addresses finds where `cachedrill serve` or `cachedrill origin` listens in what it printed; each
// is empty if it is not there.
func Addresses(output string) (url, admin string) {
	if m := listening.FindStringSubmatch(output); m != nil {
		url = m[1]
	}
	if m := adminOn.FindStringSubmatch(output); m != nil {
		admin = m[1]
	}
	return url, admin
}

// Output is everything that the process has printed so far.
func (p *Server) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

// End waits until the process has ended by itself, a minute at most, and returns its exit code; -1
// after a signal.
func (p *Server) End(t testing.TB) int {
	t.Helper()
	select {
	case <-p.drained:
	case <-time.After(time.Minute):
		t.Fatal("still running: " + p.Output())
	}
	_ = p.Cmd.Wait()
	return p.Cmd.ProcessState.ExitCode()
}

// Metric reads one sample of the process's /metrics; series is written as in the text format.
func (p *Server) Metric(t testing.TB, series string) float64 {
	t.Helper()
	text := Ask(t, "GET", p.URL+"/metrics", "").Body
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

// Reply is an HTTP answer.
type Reply struct {
	Code int
	Head http.Header
	Body string
}

// Ask sends one request; without an answer the test fails.
func Ask(t testing.TB, method, url, body string) Reply {
	t.Helper()
	r, err := Request(t.Context(), method, url, body)
	require.NoError(t, err)
	return r
}

// Request sends one request and waits for the answer, a minute at most.
func Request(ctx context.Context, method, url, body string) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return Reply{res.StatusCode, res.Header, string(text)}, err
}
