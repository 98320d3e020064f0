package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
// Answers carry X-Version, X-Tier and X-Worker. An error answer to a PUT or DELETE that had no effect carries
// X-Not-Applied.
const (
	headVersion    = "X-Version"
	headTier       = "X-Tier"
	headWorker     = "X-Worker"
	headNotApplied = "X-Not-Applied"
)

// mostToken is how long a write's token may be.
const mostToken = 4096

var errLong = fmt.Errorf("the token is longer than %d bytes", mostToken)

// listen opens the worker's HTTP port.
func (w *worker) listen() (err error) {
	if w.at, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	w.url = "http://" + w.at.Addr().String()
	return nil
}

// URLs gives where the workers of each region listen, once the service has been made; empty ones of a service without HTTP.
func (s *Service) URLs() map[string][]string {
	all := map[string][]string{}
	for _, r := range s.regions {
		for _, w := range r.workers {
			all[r.name] = append(all[r.name], w.url)
		}
	}
	return all
}

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

// overHTTP asks a worker.
func (s *Service) overHTTP(ctx context.Context, w *worker, r targets.Request) (targets.Reply, error) {
	req, err := newRequest(ctx, w, r)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	res, err := s.http.RoundTrip(req)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("asking %s: %w", w.name, err)
	}
	defer res.Body.Close()
	return readReply(r, res)
}

func newRequest(ctx context.Context, w *worker, r targets.Request) (*http.Request, error) {
	var u strings.Builder
	u.WriteString(w.url)
	u.WriteByte('/')
	u.WriteString(url.PathEscape(r.Key.Family))
	u.WriteByte('/')
	u.WriteString(url.PathEscape(r.Key.ID))
	sep := byte('?')
	for _, d := range key.Dimensions {
		if v := d.Of(key.Name(r.Key)); v != "" {
			u.WriteByte(sep)
			u.WriteString(string(d))
			u.WriteByte('=')
			u.WriteString(url.QueryEscape(v))
			sep = '&'
		}
	}
	if r.Instance == targets.SourceInstance {
		u.WriteByte(sep)
		u.WriteString("bypass=1")
	}
	switch r.Kind {
	case targets.Write:
		return http.NewRequestWithContext(ctx, http.MethodPut, u.String(), strings.NewReader(r.Token))
	case targets.Delete:
		return http.NewRequestWithContext(ctx, http.MethodDelete, u.String(), nil)
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

func readReply(r targets.Request, res *http.Response) (targets.Reply, error) {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	reply := targets.Reply{Tier: res.Header.Get(headTier), Worker: res.Header.Get(headWorker)}
	switch {
	case res.StatusCode == http.StatusNotFound && reply.Tier != "":
		reply.Absent = true
		return reply, nil
	case res.StatusCode >= 300:
		err := fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body)))
		if res.Header.Get(headNotApplied) != "" {
			err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
		}
		return reply, err
	}
	if reply.Version, err = strconv.ParseUint(res.Header.Get(headVersion), 10, 64); err != nil {
		return reply, fmt.Errorf("the answer's %s: %w", headVersion, err)
	}
	if r.Kind.Changes() {
		reply.Token, reply.Absent = r.Token, r.Kind == targets.Delete
		return reply, nil
	}
	if reply.Token, reply.Owner, err = decodeValue(body); err != nil {
		return reply, fmt.Errorf("the answer's body: %w", err)
	}
	return reply, nil
}
