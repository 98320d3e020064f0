package service

import (
	"context"
	"encoding/json"
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

// worker is one process's worth of the service: a cache and its HTTP face.
//
//	GET /{family}/{id}?tenant=&locale=&currency=&variant=[&past=1]   the value, or 404
//	PUT likewise, the token as the body
//
// Answers carry X-Version, X-Tier and X-Worker. An error answer to a PUT that had no effect carries
// X-Not-Applied.
type worker struct {
	name  string
	cache *reference.Cache
	at    net.Listener
	url   string
}

const (
	headVersion    = "X-Version"
	headTier       = "X-Tier"
	headWorker     = "X-Worker"
	headNotApplied = "X-Not-Applied"
)

func newWorker(ctx context.Context, name string, cfg reference.Config) (*worker, error) {
	cache, err := reference.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cache.Close()
		return nil, err
	}
	return &worker{name: name, cache: cache, at: at, url: "http://" + at.Addr().String()}, nil
}

// value is what the source stores: whose it is, and which write made it.
type value struct {
	Owner key.Name `json:"owner"`
	Token string   `json:"token"`
}

func encodeValue(n key.Name, token string) ([]byte, error) {
	b, err := json.Marshal(value{Owner: n, Token: token})
	if err != nil {
		return nil, fmt.Errorf("encoding the value of %s:%s: %w", n.Family, n.ID, err)
	}
	return b, nil
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
		w.read(rw, req, n, q.Get("past") != "")
	case http.MethodPut:
		w.write(rw, req, n)
	default:
		rw.Header().Set("Allow", "GET, PUT")
		rw.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (w *worker) read(rw http.ResponseWriter, req *http.Request, n key.Name, past bool) {
	get := w.cache.Get
	if past {
		get = func(ctx context.Context, n key.Name) (reference.Answer, error) { return w.cache.GetPast(ctx, n, true) }
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

func (w *worker) write(rw http.ResponseWriter, req *http.Request, n key.Name) {
	notApplied := func(err error) {
		rw.Header().Set(headNotApplied, "1")
		refuse(rw, err)
	}
	token, err := io.ReadAll(io.LimitReader(req.Body, 4096))
	if err != nil {
		notApplied(err)
		return
	}
	v, err := encodeValue(n, string(token))
	if err != nil {
		notApplied(err)
		return
	}
	r, err := w.cache.Put(req.Context(), n, v, string(token))
	switch {
	case errors.Is(err, source.ErrNotApplied):
		notApplied(err)
	case err != nil:
		refuse(rw, err)
	default:
		rw.Header().Set(headVersion, strconv.FormatUint(r.Version, 10))
		rw.WriteHeader(http.StatusNoContent)
	}
}

func refuse(rw http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	if errors.Is(err, reference.ErrFamily) {
		code = http.StatusNotFound
	}
	http.Error(rw, err.Error(), code)
}

// Doors implements [targets.Doored].
func (s *Service) Doors() []string {
	var doors []string
	for _, r := range s.regions {
		for _, w := range r.workers {
			doors = append(doors, w.name)
		}
	}
	return append(doors, targets.SourceDoor)
}

// worker finds who answers a request: workers of the client's region in turn, unless a door is named.
func (s *Service) worker(r targets.Request) (*worker, error) {
	if w, ok := s.byDoor[r.Door]; ok {
		return w, nil
	}
	if r.Door != "" && r.Door != targets.SourceDoor {
		return nil, fmt.Errorf("no worker is named %q", r.Door)
	}
	reg, ok := s.byRegion[r.Region]
	if !ok {
		reg = s.regions[0]
		if r.Region != "" {
			return nil, fmt.Errorf("no region is named %q", r.Region)
		}
	}
	return reg.workers[reg.next.Add(1)%uint64(len(reg.workers))], nil
}

// Do implements [targets.Target] over HTTP.
func (s *Service) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	w, err := s.worker(r)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
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
	if r.Door == targets.SourceDoor {
		u.WriteByte(sep)
		u.WriteString("past=1")
	}
	if r.Kind == targets.Write {
		return http.NewRequestWithContext(ctx, http.MethodPut, u.String(), strings.NewReader(r.Token))
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
	if r.Kind == targets.Write {
		reply.Token = r.Token
		return reply, nil
	}
	var v value
	if err := json.Unmarshal(body, &v); err != nil {
		return reply, fmt.Errorf("the answer's body: %w", err)
	}
	reply.Token, reply.Owner = v.Token, targets.Key(v.Owner)
	return reply, nil
}
