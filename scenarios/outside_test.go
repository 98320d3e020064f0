package scenarios

import (
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
)

// shop is a small service of somebody's: products in a database, a cache in front of it.
type shop struct {
	*httptest.Server
	mu    sync.Mutex
	db    map[string]string
	cache map[string]cached
	ttl   time.Duration // 0: no cache
	drops bool          // a write drops the cached copy
	loads atomic.Int64

	odd atomic.Pointer[func(w nethttp.ResponseWriter, r *nethttp.Request) bool] // answers in the service's place
}

type cached struct {
	title string
	until time.Time
}

func newShop(t *testing.T, ttl time.Duration, drops bool) *shop {
	s := &shop{db: map[string]string{}, cache: map[string]cached{}, ttl: ttl, drops: drops}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) be(odd func(w nethttp.ResponseWriter, r *nethttp.Request) bool) { s.odd.Store(&odd) }

func (s *shop) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	if odd := s.odd.Load(); odd != nil && (*odd)(w, r) {
		return
	}
	if r.URL.Path == "/metrics" {
		fmt.Fprintf(w, "# TYPE db_queries_total counter\ndb_queries_total %d\n", s.loads.Load())
		return
	}
	id := strings.TrimPrefix(r.URL.Path, "/products/") + "?" + r.URL.Query().Get("tenant")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case nethttp.MethodPut:
		var in struct{ Title string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			w.WriteHeader(nethttp.StatusBadRequest)
			return
		}
		s.db[id] = in.Title
		if s.drops {
			delete(s.cache, id)
		}
		w.WriteHeader(nethttp.StatusNoContent)
	case nethttp.MethodGet:
		c, hit := s.cache[id]
		w.Header().Set("X-Cache", "HIT")
		if !hit || time.Now().After(c.until) || r.URL.Query().Get("fresh") != "" {
			s.loads.Add(1)
			title, ok := s.db[id]
			if !ok {
				w.WriteHeader(nethttp.StatusNotFound)
				return
			}
			w.Header().Set("X-Cache", "MISS")
			c = cached{title, time.Now().Add(s.ttl)}
			if r.URL.Query().Get("fresh") == "" {
				s.cache[id] = c
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"title": c.title, "tenant": r.URL.Query().Get("tenant")})
	}
}

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

func drillShop(t *testing.T, s *shop, change ...string) report.Scenario {
	t.Helper()
	text := strings.NewReplacer(change...).Replace(fmt.Sprintf(shopSuite, s.URL, s.URL))
	suite, err := Parse("shop.yaml", []byte(text))
	require.NoError(t, err)
	sc, err := suite.Scenario("quiet")
	require.NoError(t, err)
	policy, err := suite.Policy(suite.DefaultPolicy())
	require.NoError(t, err)
	res, err := Run(t.Context(), sc, Options{Policy: policy, Seed: 7})
	if err != nil {
		return report.Scenario{Outcome: report.Unknown, Why: err.Error()}
	}
	return res.Scenario
}

func rows(s report.Scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.Outcome, s.Why)
	for _, r := range s.SLOs {
		fmt.Fprintf(&b, "  %s (%s): %s, observed %s, %s %s\n", r.Expr, r.Phase, r.Outcome, r.Observed, r.Why, r.Evidence)
	}
	for _, n := range s.Notes {
		b.WriteString("  note: " + n + "\n")
	}
	return b.String()
}

func TestAServiceOfSomebody(t *testing.T) {
	correct := drillShop(t, newShop(t, 10*time.Second, true))
	require.Equal(t, report.Pass, correct.Outcome, rows(correct))
	require.Positive(t, correct.Oracle.Opportunities["lost_writes"])
	require.Positive(t, correct.Oracle.Opportunities["stale"])
	require.NotNil(t, correct.Phases[1].SourceQPS.Mean)
	require.Nil(t, correct.Phases[1].StampedeMax, "a counter tells no keys")

	stale := drillShop(t, newShop(t, 10*time.Second, false))
	require.Equal(t, report.Fail, stale.Outcome, rows(stale))
	require.Contains(t, stale.Why, "staleness.max", rows(stale))
}

func TestWritesThatAreLostOutside(t *testing.T) {
	s := newShop(t, time.Second, true)
	n := atomic.Int64{}
	s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if r.Method != nethttp.MethodPut || n.Add(1) < 60 || n.Load()%3 != 0 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(nethttp.StatusNoContent) // and nothing was done
		return true
	})
	lost := drillShop(t, s)
	require.Equal(t, report.Fail, lost.Outcome, rows(lost))
	require.Positive(t, lost.Oracle.LostWrites, rows(lost))
}

