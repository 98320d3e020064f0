// Package origin is a source of truth that speaks HTTP: a cache of any make is pointed at it
// instead of its own backend, and it tells what reached it. Objects have versions; answers take
// time, wait for a server, or are shed, as a database's do; every load and every commit is kept for
// a while and listed on request, with times on one monotonic clock.
//
// [Origin] is the server, [Client] follows one from elsewhere and gives the times on the clock of
// the harness.
//
// It has a queue of its own rather than the one of reference/source: that one's commit log keeps
// everything, and an origin runs for as long as the cache before it does.
package origin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Headers of the origin.
const (
	VersionHeader = "X-Version"          // of an answer: the object's version, from 1; 0: it never existed
	AuditHeader   = "X-Cachedrill-Audit" // of a read: 1 says that it is no part of the workload
)

// Bounds of what one request may bring.
const (
	MaxPath = 2048    // characters of path and query
	MaxBody = 1 << 20 // bytes
)

// statusGone is the status of a [Load] whose client was gone before the answer. It is never sent.
const statusGone = 499

// Origin is a source of truth. It is made with [New], and safe for concurrent use.
type Origin struct {
	cfg     Config
	id      string    // of this run of it: versions of another run mean other things
	start   time.Time // of its clock
	queue   *queue
	shelf   *shelf
	under   *underWay
	loads   *ring[Load]
	commits *ring[Commit]
	metrics *metrics

	following atomic.Int64    // requests that wait for news
	life      context.Context // ends them
	end       context.CancelFunc
}

// New makes an origin without objects. Its clock starts now.
func New(cfg Config) (*Origin, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	o := &Origin{cfg: cfg, id: hex.EncodeToString(id[:]), start: time.Now(), under: &underWay{paths: map[string]int{}}}
	o.queue = newQueue(cfg)
	o.loads = newRing[Load](cfg.Keep, o.now)
	o.commits = newRing[Commit](cfg.Keep, o.now)
	o.shelf = &shelf{objects: map[string]object{}, commits: o.commits, mostObjects: cfg.MaxObjects, mostBytes: cfg.MaxBytes}
	o.metrics = newMetrics(o)
	o.life, o.end = context.WithCancel(context.Background())
	return o, nil
}

// Close ends the requests that wait for news. Requests for objects end by themselves.
func (o *Origin) Close() { o.end() }

// now is the origin's clock: nanoseconds since its start, monotonic.
func (o *Origin) now() int64 { return int64(time.Since(o.start)) }

// ServeHTTP answers for the objects: GET and HEAD, PUT, DELETE of any path. Path and query
// together, as they were asked for, name the object: /a//b is not /a/b, and ?x=1&y=2 is not
// ?y=2&x=1, as a cache whose key is the URI has it.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.RequestURI()
	switch {
	case len(path) > MaxPath:
		o.refuse(w, http.StatusRequestURITooLong, "path and query have %d characters; %d are the most", len(path), MaxPath)
		return
	case !strings.HasPrefix(path, "/") || strings.IndexFunc(path, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0:
		o.refuse(w, http.StatusBadRequest, "a path begins with / and is printable ASCII; percent-encode the rest")
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		o.read(w, r, path)
	case http.MethodPut:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		var tooLong *http.MaxBytesError
		switch {
		case errors.As(err, &tooLong):
			o.refuse(w, http.StatusRequestEntityTooLarge, "the body has more than %d bytes", MaxBody)
		case err != nil:
			o.refuse(w, http.StatusBadRequest, "the body did not arrive whole: %v", err)
		default:
			o.write(w, r, path, object{body: body, kind: r.Header.Get("Content-Type")})
		}
	case http.MethodDelete:
		o.write(w, r, path, object{deleted: true})
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, DELETE")
		o.refuse(w, http.StatusMethodNotAllowed, "%s is not understood: GET, HEAD, PUT and DELETE are", r.Method)
	}
}

