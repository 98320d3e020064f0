package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler is the process's HTTP face: that of a worker, and
//
//	GET /healthz   200 while the process lives
//	GET /readyz    200 while the source answers and the process is not about to end, else 503;
//	               Redis is reported, not required
//	GET /metrics   for Prometheus
func (p *Process) Handler() http.Handler {
	face := &worker{name: p.cfg.Name, cache: switchable{p}, encode: p.cfg.Spec.encodeValue}
	scrape := promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{Registry: p.registry})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { // no mux: it would rewrite ids
		switch path := req.URL.Path; {
		case path == "/healthz":
			w.WriteHeader(http.StatusOK)
		case path == "/readyz":
			p.ready(w, req)
		case path == "/metrics" && !p.cfg.Unobserved:
			scrape.ServeHTTP(w, req)
		default:
			face.ServeHTTP(w, req)
		}
	})
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool              `json:"ready"`
	Why    string            `json:"why,omitempty"` // not ready
	Source string            `json:"source"`
	Redis  string            `json:"redis"`
	Pools  map[string]string `json:"pools,omitempty"` // likewise
	Region string            `json:"region"`
	Policy string            `json:"policy"`
}

func (p *Process) ready(w http.ResponseWriter, req *http.Request) {
	answer := readiness{Ready: true, Source: "ok", Redis: "ok", Region: p.cfg.Region, Policy: p.Policy().Name}
	ctx, cancel := context.WithTimeout(req.Context(), probeTimeout)
	defer cancel()
	redis := make(chan map[string]error, 1)
	go func() { redis <- p.probes.ping(ctx) }()
	if err := p.readClock(ctx); err != nil {
		answer.Ready, answer.Why, answer.Source = false, "the source does not answer", err.Error()
	}
	for pool, err := range <-redis {
		how := "ok"
		if err != nil {
			how = err.Error()
		}
		if pool == "" {
			answer.Redis = how
			continue
		}
		if answer.Pools == nil {
			answer.Pools = map[string]string{}
		}
		answer.Pools[pool] = how
	}
	if p.draining.Load() {
		answer.Ready, answer.Why = false, "the process is about to end"
	}
	code := http.StatusOK
	if !answer.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

// RedisAnswers asks each Redis, and gives the error of each, by pool; "" is the region's own.
func (p *Process) RedisAnswers(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.probes.ping(ctx)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// state is the answer of /policy.
type state struct {
	Policy   string   `json:"policy"`
	Previous string   `json:"previous"`
	Known    []string `json:"known"`
	TookMS   float64  `json:"took_ms,omitempty"`
}

// Admin is the operators' HTTP face; find gives a policy by its name, and known lists the names:
//
//	GET  /policy              which policy it follows
//	POST /policy?name=NAME    follow another; see [Process.SwitchPolicy]
//	POST /policy?rollback=1   go back to the one before
//
// It has no authentication, and refuses requests that a page of another site makes a browser send.
func (p *Process) Admin(find func(name string) (Policy, error), known []string) http.Handler {
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, took time.Duration) {
		p.switching.Lock()
		s := state{p.Policy().Name, p.previous.Name, known, float64(took.Microseconds()) / 1000}
		p.switching.Unlock()
		writeJSON(w, http.StatusOK, s)
	}
	mux.HandleFunc("GET /policy", func(w http.ResponseWriter, _ *http.Request) { show(w, 0) })
	mux.HandleFunc("POST /policy", func(w http.ResponseWriter, req *http.Request) {
		began := time.Now()
		name, back := req.FormValue("name"), req.FormValue("rollback") != ""
		var err error
		switch {
		case back == (name != ""):
			http.Error(w, "either name=NAME or rollback=1", http.StatusBadRequest)
			return
		case back:
			err = p.Rollback(req.Context())
		default:
			to, unknown := find(name)
			if unknown != nil {
				http.Error(w, unknown.Error(), http.StatusNotFound)
				return
			}
			err = p.SwitchPolicy(req.Context(), to)
		}
		if err != nil {
			code := http.StatusServiceUnavailable
			if errors.Is(err, ErrSwitch) {
				code = http.StatusConflict
			}
			http.Error(w, err.Error(), code)
			return
		}
		show(w, time.Since(began))
	})
	return http.NewCrossOriginProtection().Handler(mux)
}