// Whatever a service answers, a drill of it ends, without a pass.
func TestOddServicesNeverPass(t *testing.T) {
	late := func(after int64, odd func(w nethttp.ResponseWriter, r *nethttp.Request)) func(nethttp.ResponseWriter, *nethttp.Request) bool {
		n := atomic.Int64{}
		return func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n.Add(1) <= after || r.URL.Path == "/metrics" {
				return false
			}
			odd(w, r)
			return true
		}
	}
	answer := func(status int, body string) func(w nethttp.ResponseWriter, r *nethttp.Request) {
		return func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	hang := func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not hear of a client that has gone
		<-r.Context().Done()
	}
	closing := func(nethttp.ResponseWriter, *nethttp.Request) { panic(nethttp.ErrAbortHandler) }
	redirect := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.Redirect(w, r, "/elsewhere", nethttp.StatusFound)
	}
	endless := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		odd   func(w nethttp.ResponseWriter, r *nethttp.Request)
		after int64
		says  string
	}{
		"garbage":                {answer(200, "\x00<html>"), 0, "no JSON"},
		"garbage half-way":       {answer(200, "\x00<html>"), 500, "could not be understood"},
		"another schema":         {answer(200, `{"name": "x"}`), 500, "nothing at $"},
		"a list":                 {answer(200, `[]`), 500, "nothing at $"},
		"a value that is none":   {answer(200, `{"title": {"de": "x"}}`), 500, "not a single value"},
		"500 to everything":      {answer(500, "oops"), 0, "500"},
		"500 half-way":           {answer(500, "oops"), 500, "errors"},
		"redirects":              {redirect, 0, "redirect"},
		"redirects half-way":     {redirect, 500, "errors"},
		"closes connections":     {closing, 0, "EOF"},
		"closes them half-way":   {closing, 500, "errors"},
		"hangs half-way":         {hang, 500, "errors"},
		"answers without an end": {endless, 500, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, time.Second, true)
			s.be(late(c.after, c.odd))
			res := drillShop(t, s, "staleness.max < 200ms", "staleness.max < 20s", `settle: 1s`, `settle: 1s`, "timeout: 500ms", "timeout: 100ms\n    settle: 1s")
			require.NotEqual(t, report.Pass, res.Outcome, rows(res))
			require.Contains(t, rows(res), c.says)
			require.Zero(t, res.Oracle.Corruptions+res.Oracle.LostWrites+res.Oracle.Leaks, rows(res))
		})
	}
}

// calm drills anew while the machine was too busy to tell.
func calm(t *testing.T, s *shop, change ...string) report.Scenario {
	t.Helper()
	var res report.Scenario
	for range 8 {
		res = drillShop(t, s, change...)
		if !res.Generator.Saturated && !strings.Contains(rows(res), "the machine was") {
			break
		}
	}
	return res
}

// A histogram beside the counter tells how many loads of a key were under way at once; which keys, it does not.
func TestAHistogramTellsStampedes(t *testing.T) {
	s := newShop(t, 10*time.Second, true)
	wide := atomic.Bool{}
	s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if r.URL.Path != "/metrics" {
			return false
		}
		n, three := s.loads.Load(), int64(0)
		if wide.Load() {
			three = n / 2
		}
		fmt.Fprintf(w, "# TYPE db_queries_total counter\ndb_queries_total %d\n# TYPE width histogram\n"+
			"width_bucket{le=\"1\"} %d\nwidth_bucket{le=\"3\"} %d\nwidth_bucket{le=\"+Inf\"} %d\n", n, n-three, n, n)
		return true
	})
	told := []string{"counter: db_queries_total", "counter: db_queries_total, stampede: width",
		`"errors < 1%"`, `"errors < 1%", "stampede.max <= 1"`}
	narrow := calm(t, s, told...)
	require.Equal(t, report.Pass, narrow.Outcome, rows(narrow))
	require.EqualValues(t, 1, *narrow.Phases[1].StampedeMax)
	require.Nil(t, narrow.Phases[1].RedundantLoads, "a histogram tells no keys")

	wide.Store(true)
	res := calm(t, s, told[0], told[1], "  always:", `  fault: ["stampede.max <= 1"]
  recovery: ["stampede.max <= 2", "redundant_loads <= 2"]
  always:`)
	found := map[string]report.SLO{}
	for _, o := range res.SLOs {
		found[o.Expr] = o
	}
	require.Equal(t, report.Fail, found["stampede.max <= 1"].Outcome, rows(res))
	require.Equal(t, "2", found["stampede.max <= 1"].Observed, "two at least")
	require.Contains(t, found["stampede.max <= 1"].Evidence, "2 loads of one key under way at once")
	require.Equal(t, report.Unknown, found["stampede.max <= 2"].Outcome, "two or three: the buckets don't tell")
	require.Equal(t, report.Unknown, found["redundant_loads <= 2"].Outcome)

	without := calm(t, s, told[0], "counter: db_queries_total, stampede: db_queries_total")
	require.Contains(t, without.Why, "db_queries_total is no histogram")
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
