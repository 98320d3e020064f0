package http

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} in a text by variables of the environment.
func expand(text string) (string, error) {
	var missing error
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		v, ok := os.LookupEnv(name)
		if !ok {
			missing = fmt.Errorf("the environment has no variable %s", name)
		}
		return v
	})
	return out, missing
}

func newTransport(spec *Spec) (*nethttp.Transport, error) {
	t := &nethttp.Transport{
		MaxIdleConns: 0, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: idleFor,
		DisableCompression: true, // the service should do the work that its users cause
		DialContext:        spec.DialContext,
		Protocols:          new(nethttp.Protocols),
	}
	if spec.HTTP2 {
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
	}
	if spec.CA != "" {
		pem, err := os.ReadFile(spec.CA)
		if err != nil {
			return nil, fmt.Errorf("reading ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading ca: %s holds no certificate", spec.CA)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// talk sends one request, and gives the answer to understand.
func (s *Service) talk(ctx context.Context, call *Call, f *Family, r *targets.Request, name string, understand func(*nethttp.Request, *received) error) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	req, err := s.request(ctx, call, f, base, r, name)
	if err != nil {
		return fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	answer, err := s.send(req, b)
	if err != nil {
		return err
	}
	return limited(answer, understand(req, answer))
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// request builds the request of a call.
func (s *Service) request(ctx context.Context, c *Call, f *Family, base *url.URL, r *targets.Request, name string) (*nethttp.Request, error) {
	common := s.headers
	if c.Base != "" {
		own, err := url.Parse(c.Base)
		if err != nil {
			return nil, err
		}
		if base = own; !s.at(own.Hostname()) {
			common = nethttp.Header{"User-Agent": common["User-Agent"]} // the others are for the service
		}
	}
	with, err := s.filling(f, r, name)
	if err != nil {
		return nil, err
	}
	var room [256]byte
	u, err := locate(base, string(c.Target.fill(room[:0], with)))
	if err != nil {
		return nil, err
	}
	req := (&nethttp.Request{
		Method: c.Method, URL: u, Host: base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: common,
		Body: once{noBody{}}, TransferEncoding: asIs,
	}).WithContext(ctx)
	if len(c.Headers) > 0 || c.Type != "" {
		req.Header = common.Clone()
		for _, h := range c.Headers { // the call's own line replaces the common one
			req.Header[h.name] = []string{string(h.value.fill(nil, with))}
			if h.name == "Host" {
				req.Host = req.Header[h.name][0]
			}
		}
		if c.Type != "" {
			req.Header["Content-Type"] = []string{c.Type}
		}
	}
	switch {
	case c.Body == nil && !repeatable(req):
		req.Body, req.TransferEncoding = nil, nil // and Content-Length: 0 where the method has bodies
	case c.Body != nil:
		body := c.Body.fill(nil, with)
		req.Body, req.ContentLength = once{bytes.NewReader(body)}, int64(len(body))
		req.TransferEncoding = nil
	}
	return req, nil
}

// send makes one exchange. b holds the answer's body.
func (s *Service) send(req *nethttp.Request, b *bytes.Buffer) (*received, error) {
	res, err := s.client.RoundTrip(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" { // it never got there
			s.short.note(err)
			err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
		}
		return nil, fmt.Errorf("%s: %w", named(req), plainly(err))
	}
	defer res.Body.Close()
	s.denied.note(res.StatusCode)
	n, err := b.ReadFrom(io.LimitReader(res.Body, s.spec.MostBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading the answer: %w", named(req), plainly(err))
	}
	if n > s.spec.MostBody {
		return nil, &GarbledError{Why: fmt.Sprintf("%s: it is longer than %d bytes (max_body)", named(req), s.spec.MostBody)}
	}
	body := b.Bytes()
	if codings := res.Header["Content-Encoding"]; len(codings) > 0 {
		if body, err = unpacked(codings, body, s.spec.MostBody); err != nil {
			return nil, fmt.Errorf("%s: %w", named(req), err)
		}
	}
	return &received{status: res.StatusCode, header: res.Header, body: body}, nil
}

var errNoAnswer = errors.New("no answer in time")

// plainly replaces a deadline's error by a plainer one.
func plainly(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, targets.ErrNotApplied) {
		return errNoAnswer
	}
	return err
}

// named gives a request as errors show it: without headers and query, which may hold secrets.
func named(req *nethttp.Request) string {
	path, _, _ := strings.Cut(req.URL.Opaque, "?")
	return req.Method + " " + cmp.Or(path, req.URL.Path)
}

func good(status int) bool { return status >= 200 && status < 300 }

// changed decodes the answer to a write or delete; nil: the change was made.
func (f *Family) changed(r *targets.Request, req *nethttp.Request, a *received) error {
	switch {
	case f.Shed.has(a.status):
		return fmt.Errorf("%w: %s: turned away with %d", targets.ErrNotApplied, named(req), a.status)
	case f.Rejected.has(a.status):
		return fmt.Errorf("%w: %s: rejected with %d: %s", targets.ErrNotApplied, named(req), a.status, a.shown())
	case good(a.status), f.Accepted.has(a.status):
		if why := f.undone(a); why != "" {
			return fmt.Errorf("%s: %d: %w: %s; it begins with %s", named(req), a.status, errUndone, why, a.shown())
		}
		return nil
	case r.Kind == targets.Delete && f.Absent.has(a.status):
		return nil
	}
	return unexpected(req, a)
}

// undone says why an answer with a good status does not mean that a change was made; empty: it
// does.
func (f *Family) undone(a *received) string {
	if len(f.Done) == 0 && a.carriesErrors() {
		return "it carries errors"
	}
	for _, c := range f.Done {
		if !c.holds(a) {
			return "it is not so that " + c.String()
		}
	}
	return ""
}

var errUndone = errors.New("the answer does not mean that the change was made")

// readFrom decodes the answer to a read.
func (f *Family) readFrom(r *targets.Request, req *nethttp.Request, a *received, tokens *targets.Tokens) (targets.Reply, error) {
	switch {
	case f.Absent.has(a.status), good(a.status) && f.Absent.holds(a):
		reply := targets.Reply{Absent: true}
		reply.Tier, reply.Worker = f.Answer.origin(a)
		return reply, nil
	case f.Shed.has(a.status):
		return targets.Reply{}, fmt.Errorf("%s: turned away with %d", named(req), a.status)
	case good(a.status):
		reply, err := f.Answer.read(a, r.Key, tokens)
		if err != nil {
			return targets.Reply{}, fmt.Errorf("%s: %w", named(req), err)
		}
		return reply, nil
	}
	return targets.Reply{}, unexpected(req, a)
}

func unexpected(req *nethttp.Request, a *received) error {
	if a.status >= 300 && a.status < 400 {
		return fmt.Errorf("%s: %d: a redirect, which drills don't follow", named(req), a.status)
	}
	return fmt.Errorf("%s: %d: %s", named(req), a.status, a.shown())
}

// locate is the URL of a path and query at an instance. A target that needs no escape goes out as
// it is: scanning it costs less than parsing it and putting it together again.
func locate(base *url.URL, target string) (*url.URL, error) {
	if asIsTarget(target) {
		return &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: target}, nil
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = base.Scheme, base.Host
	return u, nil
}

// asIsTarget reports whether a path and query has only characters that never need an escape.
func asIsTarget(target string) bool {
	if len(target) == 0 || target[0] != '/' || len(target) > 1 && target[1] == '/' {
		return false
	}
	for i := range len(target) {
		switch c := target[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '-', c == '_', c == '.', c == '~', c == '?', c == '=', c == '&':
		default:
			return false
		}
	}
	return true
}

// once is a body that the transport can't send again. Go's transport repeats a request without a
// body, on a new connection, when the old one was closed before an answer: that would be two
// operations. A body of unknown length would be chunked, and the transport would start a goroutine
// and a timer to find out whether it is empty; [asIs] sends it as it is, which is nothing.
type once struct{ io.Reader }

func (once) Close() error { return nil }

// noBody is an empty body.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }

// WriteTo spares the transport the search for the best way to copy.
func (o once) WriteTo(w io.Writer) (int64, error) {
	if t, ok := o.Reader.(io.WriterTo); ok {
		return t.WriteTo(w)
	}
	return 0, nil // [noBody]
}

// asIs is the transfer encoding that sends a body without chunks.
var asIs = []string{"identity"}

// repeatable reports whether the transport would repeat the request if it had no body.
func repeatable(r *nethttp.Request) bool {
	switch r.Method {
	case nethttp.MethodGet, nethttp.MethodHead, nethttp.MethodOptions, nethttp.MethodTrace:
		return true
	}
	return len(r.Header["Idempotency-Key"]) > 0 || len(r.Header["X-Idempotency-Key"]) > 0
}
