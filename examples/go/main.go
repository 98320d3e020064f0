// The shop of this folder serves products with net/http, and caches them in Redis with go-redis and
// nothing else: cache-aside, as small as it can be while a drill finds nothing wrong. With
// -forget-floor it stores what it has loaded without a look at what was written meanwhile, which is
// how most do it, and is found guilty of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:18095", "address to listen at")
	forget := flag.Bool("forget-floor", os.Getenv("FORGET_FLOOR") != "", "store loads without a look at what was written meanwhile")
	flag.Parse()
	s := newShop(os.Getenv("REDIS"), *forget)
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(l))
}

type shop struct {
	cache *cache
	db    *database
}

func newShop(redisAt string, forget bool) *shop {
	db := newDatabase(50*time.Millisecond, 20)
	return &shop{db: db, cache: &cache{
		db: db, forget: forget, ttl: 10 * time.Second,
		// Without limits of time a Redis that has gone silent takes every request with it; a
		// command that is tried again waits again.
		redis: redis.NewClient(&redis.Options{Addr: redisAt, DialTimeout: redisPatience, ReadTimeout: redisPatience,
			WriteTimeout: redisPatience, PoolTimeout: redisPatience, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1}),
		loads: map[string]*load{}, owed: map[string]product{},
	}}
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE db_queries_total counter\ndb_queries_total %d\n", s.db.queries.Load())
	})
	mux.HandleFunc("GET /products/{id}", s.read)
	mux.HandleFunc("PUT /products/{id}", s.write)
	return mux
}

func key(r *http.Request) string { return r.URL.Query().Get("tenant") + ":" + r.PathValue("id") }

func (s *shop) read(w http.ResponseWriter, r *http.Request) {
	var p product
	var tier string
	var err error
	if r.URL.Query().Get("fresh") != "" {
		p, err = s.db.read(r.Context(), key(r))
		tier = "BYPASS"
	} else {
		p, tier, err = s.cache.get(r.Context(), key(r))
	}
	w.Header().Set("X-Cache", tier)
	switch {
	case errors.Is(err, errBusy):
		http.Error(w, "try later", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case p.Version == 0:
		http.NotFound(w, r)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"title": p.Title, "version": p.Version, "tenant": r.URL.Query().Get("tenant")})
	}
}

func (s *shop) write(w http.ResponseWriter, r *http.Request) {
	var in struct{ Title string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// A write that has begun goes to its end, also when its client has gone: or its copy would
	// stay.
	ctx := context.WithoutCancel(r.Context())
	switch err := s.cache.put(ctx, key(r), in.Title); {
	case errors.Is(err, errBusy):
		http.Error(w, "try later", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
