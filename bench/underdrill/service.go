package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// source is the client of the source of truth: an origin, which keeps its rows in memory and takes
// about 20 ms for each of them. A load carries what was true when it was taken up, as a database's
// snapshot does.
type source struct {
	base   string
	client *http.Client
}

var errNotFound = errors.New("there is no such row")

func newSource(address string) *source {
	return &source{"http://" + address, &http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}}
}

func (s *source) do(ctx context.Context, method, key, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.base+"/items/"+key, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("asking the source: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the source's answer: %w", err)
	case resp.StatusCode == http.StatusNotFound:
		return "", errNotFound
	case resp.StatusCode >= 300:
		return "", fmt.Errorf("the source answered %s", resp.Status)
	}
	return string(text), nil
}

func (s *source) load(ctx context.Context, key string) (string, error) {
	return s.do(ctx, http.MethodGet, key, "")
}

func (s *source) write(ctx context.Context, key, value string) error {
	_, err := s.do(ctx, http.MethodPut, key, value)
	return err
}

// cached is a library as a service uses it: get reads through it, forget drops a key's copy after
// a write.
type cached struct {
	get    func(ctx context.Context, key string) (string, error)
	forget func(ctx context.Context, key string) error
}

// worker serves one cache over HTTP: reads go through the cache, writes to the source, and then
// the copy is dropped, before the write is answered.
func worker(ctx context.Context) error {
	ttl, err := strconv.Atoi(os.Getenv("TTL_MS"))
	if err != nil {
		return fmt.Errorf("TTL_MS: %w", err)
	}
	open, ok := libraries[os.Getenv("CACHE")]
	if !ok {
		return fmt.Errorf("there is no cache %q", os.Getenv("CACHE"))
	}
	src := newSource(os.Getenv("SOURCE"))
	c, err := open(setting{redis: os.Getenv("REDIS"), ttl: time.Duration(ttl) * time.Millisecond, source: src})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /items/{key}", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.get(r.Context(), r.PathValue("key"))
		answer(w, v, err)
	})
	mux.HandleFunc("PUT /items/{key}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx := context.WithoutCancel(r.Context()) // a write that has begun goes to its end
		if err = src.write(ctx, r.PathValue("key"), string(body)); err == nil {
			err = c.forget(ctx, r.PathValue("key"))
		}
		answer(w, "", err)
	})
	server := &http.Server{
		Addr: os.Getenv("LISTEN"), ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Worker", os.Getenv("LISTEN"))
			mux.ServeHTTP(w, r)
		}),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, value string, err error) {
	switch {
	case errors.Is(err, errNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case err != nil:
		log.Print(err)
		http.Error(w, "it did not work", http.StatusInternalServerError)
	default:
		_, _ = io.WriteString(w, value)
	}
}
