package metrics_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type direct struct{}

func (direct) Carry(ctx context.Context) error { return ctx.Err() }
func (direct) Hears(any) bool                  { return true }

var (
	product = reference.Family{
		Schema:   key.Schema{Family: "product", Version: 1, Vary: []key.Dimension{key.Tenant}},
		Contract: policy.Family{Class: policy.Bounded, Within: time.Hour, TTL: time.Hour},
	}
	price = reference.Family{
		Schema:   key.Schema{Family: "price", Version: 1},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Hour},
	}
	chair = key.Name{Family: "product", ID: "17", Tenant: "acme"}
)

// world is a source and a region's store, which caches share.
type world struct {
	source *source.Model
	memory *store.Memory
}

func newWorld(t testing.TB) world {
	began := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 4, Now: func() int64 { return int64(time.Since(began)) }})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	mem := store.NewMemory()
	mem.Start()
	return world{m, mem}
}

func (w world) cache(t testing.TB, o reference.Observer) *reference.Cache {
	c, err := reference.New(context.Background(), reference.Config{Region: "eu", Policy: policy.Recommended(),
		Families: []reference.Family{product, price}, Source: w.source, Shared: w.memory.Client(direct{}, store.Patience{}), Observer: o})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func all() *metrics.Metrics {
	return metrics.New(metrics.Config{Region: "eu", Families: []string{"product", "price"}, Tenants: []string{"acme"}})
}

// value finds one sample of what is gathered, by its name and labels as the text format has them.
func value(t testing.TB, m *metrics.Metrics, series string) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(m))
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"_count", "_sum", "_bucket"} {
		name = strings.TrimSuffix(name, suffix)
	}
	text, err := testutil.CollectAndFormat(m, expfmt.TypeTextPlain, name)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("no %s in\n%s", series, text)
	return ""
}

func TestWhatACacheDoesIsCounted(t *testing.T) {
	w, m := newWorld(t), all()
	a, b := w.cache(t, m), w.cache(t, nil)
	into := reference.NewInvalidator(policy.Recommended(), []reference.Family{product, price}, w.memory.Client(direct{}, store.Patience{}))
	ctx := t.Context()

	r, err := a.Put(ctx, chair, []byte("red"), "w1")
	require.NoError(t, err)
	for range 3 {
		_, err = a.Get(ctx, chair)
		require.NoError(t, err)
	}
	other := chair
	other.Tenant = "somebody"
	_, err = b.Get(ctx, other)
	require.NoError(t, err)
	got, err := a.Get(ctx, other)
	require.NoError(t, err)
	require.Equal(t, reference.TierL2, got.Tier)
	for range 2 {
		_, err = a.Get(ctx, key.Name{Family: "price", ID: "9"})
		require.NoError(t, err)
	}
	require.NoError(t, into.Apply(ctx, chair, r.Version, r.T0))
	require.Eventually(t, func() bool {
		return value(t, m, `cachedrill_invalidation_lag_seconds_count{region="eu",via="bus"}`) == "1"
	}, 10*time.Second, time.Millisecond)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = a.Get(canceled, key.Name{Family: "price", ID: "10"})
	require.Error(t, err)
	_, err = a.Put(canceled, chair, nil, "w2")
	require.ErrorIs(t, err, source.ErrNotApplied)
	_, err = a.Get(ctx, key.Name{Family: "unknown", ID: "9"})
	require.ErrorIs(t, err, reference.ErrFamily)
	m.Policy("recommended")
	m.Policy("naive")

	for series, want := range map[string]string{
		`cachedrill_reads_total{family="product",region="eu",tier="source"}`:                           "1",
		`cachedrill_reads_total{family="product",region="eu",tier="l1"}`:                               "2",
		`cachedrill_reads_total{family="product",region="eu",tier="l2"}`:                               "1",
		`cachedrill_read_duration_seconds_count{family="product",region="eu",tier="l1"}`:               "2",
		`cachedrill_tenant_reads_total{region="eu",tenant="acme",tier="l1"}`:                           "2",
		`cachedrill_tenant_reads_total{region="eu",tenant="other",tier="l2"}`:                          "1",
		`cachedrill_source_loads_total{family="product",kind="load",outcome="ok",region="eu"}`:         "1",
		`cachedrill_source_loads_total{family="price",kind="check",outcome="ok",region="eu"}`:          "1",
		`cachedrill_read_errors_total{family="price",reason="canceled",region="eu"}`:                   "1",
		`cachedrill_writes_total{family="product",kind="put",outcome="ok",region="eu"}`:                "1",
		`cachedrill_writes_total{family="product",kind="put",outcome="not_applied",region="eu"}`:       "1",
		`cachedrill_redis_breaker_open{region="eu"}`:                                                   "0",
		`cachedrill_redis_breaker_openings_total{region="eu"}`:                                         "0",
		`cachedrill_policy_info{policy="naive",region="eu"}`:                                           "1",
		`cachedrill_stale_serves_total{family="product",reason="spare",region="eu"}`:                   "0",
		`cachedrill_refreshes_total{family="product",outcome="skipped",region="eu"}`:                   "0",
		`cachedrill_source_load_duration_seconds_count{family="product",kind="load",region="eu"}`:      "1",
		`cachedrill_invalidation_lag_seconds_bucket{region="eu",via="bus",le="60"}`:                    "1",
		`cachedrill_read_duration_seconds_bucket{family="product",region="eu",tier="source",le="2.5"}`: "1",
	} {
		require.Equal(t, want, value(t, m, series), series)
	}
	// The look of the reader who gave up ends by itself.
	require.Eventually(t, func() bool { return value(t, m, `cachedrill_flight_readers_count{region="eu"}`) == "5" }, 10*time.Second, time.Millisecond)
	require.Equal(t, "5", value(t, m, `cachedrill_flight_readers_sum{region="eu"}`), "no look was shared")
	text := labels(gathered(t, m))
	require.Contains(t, text, `tenant="acme"`)
	for _, leak := range []string{"17", "somebody", `family="unknown"`, `policy="recommended"`} {
		require.NotContains(t, text, leak)
	}
}

