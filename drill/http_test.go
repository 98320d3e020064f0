package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/preflight"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
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
	ask   string // what is asked before a load; "": nothing

	numbered, numbersWrites bool // answers to reads, and to writes, tell versions
	versions                map[string]int

	odd atomic.Pointer[func(w nethttp.ResponseWriter, r *nethttp.Request) bool] // answers in the service's place
}

type cached struct {
	title   string
	until   time.Time
	version int
}

// serveShop is a shop in a process of its own, as the environment says.
func serveShop(addr string) {
	s := emptyShop(10*time.Second, os.Getenv("SHOP_FORGETS") == "")
	fmt.Println("listening on", addr)
	fmt.Println(nethttp.ListenAndServe(addr, s))
	os.Exit(1)
}

func emptyShop(ttl time.Duration, drops bool) *shop {
	return &shop{db: map[string]string{}, cache: map[string]cached{}, versions: map[string]int{}, ttl: ttl, drops: drops}
}

func newShop(t *testing.T, ttl time.Duration, drops bool) *shop {
	s := emptyShop(ttl, drops)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) be(odd func(w nethttp.ResponseWriter, r *nethttp.Request) bool) { s.odd.Store(&odd) }

func (s *shop) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	if odd := s.odd.Load(); odd != nil && (*odd)(w, r) {
		return
	}
	if r.URL.Path == "/healthz" {
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
		s.versions[id]++
		if s.numbersWrites {
			w.Header().Set("X-Version", fmt.Sprint(s.versions[id]))
		}
		if s.drops {
			delete(s.cache, id)
		}
		w.WriteHeader(nethttp.StatusNoContent)
	case nethttp.MethodDelete:
		delete(s.db, id)
		delete(s.cache, id)
	case nethttp.MethodGet:
		c, hit := s.cache[id]
		w.Header().Set("X-Cache", "HIT")
		if !hit || time.Now().After(c.until) || r.URL.Query().Get("fresh") != "" {
			s.loads.Add(1)
			if s.ask != "" {
				if res, err := nethttp.Get(s.ask); err == nil {
					_ = res.Body.Close()
				}
			}
			title, ok := s.db[id]
			if !ok {
				w.WriteHeader(nethttp.StatusNotFound)
				return
			}
			w.Header().Set("X-Cache", "MISS")
			c = cached{title, time.Now().Add(s.ttl), s.versions[id]}
			if r.URL.Query().Get("fresh") == "" {
				s.cache[id] = c
			}
		}
		if s.numbered {
			w.Header().Set("X-Version", fmt.Sprint(c.version))
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

func drillShop(t *testing.T, s *shop, change ...string) report.Drill {
	t.Helper()
	text := strings.NewReplacer(change...).Replace(fmt.Sprintf(shopSuite, s.URL, s.URL))
	suite, err := scenarios.Parse("shop.yaml", []byte(text))
	require.NoError(t, err)
	sc, err := suite.Scenario("quiet")
	require.NoError(t, err)
	policy, err := suite.Policy(suite.DefaultPolicy())
	require.NoError(t, err)
	res, err := RunIn(t.Context(), sc, environment.New, environment.Options{Policy: policy, Seed: 7}, Options{Policy: policy.Name, Seed: 7})
	if err != nil {
		return report.Drill{Outcome: slo.Unknown, Why: err.Error()}
	}
	return res.Scenario
}

// unhurried drills again where the machine was too busy to tell.
func unhurried(drill func() report.Drill) (s report.Drill) {
	for range 6 {
		if s = drill(); !strings.Contains(s.Why, "the load generator was saturated") && !strings.Contains(s.Why, "the machine was") {
			break
		}
	}
	return s
}

func rows(s report.Drill) string {
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
	correct := unhurried(func() report.Drill { return drillShop(t, newShop(t, 10*time.Second, true)) })
	require.Equal(t, slo.Pass, correct.Outcome, rows(correct))
	require.Positive(t, correct.Oracle.Opportunities["lost_writes"])
	require.Positive(t, correct.Oracle.Opportunities["stale"])
	require.NotNil(t, correct.Phases[1].SourceQPS.Mean)
	require.Nil(t, correct.Phases[1].StampedeMax, "a counter tells no keys")

	stale := unhurried(func() report.Drill { return drillShop(t, newShop(t, 10*time.Second, false)) })
	require.Equal(t, slo.Fail, stale.Outcome, rows(stale))
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
	require.Equal(t, slo.Fail, lost.Outcome, rows(lost))
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
			require.NotEqual(t, slo.Pass, res.Outcome, rows(res))
			require.Contains(t, rows(res), c.says)
			require.Zero(t, res.Oracle.Corruptions+res.Oracle.LostWrites+res.Oracle.Leaks, rows(res))
		})
	}
}

