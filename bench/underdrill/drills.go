package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	calm   = "calm"
	cut    = "cut"
	expiry = "expiry"
)

var situations = []string{calm, cut, expiry}

// sitting is one drill of one cache.
type sitting struct {
	cache     cacheUnder
	processes int
	situation string
	seed      uint64
}

func (s sitting) name() string {
	return fmt.Sprintf("%s-%d-%s-%d", s.cache.name, s.processes, s.situation, s.seed)
}

// result is what a drill came to.
type result struct {
	Outcome   string  `json:"outcome"`
	Objective string  `json:"objective,omitempty"` // that decided
	Evidence  string  `json:"evidence,omitempty"`
	Attempts  int     `json:"attempts,omitempty"`
	Errors    float64 `json:"errors"` // share in the fault phase
	Stale     int     `json:"stale"`
	Worst     float64 `json:"worst_ms"` // staleness
	Widest    int     `json:"widest"`   // loads of one key at once
}

// results are those of the last runs, by the sittings' names.
type results struct {
	Took  string            `json:"took"`
	Lanes int               `json:"lanes"`
	Seeds int               `json:"seeds"`
	Began time.Time         `json:"began"`
	Rows  map[string]result `json:"rows"`

	mu sync.Mutex
}

func readResults(dir string) (*results, error) {
	all := &results{Rows: map[string]result{}}
	text, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, all)
}

func (r *results) write(dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.json"), text, 0o644)
}

// drill runs what is planned, in so many lanes, each with ports of its own.
func (r *results) drill(ctx context.Context, tool, dir string, plan []sitting, lanes int, until time.Time) {
	queue := make(chan sitting)
	var all sync.WaitGroup
	for lane := range lanes {
		all.Go(func() {
			for s := range queue {
				got, err := s.drill(ctx, tool, filepath.Join(dir, s.name()), 21000+100*lane)
				if err != nil {
					got = result{Outcome: "unknown", Evidence: "the drill could not be run: " + err.Error()}
				}
				fmt.Fprintf(os.Stderr, "%s %-28s %-7s %s %s\n", time.Now().Format("15:04:05"), s.name(), got.Outcome, got.Objective, got.Evidence)
				r.mu.Lock()
				r.Rows[s.name()] = got
				r.mu.Unlock()
				if err := r.write(dir); err != nil {
					fmt.Fprintln(os.Stderr, "underdrill:", err)
				}
			}
		})
	}
	for _, s := range plan {
		if ctx.Err() != nil || time.Now().After(until) {
			break
		}
		queue <- s
	}
	close(queue)
	all.Wait()
}

// ports are four that are free, from base on.
func ports(base int) (free []string, err error) {
	for p := base; len(free) < 4 && p < base+100; p++ {
		at := fmt.Sprintf("127.0.0.1:%d", p)
		l, e := net.Listen("tcp", at)
		if e != nil {
			err = e
			continue
		}
		_ = l.Close()
		free = append(free, at)
	}
	if len(free) < 4 {
		return nil, fmt.Errorf("no four ports are free from %d on: %w", base, err)
	}
	return free, nil
}

func (s sitting) drill(ctx context.Context, tool, dir string, base int) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	at, err := ports(base)
	if err != nil {
		return result{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return result{}, err
	}
	file := filepath.Join(dir, "drill.yaml")
	if err := os.WriteFile(file, []byte(s.suite(self, tool, at)), 0o644); err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, tool, "run", "-f", file, "--seed", fmt.Sprint(s.seed), "--out", dir, "--quiet", "--retry-unknown", "1")
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	output, failed := cmd.CombinedOutput()
	got, err := readReport(filepath.Join(dir, "report.json"))
	if err != nil {
		return result{}, fmt.Errorf("%w: %.300s", errors.Join(failed, err), output)
	}
	return got, nil
}