// labels keeps of the text format what stands in braces, but for buckets.
func labels(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if _, after, ok := strings.Cut(line, "{"); ok && line[0] != '#' && !strings.Contains(line, "_bucket{") {
			in, _, _ := strings.Cut(after, "}")
			b.WriteString(in + "\n")
		}
	}
	return b.String()
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	for _, c := range []prometheus.Collector{all(), ledger(nil)} {
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// The number of series follows from the configuration, whatever is read.
func TestSeriesAreBounded(t *testing.T) {
	m := all()
	before := testutil.CollectAndCount(m)
	for i := range 1000 {
		name := fmt.Sprint(i)
		m.Read(reference.ReadEvent{Family: "product", Tenant: name, Tier: reference.TierL1, Outcome: reference.Done})
		m.Read(reference.ReadEvent{Family: name, Tenant: name, Tier: reference.TierL1, Outcome: reference.Done})
		m.Stale(name, reference.StaleIfError)
		m.Load(reference.LoadEvent{Family: name})
		m.Write(reference.WriteEvent{Family: name})
		m.LeaseWait(name)
		m.Refresh(name, reference.Done)
	}
	require.Equal(t, before, testutil.CollectAndCount(m))
}

func TestL1HitWithMetricsDoesNotAllocate(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(1000, l1Hit(t, newWorld(t).cache(t, all()))))
}

func l1Hit(t testing.TB, c *reference.Cache) func() {
	ctx := context.Background()
	_, err := c.Get(ctx, chair)
	require.NoError(t, err)
	return func() {
		if a, err := c.Get(ctx, chair); err != nil || a.Tier != reference.TierL1 {
			t.Fatal(a.Tier, err)
		}
	}
}

// What an L1 hit costs without an observer, and with these metrics.
func BenchmarkL1Hit(b *testing.B) {
	for _, c := range []struct {
		name string
		o    reference.Observer
	}{{"unobserved", nil}, {"metrics", all()}, {"metrics without tenants", metrics.New(metrics.Config{Region: "eu", Families: []string{"product"}})}} {
		b.Run(c.name, func(b *testing.B) {
			get := l1Hit(b, newWorld(b).cache(b, c.o))
			b.ReportAllocs()
			for b.Loop() {
				get()
			}
		})
	}
}

const (
	docs  = "../../docs/operations.md"
	begin = "<!-- Generated from the code: UPDATE_DOCS=1 go test ./reference/metrics -->\n"
	end   = "<!-- End of the metrics -->\n"
)

// docs/operations.md lists the metrics that there are. UPDATE_DOCS=1 go test ./reference/metrics
// writes it.
func TestMetricsAreDocumented(t *testing.T) {
	table := "| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n"
	listed := map[string]bool{}
	for _, m := range metrics.Table {
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
		listed[m.Name] = true
	}
	m := all()
	m.Policy("recommended")
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(m))
	require.NoError(t, r.Register(ledger(nil)))
	found, err := r.Gather()
	require.NoError(t, err)
	require.Len(t, found, len(metrics.Table))
	for _, f := range found {
		require.True(t, listed[f.GetName()], f.GetName())
	}
	page, err := os.ReadFile(docs)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok, "%s has no place for the metrics", docs)
	have, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s has no end of the metrics", docs)
	if want := "\n" + table + "\n"; os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(docs, []byte(before+begin+want+end+after), 0o644))
	} else {
		require.Equal(t, want, have, "%s is not what the code says: UPDATE_DOCS=1 go test ./reference/metrics", docs)
	}
}