// Others write and delete the same keys, and had some before: the service is not accused for it,
// and what is only the drill's is judged on.
func TestSharedKeysAccuseNobody(t *testing.T) {
	s := newShop(t, 10*time.Second, true)
	for i := range 60 {
		s.db[fmt.Sprintf("%d?t1", i)] = "an old chair"
		s.cache[fmt.Sprintf("%d?t1", i)] = cached{title: "an even older chair", until: time.Now().Add(time.Second)}
	}
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			at := fmt.Sprintf("%s/products/%d?tenant=t%d", s.URL, n%9+1, n%2+1)
			body := `{"title": "red chair"}`
			switch n % 5 {
			case 0:
				body = `{"title": ""}`
			case 1:
				body = fmt.Sprintf(`{"title": %q}`, targets.NewToken("another", uint64(n), targets.Key{Family: "product", ID: "1"}))
			}
			method := nethttp.MethodPut
			if n%7 == 6 {
				method = nethttp.MethodDelete
			}
			req, err := nethttp.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
			if err != nil {
				return
			}
			if res, err := nethttp.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
			time.Sleep(3 * time.Millisecond) // a rate, not a wait for anything
		}
	})
	res := drillShop(t, s, "scenarios:", "safety: {shared: true}\nscenarios:", "timeout: 500ms", "timeout: 500ms\n    settle: 500ms")
	stop()
	others.Wait()
	nethttp.DefaultClient.CloseIdleConnections()
	for _, r := range res.SLOs {
		require.NotEqual(t, slo.Fail, r.Outcome, rows(res))
	}
	require.Empty(t, res.Accusations, rows(res))
	require.Positive(t, res.Oracle.UnjudgedKeys, rows(res))
	require.Positive(t, res.Oracle.Opportunities["stale"], "the keys that no other writer touched: %s", rows(res))
}

const startedSuite = `
version: 1
target:
  http:
    instances: ["http://%s"]
    read: {GET: "/products/{key}"}
    write: {PUT: "/products/{key}", json: {title: "{token}"}}
    bypass: {GET: "/products/{key}?fresh=1"}
    answer: {token: {json: $.title}, tier: {header: X-Cache}}
policies:
  forgets: {env: {SHOP_FORGETS: "1"}}
environment:
  start: [%q]
  env: {SHOP_LISTEN: "%s"}
  ready: {GET: /healthz, within: 5s}
workload:
  rate: 200/s
  mix: {product: {share: 100%%, keys: 20, writes: 5%%}}
phases: {warmup: 200ms, steady: 600ms, fault: 400ms, recovery: 300ms}
slo:
  always: ["staleness.max < 100ms", "lost_writes == 0"]
scenarios:
  quiet: {why: nothing happens, faults: [{sham: {for: 300ms}}]}
`

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestAServiceThatTheSuiteStarts(t *testing.T) {
	addr := freeAddr(t)
	suite, err := scenarios.Parse("started.yaml", fmt.Appendf(nil, startedSuite, addr, os.Args[0], addr))
	require.NoError(t, err)
	require.Equal(t, []string{"as-is", "forgets"}, suite.PolicyNames())
	sc, err := suite.Scenario("quiet")
	require.NoError(t, err)
	for policy, want := range map[string]slo.Outcome{"as-is": slo.Pass, "forgets": slo.Fail} {
		p, err := suite.Policy(policy)
		require.NoError(t, err)
		out := t.TempDir()
		s := unhurried(func() report.Drill {
			res, err := RunIn(t.Context(), sc, environment.New, environment.Options{Policy: p, Env: suite.Env[policy], Seed: 3, Out: out}, Options{Policy: p.Name, Seed: 3})
			require.NoError(t, err)
			return res.Scenario
		})
		require.Equal(t, want, s.Outcome, rows(s))
		log, err := os.ReadFile(filepath.Join(out, "service.log"))
		require.NoError(t, err)
		require.Contains(t, string(log), "listening on "+addr)
	}
	_, err = net.Dial("tcp", addr)
	require.Error(t, err, "the service ends with its drill")
}

