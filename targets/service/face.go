package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// The HTTP face of a worker:
//
//	GET    /{family}/{id}?tenant=&locale=&currency=&variant=[&bypass=1]   the value, or 404
//	PUT    likewise, the token as the body
//	DELETE likewise
//
// Answers carry X-Version, X-Tier and X-Worker. An error answer to a PUT or DELETE that had no
// effect carries X-Not-Applied.
const (
	headVersion    = "X-Version"
	headTier       = "X-Tier"
	headWorker     = "X-Worker"
	headNotApplied = "X-Not-Applied"
)

// mostToken is how long a write's token may be.
const mostToken = 4096

var errLong = fmt.Errorf("the token is longer than %d bytes", mostToken)

func (w *worker) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	family, id, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if !ok || id == "" {
		http.NotFound(rw, req)
		return
	}
	q := req.URL.Query()
	n := key.Name{Family: family, ID: id, Tenant: q.Get("tenant"), Locale: q.Get("locale"),
		Currency: q.Get("currency"), Variant: q.Get("variant")}
	rw.Header().Set(headWorker, w.name)
	switch req.Method {
	case http.MethodGet:
		w.read(rw, req, n, q.Get("bypass") != "")
	case http.MethodPut, http.MethodDelete:
		w.change(rw, req, n)
	default:
		rw.Header().Set("Allow", "GET, PUT, DELETE")
		rw.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (w *worker) read(rw http.ResponseWriter, req *http.Request, n key.Name, bypass bool) {
	get := w.cache.Get
	if bypass {
		get = func(ctx context.Context, n key.Name) (reference.Answer, error) {
			return w.cache.GetBypass(ctx, n, true)
		}
	}
	a, err := get(req.Context(), n)
	if err != nil {
		refuse(rw, err)
		return
	}
	rw.Header().Set(headTier, string(a.Tier))
	if a.Absent {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	rw.Header().Set(headVersion, strconv.FormatUint(a.Version, 10))
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write(a.Value)
}

func (w *worker) change(rw http.ResponseWriter, req *http.Request, n key.Name) {
	r, err := w.store(req, n)
	if err != nil {
		if errors.Is(err, source.ErrNotApplied) {
			rw.Header().Set(headNotApplied, "1")
		}
		refuse(rw, err)
		return
	}
	rw.Header().Set(headVersion, strconv.FormatUint(r.Version, 10))
	rw.WriteHeader(http.StatusNoContent)
}

func (w *worker) store(req *http.Request, n key.Name) (source.Record, error) {
	if req.Method == http.MethodDelete {
		return w.apply(req.Context(), targets.Delete, n, "")
	}
	token, err := io.ReadAll(io.LimitReader(req.Body, mostToken+1))
	if err == nil && len(token) > mostToken {
		err = errLong
	}
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return w.apply(req.Context(), targets.Write, n, string(token))
}

func refuse(rw http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, reference.ErrFamily):
		code = http.StatusNotFound
	case errors.Is(err, key.ErrName):
		code = http.StatusBadRequest
	case errors.Is(err, errLong):
		code = http.StatusRequestEntityTooLarge
	}
	http.Error(rw, err.Error(), code)
}