// suite is what a stranger would write for the service.
func (s sitting) suite(self, tool string, at []string) string {
	c, listen := s.cache, at[:s.processes]
	origin, admin := at[2], at[3]
	class := "class: strong"
	if d := s.cache.within(s.processes, s.situation); d > 0 {
		class = fmt.Sprintf("class: bounded, within: %s", d)
	}
	control := "max-age=1, stale-while-revalidate=1"
	if s.situation == expiry {
		control = "max-age=1"
	}
	fault, redis, redisEdge, redisEnv := "sham: {for: 2s}", "", "", ""
	if c.redis {
		redis = "  redis: {backend: process, key_prefix: \"item:\"}\n"
		redisEdge, redisEnv = "redis: {}, ", "REDIS: \"{edge.redis}\", "
	}
	switch {
	case s.situation == cut && c.redis:
		fault = "network.blackhole: {edge: redis, for: 2s}"
	case s.situation == cut:
		fault = "network.blackhole: {edge: source, for: 2s}"
	case s.situation == expiry && c.redis:
		fault = "keys.expire: {share: 100%, observe: 2s}"
	}
	return fmt.Sprintf(`# %s: %d process(es), %s
version: 1
target:
  http:
    instances: ["http://%s"]
    timeout: 2s
    read:   {GET: "/items/{key}"}
    write:  {PUT: "/items/{key}", body: "{token}"}
    bypass: {GET: "http://%s/items/{key}", headers: {X-Cachedrill-Audit: "1"}}
    answer: {token: body, worker: {header: X-Worker}}
    absent: [404]
    families: {item: {%s}}
environment:
  start: [%q, service]
  env: {CACHE: %s, %sSOURCE: "{edge.source}", ORIGIN: "%s", ORIGIN_ADMIN: "%s", LISTEN: "%s", TTL_MS: "%d", CACHE_CONTROL: "%s", CACHEDRILL: %q}
  ready: {GET: /healthz, within: 20s}
  edges: {%ssource: {upstream: "%s", protocol: http}}
%s  source_qps: {origin: "http://%s"}
workload:
  rate: 150/s
  mix: {item: {share: 100%%, keys: 40, zipf: 0.8, writes: 15%%}}
  bursts: {every: 1s, size: 2, quiet: 500ms}
phases: {warmup: 500ms, steady: 1500ms, fault: 2500ms, recovery: 2500ms}
slo:
  steady: ["errors < 5%%"]
  always: ["violations == 0", "lost_writes == 0", "corruptions == 0"]
scenarios:
  %s:
    why: A real cache, used as its documentation shows.
    faults:
      - %s
`, c.title, s.processes, s.situation, strings.Join(listen, `", "http://`), origin, class, self, c.name, redisEnv, origin, admin,
		strings.Join(listen, ","), c.life(s.situation).Milliseconds(), control, tool, redisEdge, origin, redis, admin, s.situation, fault)
}

// readReport takes what the page shows out of a report.
func readReport(path string) (result, error) {
	var doc struct {
		Scenarios []struct {
			Outcome, Why string
			Attempts     int
			SLOs         []struct{ Expr, Outcome, Observed, Evidence string }
			Phases       []struct {
				Name             string
				Requests, Errors int
				StampedeMax      *int                   `json:"stampede_max"`
				Reads            struct{ Stale int }    `json:"reads"`
				Staleness        struct{ Max *float64 } `json:"staleness_ms"`
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return result{}, err
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return result{}, err
	}
	if len(doc.Scenarios) != 1 {
		return result{}, fmt.Errorf("%s has %d scenarios", path, len(doc.Scenarios))
	}
	d := doc.Scenarios[0]
	got := result{Outcome: d.Outcome, Attempts: d.Attempts}
	for _, o := range d.SLOs {
		if o.Outcome == "fail" && got.Objective == "" {
			got.Objective, got.Evidence = o.Expr, strings.TrimSpace(o.Observed+": "+o.Evidence)
		}
	}
	if got.Objective == "" && d.Outcome != "pass" {
		got.Evidence = d.Why
	}
	for _, p := range d.Phases {
		got.Stale += p.Reads.Stale
		if p.Staleness.Max != nil {
			got.Worst = max(got.Worst, *p.Staleness.Max)
		}
		if p.StampedeMax != nil {
			got.Widest = max(got.Widest, *p.StampedeMax)
		}
		if p.Name == "fault" && p.Requests > 0 {
			got.Errors = float64(p.Errors) / float64(p.Requests)
		}
	}
	return got, nil
}