func TestServicesThatDoNotStart(t *testing.T) {
	addr := freeAddr(t)
	for start, says := range map[string]string{
		`sh, -c, "echo no database; exit 4"`: "exit status 4: no database; it was: /",
		`sleep, "60"`:                        "was not ready within",
		`no-such-program-at-all`:             "no-such-program-at-all",
	} {
		text := strings.Replace(fmt.Sprintf(startedSuite, addr, "x", addr), `start: ["x"]`, "start: ["+start+"]", 1)
		suite, err := scenarios.Parse("started.yaml", []byte(strings.Replace(text, "within: 5s", "within: 300ms", 1)))
		require.NoError(t, err)
		sc, err := suite.Scenario("quiet")
		require.NoError(t, err)
		_, err = RunIn(t.Context(), sc, environment.New, environment.Options{}, Options{})
		require.ErrorContains(t, err, says)
	}
}

// Of a suite that says how many answers may be unreadable the drill is judged by it, and not void.
func TestUnreadableAnswersAreJudged(t *testing.T) {
	drilled := func(objective string) report.Drill {
		s := newShop(t, time.Second, true)
		n := atomic.Int64{}
		s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
			odd := r.Method == nethttp.MethodGet && r.URL.Path != "/metrics" && n.Add(1) > 300 && n.Load()%20 == 0
			if odd {
				_, _ = io.WriteString(w, "<html>we are back soon</html>")
			}
			return odd
		})
		return unhurried(func() report.Drill {
			n.Store(0)
			return drillShop(t, s, "errors < 1%", "errors < 50%", `"lost_writes == 0"`, objective+`"lost_writes == 0"`)
		})
	}
	s := drilled(`"unreadable < 1%", `)
	require.Equal(t, slo.Fail, s.Outcome, rows(s))
	require.Contains(t, s.Why, "unreadable < 1%: observed")
	s = drilled(`"unreadable < 50%", `)
	require.Equal(t, slo.Pass, s.Outcome, rows(s))
	s = drilled("")
	require.Equal(t, slo.Unknown, s.Outcome, rows(s))
	require.Contains(t, s.Why, "could not be understood")
}

func TestADrillIsHalted(t *testing.T) {
	s := newShop(t, time.Second, true)
	n := atomic.Int64{}
	s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if n.Add(1) < 400 || r.URL.Path == "/metrics" {
			return false
		}
		w.WriteHeader(nethttp.StatusInternalServerError)
		return true
	})
	began := time.Now()
	res := drillShop(t, s, "scenarios:", "safety: {halt: [\"errors > 50% for 500ms\"]}\nscenarios:", "recovery: 500ms", "recovery: 60s")
	require.Equal(t, slo.Unknown, res.Outcome, rows(res))
	require.Contains(t, res.Why, "halted at")
	require.Contains(t, res.Why, "errors > 50% for 500ms")
	require.Less(t, time.Since(began), 40*time.Second)
}

