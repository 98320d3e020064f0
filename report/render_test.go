package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

var update = flag.Bool("update", false, "write the golden files anew")

func num(v float64) *float64 { return &v }

// sample is a report made by hand: a drill of each outcome, and text that needs escaping.
func sample() Report {
	widest, again, memory := int64(6), int64(40), int64(5_250_000)
	return Report{
		Version: "1.2.3", Seed: 7, Started: time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC),
		Environment: Environment{Redis: "process 7.2.5", CPUs: 2, Go: "go1.26"},
		Scenarios: []Drill{
			{
				Name: "redis-restart", Description: "Redis returns empty, at peak.", Target: "reference", Policy: "naive", Outcome: slo.Pass, RecoveryS: num(0.8),
				Operations: Operations{Planned: 3000, Sent: 3000, Digest: "ab12"},
				Phases: []PhaseSummary{{
					Name: "fault", StartS: 3, EndS: 6.25, Requests: 3000, Errors: 3,
					LatencyMS: &Latency{0.2, 20, 310, 312.5, 313}, ServiceMS: &Latency{0.1, 19, 300, 302.5, 303},
					HitRatio: HitRatio{L1: num(0.91)}, MissPenaltyMS: num(51.25), SourceQPS: SourceQPS{num(120.5), num(702)},
					StampedeMax: &widest, RedundantLoads: &again, Reads: Reads{2900, 2890, 5, 4, 1},
					StalenessMS: Tail{num(0), num(900)},
				}, {Name: "recovery", StartS: 6.25, EndS: 10}},
				Breakdown: []BreakdownRow{{Labels: slo.Labels{Family: "product", Kind: "read"}, Requests: 2400, LatencyMS: &Latency{0.2, 20, 310, 312.5, 313}, Stale: num(0.001), HitRatio: num(0.9),
					Cache: &CacheFigures{Reads: 2400, HitRatio: HitRatio{num(0.9), num(0.5)}, MissPenaltyMS: num(49.5), SourceLoads: &again, SourceChecks: &widest,
						StaleServes: map[string]int64{"spare": 3, "refresh": 12}, LeaseWaits: &widest, Refreshes: map[string]int64{"ok": 12}}}, {
					Labels: slo.Labels{Region: "eu"}, Requests: 3000, RedisMemoryMaxBytes: &memory, CrossRegionBytes: &again,
					Cache: &CacheFigures{Reads: 2400, HitRatio: HitRatio{L1: num(0.9)}, BreakerOpenings: &widest, BusGaps: &widest, Flights: &Flights{100, 140, num(8)},
						InvalidationLagMS: map[string]OwnLag{"bus": {30, num(1.5), num(10)}}}}},
				Cache:  &CacheFigures{Reads: 2400, HitRatio: HitRatio{num(0.9), num(0.5)}, SourceLoads: &again, StaleServes: map[string]int64{"spare": 3, "refresh": 12}, BreakerOpenings: &widest},
				Cost:   &CostSummary{Currency: "EUR", Requests: 3000, PerMillion: 1.2345, By: map[string]float64{"source_loads": 1.2, "redis_memory": 0.0345}},
				Faults: []FaultSummary{{Name: "redis.restart eu", InjectedS: num(3.0004), HealedS: num(3.6), Evidence: "run_id changed"}},
				SLOs: []SLO{
					{Expr: "p99{family=product, kind=read} < 120ms", Phase: slo.GroupSteady, Outcome: slo.Pass, Observed: "52ms", Limit: "< 120ms", Evidence: "worst: 61ms read of product:4 from source at us-1, due 1.400s"},
					{Expr: "lost_writes == 0", Phase: slo.GroupAlways, Outcome: slo.Pass, Observed: "0", Limit: "== 0", Safety: true, Implicit: true},
				},
				Oracle:    OracleSummary{Writes: 30, Acknowledged: 30, Opportunities: map[string]int64{"stale": 4}, Violations: map[string]int64{"strong": 0}},
				Generator: GeneratorResult{Rate: 1000, LatenessMS: Lateness{0.02, 0.1, 1.5}},
			},
			{
				Name: "mass-expiry", Target: "reference", Policy: "naive", Outcome: slo.Fail, Attempts: 2, Why: "stampede.max <= 2: observed 6 in fault",
				Faults:      []FaultSummary{{Name: "keys.expire", Problem: "not injected: timeout"}},
				Cache:       &CacheFigures{Reads: 900, HitRatio: HitRatio{num(0.5), nil}, SourceLoads: &again, LeaseWaits: &widest},
				Accusations: []Accusation{{Kind: "stale", Key: "price:9", AtS: 33.1, Text: "price:\x1b[31m9 read \x00v3 | twice at 33.10s", Proof: "33.1s > 32.2s", History: []Event{}, Faults: []string{}}},
				SLOs: []SLO{
					{Expr: "stampede.max <= 2", Phase: slo.GroupFault, Outcome: slo.Fail, Observed: "6", Limit: "<= 2", Where: "eu", Evidence: "6 loads of product:17 (tenant <t|3>) under way at once in eu at 19.412s, each asking the source for the same key"},
					{Expr: "stale{family=price} < 0.1%", Phase: slo.GroupFault, Outcome: slo.Fail, Observed: "3.6% (33 of 912 reads)", Limit: "< 0.1%", Where: "eu", Evidence: "price:\x1b[31m9 read \x00v3 | twice at 33.10s"},
				},
			},
			{
				Name: "region-split", Target: "reference", Policy: "naive", Outcome: slo.Unknown, Why: "steady p99 < 120ms missed (188ms): not judged",
				SLOs: []SLO{
					{Expr: "p99 < 120ms", Phase: slo.GroupSteady, Outcome: slo.Unknown, Observed: "188ms", Limit: "< 120ms", Why: "steady p99 < 120ms missed (188ms): not judged"},
					{Expr: "errors < 1%", Phase: slo.GroupFault, Outcome: slo.Unknown, Observed: "0% (0 of 900 operations)", Limit: "< 1%", Why: "steady p99 < 120ms missed (188ms): not judged"},
				},
			},
			{
				Name: "no-data", Outcome: slo.Fail, Why: "p50 < 1ms: observed 2ms in fault",
				SLOs: []SLO{
					{Expr: "errors < 1%", Phase: slo.GroupFault, Outcome: slo.Unknown, Limit: "< 1%", Why: "no operation of these labels ended in this phase"},
					{Expr: "p99 < 1s", Phase: slo.GroupFault, Outcome: slo.Unknown, Observed: "188ms", Limit: "< 1s", Where: "us", Why: "120 samples are too few: an upper bound on this percentile needs 299"},
					{Expr: "p50 < 1ms", Phase: slo.GroupFault, Outcome: slo.Fail, Observed: "2ms", Limit: "< 1ms"},
				},
			},
			{Name: "empty", Outcome: slo.Unknown, Why: "no objective could be judged"},
			{
				Name: "void", Outcome: slo.Unknown, Why: "fault sham left no evidence: not judged",
				SLOs: []SLO{{Expr: "violations == 0", Phase: slo.GroupAlways, Outcome: slo.Pass, Observed: "0", Limit: "== 0", Safety: true}},
			},
		},
	}.Conclude()
}

