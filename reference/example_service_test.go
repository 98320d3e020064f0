package reference_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/metrics"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// families are the same in every process of the service.
var families = []reference.Family{
	{
		Schema:   key.Schema{Family: "product", Version: 1, Vary: []key.Dimension{key.Tenant, key.Locale}},
		Contract: policy.Family{Class: policy.Bounded, Within: 10 * time.Second, TTL: 10 * time.Second},
	},
	{
		Schema:   key.Schema{Family: "price", Version: 1, Vary: []key.Dimension{key.Tenant}},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Minute},
	},
}

// shop is one process of the service.
type shop struct {
	http.ServeMux
	cache *reference.Cache
	close func()
}

// newShop wires a process. feed is the commit log of db: with package source/postgres both are the
// same value.
func newShop(ctx context.Context, db source.Source, feed source.Feed, redisAddr string) (*shop, error) {
	p := policy.Recommended()
	client := reference.NewClient(redisAddr, p)
	shared := store.NewRedis(client)
	m := metrics.New(metrics.Config{Region: "eu", Families: []string{"product", "price"}})
	m.Policy(p.Name)
	registry := prometheus.NewRegistry() // prometheus.DefaultRegisterer has Go's own metrics too
	registry.MustRegister(m)

	cache, err := reference.New(ctx, reference.Config{Region: "eu", Policy: p, Families: families, Source: db, Shared: shared, Observer: m})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}

	// The relay and the beat tell all workers of the region of every write.
	into := reference.NewInvalidator(p, families, shared)
	relay := invalidation.NewRelay(invalidation.Config{Region: "eu", Log: feed, All: true,
		Deliver: func(ctx context.Context, e invalidation.Event) error { return into.Apply(ctx, e.Name, e.Version, e.At) }})
	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = relay.Run(life, nil) })
	running.Go(func() { into.Heartbeat(life) })

	s := &shop{cache: cache, close: func() { // what uses comes before what is used
		end()
		running.Wait()
		cache.Close()
		_ = client.Close()
	}}
	s.HandleFunc("GET /{family}/{id}", s.get)
	s.HandleFunc("PUT /{family}/{id}", s.put)
	s.HandleFunc("DELETE /{family}/{id}", s.delete)
	s.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return s, nil
}

func nameOf(r *http.Request) key.Name {
	q := r.URL.Query()
	return key.Name{Family: r.PathValue("family"), ID: r.PathValue("id"), Tenant: q.Get("tenant"), Locale: q.Get("locale")}
}

// patience bounds what one request waits.
const patience = 2 * time.Second

func (s *shop) get(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	a, err := s.cache.Get(ctx, nameOf(r))
	switch {
	case err != nil:
		fail(w, err)
	case a.Absent:
		http.Error(w, "there is none", http.StatusNotFound)
	default:
		w.Header().Set("X-Tier", string(a.Tier))
		_, _ = w.Write(a.Value)
	}
}

func (s *shop) put(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	if _, err := s.cache.Put(ctx, nameOf(r), value, r.Header.Get("X-Request-Id")); err != nil {
		failWrite(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *shop) delete(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if _, err := s.cache.Delete(ctx, nameOf(r)); err != nil {
		failWrite(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// failWrite tells the client whether it can repeat its write without a second thought.
func failWrite(w http.ResponseWriter, err error) {
	if errors.Is(err, source.ErrNotApplied) {
		w.Header().Set("X-Not-Applied", "1")
	}
	fail(w, err)
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable // no honest answer in time: shed, a source that is away, a cache that is closed
	switch {
	case errors.Is(err, key.ErrName):
		status = http.StatusBadRequest
	case errors.Is(err, reference.ErrFamily):
		status = http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	http.Error(w, err.Error(), status)
}

// A service over net/http: two families, reads, writes, metrics, errors, and an orderly end.
func Example_service() {
	redis, err := miniredis.Run()
	if err != nil {
		log.Panic(err)
	}
	defer redis.Close()
	database, err := source.NewModel(source.ModelConfig{Servers: 10})
	if err != nil {
		log.Panic(err)
	}
	defer database.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := newShop(ctx, database, database.Log(), redis.Addr())
	if err != nil {
		log.Panic(err)
	}
	server := httptest.NewServer(s) // a service: http.Server, and Shutdown on SIGTERM
	client := server.Client()

	ask := func(method, path, body string) {
		req, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
		if err != nil {
			log.Panic(err)
		}
		res, err := client.Do(req)
		if err != nil {
			log.Panic(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if path == "/metrics" {
			text = regexp.MustCompile(`cachedrill_reads_total.*product.*l1.*`).Find(text)
		}
		fmt.Println(strings.Fields(fmt.Sprintf("%s %s %d %s %s", method, path, res.StatusCode, res.Header.Get("X-Tier"), text)))
	}
	ask("PUT", "/product/17?tenant=acme&locale=en", "a red chair")
	ask("GET", "/product/17?tenant=acme&locale=en", "")
	ask("GET", "/product/17?tenant=acme&locale=en", "")
	ask("PUT", "/price/17?tenant=acme", "12.50")
	ask("GET", "/price/17?tenant=acme", "")
	ask("DELETE", "/price/17?tenant=acme", "")
	ask("GET", "/price/17?tenant=acme", "")
	ask("GET", "/product/17?tenant=acme", "")
	ask("GET", "/basket/17?tenant=acme", "")
	ask("GET", "/metrics", "")

	// The end, in this order: no more requests, then the shop, and the source last.
	server.Close()
	s.close()
	// Output:
	// [PUT /product/17?tenant=acme&locale=en 204]
	// [GET /product/17?tenant=acme&locale=en 200 source a red chair]
	// [GET /product/17?tenant=acme&locale=en 200 l1 a red chair]
	// [PUT /price/17?tenant=acme 204]
	// [GET /price/17?tenant=acme 200 source 12.50]
	// [DELETE /price/17?tenant=acme 204]
	// [GET /price/17?tenant=acme 404 there is none]
	// [GET /product/17?tenant=acme 400 key of family product: locale is missing]
	// [GET /basket/17?tenant=acme 404 unknown family "basket"]
	// [GET /metrics 200 cachedrill_reads_total{family="product",region="eu",tier="l1"} 1]
}