func TestACheckTellsWhatDrillsCanSee(t *testing.T) {
	s := newShop(t, 10*time.Second, true)
	check := func(change ...string) string {
		suite, err := scenarios.Parse("shop.yaml", []byte(strings.NewReplacer(change...).Replace(fmt.Sprintf(shopSuite, s.URL, s.URL))))
		require.NoError(t, err)
		found, err := preflight.Check(t.Context(), suite.Everything(), environment.Options{})
		require.NoError(t, err)
		var b strings.Builder
		for _, f := range found {
			fmt.Fprintf(&b, "%v %v %s: %s (%s)\n", f.OK, f.Fatal, f.Topic, f.Text, f.Fix)
		}
		return b.String()
	}
	all := check()
	for _, says := range []string{
		"true false write: product:1 (tenant t1): done", "the answer tells its value, whose it is, its tier (source)",
		"true false re-read: product: from l2", "true false absent", "true false bypass", "db_queries_total",
		"false false fault: redis.restart, redis.kill, keys.expire, keys.flush: the suite does not say which Redis", "no proxy stands in front of anything", "nothing can be broken here",
	} {
		require.Contains(t, all, says)
	}
	require.NotContains(t, all, " true ", "nothing is fatal")

	blind := check("      tier: {header: X-Cache}\n", "", "    bypass: {GET: \"/products/{key}?tenant={tenant}&fresh=1\"}\n", "")
	require.Contains(t, blind, "tier unknown: hit_ratio and miss_penalty are not available")
	require.Contains(t, blind, "lost_writes: no read goes past the caches")

	wrong := check("token: {json: $.title}", "token: {json: $.tenant}")
	require.Contains(t, wrong, `false true read: product: product:1 (tenant t1) still answers "t1", and not what was written`)
}

// calm drills anew while the machine was too busy to tell.
func calm(t *testing.T, s *shop, change ...string) report.Drill {
	t.Helper()
	var res report.Drill
	for range 8 {
		res = drillShop(t, s, change...)
		if !res.Generator.Saturated && !strings.Contains(rows(res), "the machine was") {
			break
		}
	}
	return res
}

// A histogram beside the counter tells how many loads of a key were under way at once; which keys,
// it does not.
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
	counters := []string{"counter: db_queries_total", "counter: db_queries_total, stampede: width",
		`"errors < 1%"`, `"errors < 1%", "stampede.max <= 1"`}
	narrow := calm(t, s, counters...)
	require.Equal(t, slo.Pass, narrow.Outcome, rows(narrow))
	require.EqualValues(t, 1, *narrow.Phases[1].StampedeMax)
	require.Nil(t, narrow.Phases[1].RedundantLoads, "a histogram tells no keys")

	wide.Store(true)
	res := calm(t, s, counters[0], counters[1], "  always:", `  fault: ["stampede.max <= 1"]
  recovery: ["stampede.max <= 2", "redundant_loads <= 2"]
  always:`)
	found := map[string]report.SLO{}
	for _, o := range res.SLOs {
		found[o.Expr] = o
	}
	require.Equal(t, slo.Fail, found["stampede.max <= 1"].Outcome, rows(res))
	require.Equal(t, "2", found["stampede.max <= 1"].Observed, "two at least")
	require.Contains(t, found["stampede.max <= 1"].Evidence, "2 loads of one key under way at once")
	require.Equal(t, slo.Unknown, found["stampede.max <= 2"].Outcome, "two or three: the buckets don't tell")
	require.Equal(t, slo.Unknown, found["redundant_loads <= 2"].Outcome)

	without := calm(t, s, counters[0], "counter: db_queries_total, stampede: db_queries_total")
	require.Contains(t, without.Why, "db_queries_total is no histogram")
}