func TestGolden(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Report) error{
		"report.txt": func(w io.Writer, r Report) error {
			return Text(w, r, TextOptions{Repeat: "cachedrill run --policy naive --seed 7", Dir: "drill-out"})
		},
		"report.color.txt": func(w io.Writer, r Report) error { return Text(w, r, TextOptions{Color: true}) },
		"report.json":      JSON,
		"junit.xml":        JUnit,
		"summary.md":       Markdown,
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, write(&got, sample()))
			path := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

// The names that other tools build on, as the design lists them.
func TestJSONKeepsItsFieldNames(t *testing.T) {
	var buf bytes.Buffer
	require.NoError(t, JSON(&buf, sample()))
	var r map[string]any
	require.NoError(t, json.Unmarshal(buf.Bytes(), &r))
	require.Equal(t, "cachedrill.report/1", r["schema"])
	has(t, r, "schema", "version", "seed", "started", "outcome", "environment", "scenarios")
	has(t, r["environment"], "redis", "cpus", "go")
	s := r["scenarios"].([]any)[0].(map[string]any)
	has(t, s, "name", "target", "policy", "outcome", "recovery_s", "operations", "phases", "breakdown", "faults", "slos", "oracle", "generator")
	for _, s := range r["scenarios"].([]any) { // also of what passed, and of what nothing was observed
		has(t, s, "why")
		if rows, ok := s.(map[string]any)["slos"].([]any); ok {
			for _, o := range rows {
				has(t, o, "expr", "phase", "outcome", "observed", "evidence")
			}
		}
	}
	has(t, s["operations"], "planned", "sent", "digest")
	p := s["phases"].([]any)[0].(map[string]any)
	has(t, p, "name", "start_s", "end_s", "requests", "errors", "latency_ms", "service_ms", "hit_ratio", "miss_penalty_ms", "source_qps",
		"stampede_max", "redundant_loads", "reads", "staleness_ms", "invalidation_lag_ms")
	has(t, p["latency_ms"], "p50", "p95", "p99", "p999", "max")
	has(t, p["hit_ratio"], "l1", "l2")
	has(t, p["source_qps"], "mean", "peak")
	has(t, p["reads"], "total", "fresh", "stale", "indeterminate")
	has(t, p["staleness_ms"], "p99", "max")
	has(t, p["invalidation_lag_ms"], "p99", "max")
	has(t, s["breakdown"].([]any)[0], "labels", "requests", "latency_ms", "stale", "hit_ratio", "cache")
	has(t, s["breakdown"].([]any)[0].(map[string]any)["cache"], "reads", "hit_ratio", "miss_penalty_ms", "source_loads", "source_checks", "stale_serves",
		"lease_waits", "refreshes")
	has(t, s["breakdown"].([]any)[1], "redis_memory_max_bytes", "cross_region_bytes")
	has(t, s["breakdown"].([]any)[1].(map[string]any)["cache"], "flights", "invalidation_lag_ms", "breaker_openings", "bus_gaps")
	has(t, s["cost"], "currency", "requests", "per_million", "by")
	has(t, s["faults"].([]any)[0], "name", "injected_s", "healed_s", "evidence")
	has(t, s["oracle"], "writes", "lost_writes", "rollbacks", "leaks", "corruptions", "session_violations", "unjudged", "opportunities", "violations")
	has(t, s["generator"], "rate", "lateness_ms", "saturated")
	has(t, s["generator"].(map[string]any)["lateness_ms"], "p50", "p99", "max")

	var back Report
	require.NoError(t, json.Unmarshal(buf.Bytes(), &back))
	require.Equal(t, sample(), back, "a report survives its JSON")
}