// read answers a load. It carries the object of the moment at which a server took it up; the
// service time passes after that, as in a database whose snapshot is taken at the start of a query.
// So a slow load can bring what was superseded meanwhile.
func (o *Origin) read(w http.ResponseWriter, r *http.Request, path string) {
	condition := r.Header.Get("If-None-Match")
	l := Load{Path: path, Head: r.Method == http.MethodHead, Conditional: condition != "", Audit: r.Header.Get(AuditHeader) == "1"}
	var obj object
	var err error
	switch {
	case l.Audit: // takes no place of anybody's
		l.Arrived = o.now()
		obj = o.shelf.get(path)
	default:
		l.Arrived, l.Width = o.under.arrive(path, l.Head, o.now)
		o.metrics.arrived(l)
		taken := int64(-1)
		err = o.queue.serve(r.Context(), func() { taken, obj = o.now(), o.shelf.get(path) })
		if taken < 0 {
			taken = o.now() // it went away
		}
		l.Queued = taken - l.Arrived
		o.under.leave(path, l.Head)
	}
	switch {
	case errors.Is(err, errShed):
		l.Status = http.StatusServiceUnavailable
	case err != nil:
		l.Status = statusGone
	case obj.version == 0 || obj.deleted:
		l.Status, l.Version = http.StatusNotFound, obj.version
	case matches(condition, o.tag(obj)):
		l.Status, l.Version = http.StatusNotModified, obj.version
	default:
		l.Status, l.Version = http.StatusOK, obj.version
	}
	// A client that has the answer finds the load in the list.
	l = o.loads.add(func(n uint64, now int64) Load { l.N, l.Done = n, now; return l })
	o.metrics.ended(l)
	o.answer(w, l, obj)
}

// answer sends what a load found.
func (o *Origin) answer(w http.ResponseWriter, l Load, obj object) {
	switch l.Status {
	case statusGone:
		panic(http.ErrAbortHandler) // or an empty 200 would go out, should anybody listen after all
	case http.StatusServiceUnavailable:
		o.shed(w)
		return
	}
	h := w.Header()
	h.Set(VersionHeader, strconv.FormatUint(l.Version, 10))
	if o.cfg.CacheControl != "" {
		h.Set("Cache-Control", o.cfg.CacheControl)
	}
	if l.Status == http.StatusNotFound {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(l.Status)
		_, _ = io.WriteString(w, "there is no such object\n")
		return
	}
	h.Set("ETag", o.tag(obj))
	h.Set("Last-Modified", obj.at.UTC().Format(http.TimeFormat))
	if l.Status == http.StatusNotModified {
		w.WriteHeader(l.Status)
		return
	}
	h.Set("Content-Type", obj.kind)
	h.Set("Content-Length", strconv.Itoa(len(obj.body)))
	w.WriteHeader(l.Status)
	_, _ = w.Write(obj.body)
}

// write commits obj at the end of its service time, and gives its version. A client that gave up
// before that left no effect.
func (o *Origin) write(w http.ResponseWriter, r *http.Request, path string, obj object) {
	if obj.kind == "" {
		obj.kind = "application/octet-stream"
	}
	err := o.queue.serve(r.Context(), func() {})
	if err == nil {
		obj, err = o.shelf.commit(path, obj)
	}
	var full *fullError
	switch {
	case errors.Is(err, errShed):
		o.metrics.refused.Inc()
		o.shed(w)
		return
	case errors.As(err, &full):
		o.refuse(w, http.StatusInsufficientStorage, "%v", full)
		return
	case err != nil:
		panic(http.ErrAbortHandler) // the caller has gone, and there was no effect
	}
	o.metrics.wrote(obj)
	h := w.Header()
	h.Set(VersionHeader, strconv.FormatUint(obj.version, 10))
	if !obj.deleted {
		h.Set("ETag", o.tag(obj))
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// shed turns a request away because the queue is full.
func (o *Origin) shed(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.FormatInt(o.queue.patience(), 10))
	o.refuse(w, http.StatusServiceUnavailable, "the queue is full: %d wait", o.cfg.Queue)
}

// refuse answers with an error, which no cache may keep: some keep every answer whose Cache-Control
// lets them.
func (o *Origin) refuse(w http.ResponseWriter, status int, format string, a ...any) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, fmt.Sprintf(format, a...), status)
}

// tag is the object's entity tag: another one for each version, and in each run of the origin.
func (o *Origin) tag(obj object) string { return fmt.Sprintf(`"%d-%s"`, obj.version, o.id) }

// matches says whether the value of If-None-Match names the tag.
func matches(condition, tag string) bool {
	for one := range strings.SplitSeq(condition, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