// What passes an edge to the source is counted there, whatever the service says.
func TestLoadsAreCountedOnTheirWay(t *testing.T) {
	asked := atomic.Int64{}
	database := httptest.NewServer(nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) { asked.Add(1) }))
	defer database.Close()
	defer nethttp.DefaultClient.CloseIdleConnections()
	listen := freeAddr(t)
	s := newShop(t, 100*time.Millisecond, true)
	s.ask = "http://" + listen + "/row"
	res := unhurried(func() report.Drill {
		asked.Store(0)
		return drillShop(t, s, fmt.Sprintf(`source_qps: {prometheus: "%s/metrics", counter: db_queries_total}`, s.URL),
			fmt.Sprintf(`{edges: {source: {listen: %q, upstream: %q, protocol: http}}, source_qps: {edge: source}}`, listen, database.Listener.Addr().String()),
			"environment:\n  ", "environment: ", "[{sham: {for: 300ms}}]", "[{source.slow: {by: 20ms, for: 300ms}}]", "staleness.max < 200ms", "staleness.max < 2s")
	})
	require.Equal(t, slo.Pass, res.Outcome, rows(res))
	sum := 0.0
	for _, p := range res.Phases {
		if p.SourceQPS.Mean != nil {
			sum += *p.SourceQPS.Mean * (p.EndS - p.StartS)
		}
	}
	require.Positive(t, sum)
	require.InDelta(t, float64(asked.Load()), sum, float64(asked.Load())/2, "first values are read before the drill, and the last ones in its audit")
}

// An edge that the service does not use shows nothing, however well its fault bit. One that it does
// use is judged.
func TestAnEdgeThatTheServiceDoesNotUseProvesNothing(t *testing.T) {
	database := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {}))
	defer database.Close()
	defer nethttp.DefaultClient.CloseIdleConnections()
	for _, fault := range []string{"network.refuse: {edge: source, for: 400ms}", "network.halfopen: {edge: source, for: 400ms}", "source.slow: {by: 20ms, for: 300ms}"} {
		listen := freeAddr(t)
		drill := func(ask string) report.Drill {
			s := newShop(t, 100*time.Millisecond, true)
			s.ask = ask
			return unhurried(func() report.Drill {
				return drillShop(t, s, "environment:", fmt.Sprintf("environment:\n  edges: {source: {listen: %q, upstream: %q, protocol: http}}", listen, database.Listener.Addr().String()),
					"{sham: {for: 300ms}}", "{"+fault+"}", "staleness.max < 200ms", "staleness.max < 2s")
			})
		}
		unused := drill("")
		require.Equal(t, slo.Unknown, unused.Outcome, rows(unused))
		require.Contains(t, unused.Why, "nothing of the service passed edge source ("+listen+"): point it there")
		require.Empty(t, unused.Faults[0].Evidence)
		used := drill("http://" + listen + "/row")
		require.NotEmpty(t, used.Faults[0].Evidence, rows(used))
		require.Empty(t, used.Faults[0].Problem)
	}
}

// The harness follows nobody to where the suite does not allow it, and its headers go to the
// service alone.
func TestNothingIsTouchedThatIsNotAllowed(t *testing.T) {
	var asked atomic.Int64
	var auth atomic.Value
	other := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		asked.Add(1)
		auth.Store(r.Header.Get("Authorization"))
		fmt.Fprintln(w, "db_queries_total 1")
	}))
	defer other.Close()
	s := newShop(t, 10*time.Second, true)
	s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if r.URL.Path != "/metrics" {
			return false
		}
		nethttp.Redirect(w, r, other.URL+"/metrics", nethttp.StatusFound)
		return true
	})
	res := drillShop(t, s)
	require.Equal(t, slo.Unknown, res.Outcome, rows(res))
	require.Contains(t, res.Why, "answered 302 Found")
	require.Zero(t, asked.Load(), "a redirect is not followed")

	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	_ = drillShop(t, newShop(t, 10*time.Second, true), "    answer:\n", "    headers: {Authorization: Bearer}\n    answer:\n",
		`bypass: {GET: "/`, `bypass: {GET: "`+elsewhere+`/`)
	require.Positive(t, asked.Load())
	require.Empty(t, auth.Load(), "another host than the service's")
}