func has(t *testing.T, object any, names ...string) {
	t.Helper()
	for _, n := range names {
		require.Contains(t, object, n)
	}
}

func TestJUnitIsValidXMLWithACaseForEveryDrill(t *testing.T) {
	r := sample()
	r.Scenarios[1].Name = "\"<&>\x01\ufffe"
	var buf bytes.Buffer
	require.NoError(t, JUnit(&buf, r))
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct {
					Message string `xml:"message,attr"`
				} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal(buf.Bytes(), &got))
	require.Len(t, got.Suites, 6)
	require.Equal(t, []int{12, 3, 6}, []int{got.Tests, got.Failures, got.Errors})
	for i, s := range got.Suites {
		bad := false
		for _, c := range s.Cases {
			bad = bad || c.Failure != nil || c.Error != nil
		}
		require.NotEmpty(t, s.Cases)
		require.Equal(t, r.Scenarios[i].Outcome != slo.Pass, bad, "a drill that did not pass shows it: %s", s.Name)
	}
	require.Equal(t, "[fault] stampede.max <= 2", got.Suites[1].Cases[0].Name)
	require.Equal(t, "steady p99 < 120ms missed (188ms): not judged", got.Suites[2].Cases[1].Error.Message)
	require.Equal(t, "drill", got.Suites[4].Cases[0].Name)
	require.False(t, strings.ContainsAny(buf.String(), "\x00\x01\x1b\ufffe"))
}

func TestWriteDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	rec := measure.NewRecorder(measure.RecorderConfig{})
	for i := range 5000 {
		at := time.Duration(i) * time.Millisecond
		rec.Observe(targets.Operation{Due: at - time.Duration(i)*time.Microsecond, Returned: at})
	}
	rec.Finish(oracle.Findings{}, 5*time.Second)
	start := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	first := rec.Intervals("mass expiry, eu", start)
	second := measure.Intervals{Tag: "other", Started: start.Add(time.Minute), Seconds: first.Seconds}
	for range 2 { // a second run replaces the first
		require.NoError(t, WriteDir(dir, sample(), first, second))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"junit.xml", "latency.hlog", "report.json", "summary.md"}, names, "no temporary file stays")

	log, err := os.Open(filepath.Join(dir, "latency.hlog"))
	require.NoError(t, err)
	defer log.Close()
	reader := hdrhistogram.NewHistogramLogReader(log)
	var tags []string
	var total, last int64
	for {
		h, err := reader.NextIntervalHistogram()
		if errors.Is(err, io.EOF) || h == nil {
			break
		}
		require.NoError(t, err)
		total += h.TotalCount()
		require.GreaterOrEqual(t, h.StartTimeMs(), last)
		last = h.StartTimeMs()
		if !slices.Contains(tags, h.Tag()) {
			tags = append(tags, h.Tag())
		}
	}
	require.EqualValues(t, 10_000, total)
	require.Equal(t, []string{"mass_expiry__eu", "other"}, tags)
	require.Equal(t, start.Add(time.Minute+4*time.Second).UnixMilli(), last)
}

// What fails to be written leaves the older file alone, and nothing else behind.
func TestWritingIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644))
	broken := errors.New("disk full")
	err := writeAtomically(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "half of a new one")
		return errors.Join(err, broken)
	})
	require.ErrorIs(t, err, broken)
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(old))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)

	require.Error(t, WriteDir(filepath.Join(path, "below a file"), sample()))
}