// Versions that only reads tell hide nothing: what is stale by the tokens is stale.
func TestVersionsThatOnlyReadsTell(t *testing.T) {
	for _, numbersWrites := range []bool{false, true} {
		s := newShop(t, 10*time.Second, false)
		s.numbered, s.numbersWrites = true, numbersWrites
		res := unhurried(func() report.Drill {
			return drillShop(t, s, "tier: {header: X-Cache}", "tier: {header: X-Cache}\n      version: {header: X-Version}")
		})
		require.Equal(t, slo.Fail, res.Outcome, "%v: %s", numbersWrites, rows(res))
		require.Contains(t, res.Why, "staleness.max", rows(res))
	}
}

// A condition that is never met halts nothing, and holds nothing up.
func TestADrillThatIsNotHaltedEnds(t *testing.T) {
	s := newShop(t, time.Second, true)
	res := unhurried(func() report.Drill {
		return drillShop(t, s, "scenarios:", "safety: {halt: [\"errors > 50% for 5s\", \"p99 > 10s for 5s\"]}\nscenarios:", "staleness.max < 200ms", "staleness.max < 1s")
	})
	require.Equal(t, slo.Pass, res.Outcome, rows(res))
}

// A process that listens where the service is about to be would be drilled in its place.
func TestTheServicesPortIsTaken(t *testing.T) {
	s := newShop(t, time.Second, true)
	addr := s.Listener.Addr().String()
	suite, err := scenarios.Parse("started.yaml", fmt.Appendf(nil, startedSuite, addr, os.Args[0], addr))
	require.NoError(t, err)
	sc, err := suite.Scenario("quiet")
	require.NoError(t, err)
	_, err = RunIn(t.Context(), sc, environment.New, environment.Options{}, Options{})
	require.ErrorContains(t, err, "something listens on http://"+addr+" already")
}

func TestAServiceThatShouldRunAlready(t *testing.T) {
	addr := freeAddr(t)
	suite, err := scenarios.Parse("shop.yaml", fmt.Appendf(nil, shopSuite, "http://"+addr, "http://"+addr))
	require.NoError(t, err)
	_, err = preflight.Check(t.Context(), suite.Everything(), environment.Options{})
	require.ErrorContains(t, err, "nothing listens on http://"+addr+": start the service first")
}

// Answers that can't be read are no pass, even if no objective asks for them.
func TestUnreadableAnswersVoidADrill(t *testing.T) {
	s := newShop(t, time.Second, true)
	n := atomic.Int64{}
	s.be(func(w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if r.Method != nethttp.MethodGet || r.URL.Path == "/metrics" || r.URL.Query().Get("fresh") != "" || n.Add(1) < 200 || n.Load()%10 != 0 {
			return false
		}
		_, _ = io.WriteString(w, `{"name": "x"}`)
		return true
	})
	res := drillShop(t, s, `"errors < 1%", "source_qps.mean < 1000/s", "hit_ratio > 1%"`, `"p50 < 10s"`, `, "staleness.max < 200ms"`, "")
	require.Equal(t, slo.Unknown, res.Outcome, rows(res))
	require.Contains(t, res.Why, "could not be understood")
}

// Where nothing leads past the caches, purging them before the audit has the last reads come from
// the source.
func TestPurgingShowsWhatIsNotLost(t *testing.T) {
	s := newShop(t, time.Minute, true)
	s.be(func(_ nethttp.ResponseWriter, r *nethttp.Request) bool {
		if r.URL.Path != "/purge" {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.cache)
		return true
	})
	res := unhurried(func() report.Drill {
		return drillShop(t, s, "    bypass: {GET: \"/products/{key}?tenant={tenant}&fresh=1\"}\n", "    purge: {POST: \"/purge?id={key}\"}\n",
			"keys: 40, zipf: 1.0", "keys: 4, zipf: 0", `, "hit_ratio > 1%"`, "", "staleness.max < 200ms", "staleness.max < 2s")
	})
	require.Equal(t, slo.Pass, res.Outcome, rows(res))
	require.Positive(t, res.Oracle.Writes)
	require.EqualValues(t, res.Oracle.Writes, res.Oracle.Opportunities["lost_writes"], "every write was looked for")
}
