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
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Service is a running service under drill. It is a [targets.Target] and [targets.Doored]: its instances are its doors.
// It never retries, follows no redirect, and asks for no compression.
type Service struct {
	spec    *Spec
	run     string
	headers nethttp.Header
	client  *nethttp.Transport
	regions map[string][]*url.URL
	doors   map[string]*url.URL
	names   []string // of the doors
	past    bool     // every family that is written can be read past the caches

	families map[string]*Family // those that the suite names, by name
	common   *Family            // nil when it names any

	doubted doubts
	garbled garbled
}

// doubts are keys of which nobody knows what they held when the drill began.
type doubts struct {
	mu   sync.RWMutex
	keys map[targets.Key]bool
}

func (d *doubts) add(k targets.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[targets.Key]bool{}
	}
	d.keys[k] = true
}

func (d *doubts) has(k targets.Key) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[k]
}

func (d *doubts) len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.keys)
}

// garbled counts answers that could not be understood.
type garbled struct {
	n     atomic.Int64
	first atomic.Pointer[string]
}

func (g *garbled) add(what string) {
	g.n.Add(1)
	g.first.CompareAndSwap(nil, &what)
}

// doubtfulValue stands for the value of a key that nobody can judge.
const doubtfulValue = "(doubtful)"

const (
	idleConns = 512 // to an instance, kept open
	idleFor   = 90 * time.Second
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// New makes a client of the service. run is what the tokens of this drill begin with. Headers take variables from the
// environment; one that is not set is an error.
func New(spec *Spec, run string) (*Service, error) {
	s := &Service{spec: spec, run: run, headers: nethttp.Header{"User-Agent": {"cachedrill"}},
		regions: map[string][]*url.URL{}, doors: map[string]*url.URL{}}
	for _, h := range spec.Headers {
		v, err := expand(h.Value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Name, err)
		}
		s.headers.Set(h.Name, v)
	}
	var err error
	if s.client, err = newTransport(spec); err != nil {
		return nil, err
	}
	for _, r := range spec.Regions {
		for i, base := range r.URLs {
			u, err := url.Parse(base)
			if err != nil {
				return nil, fmt.Errorf("instance %s: %w", base, err)
			}
			name := fmt.Sprintf("%s/%d", r.Name, i+1)
			s.regions[r.Name] = append(s.regions[r.Name], u)
			s.doors[name] = u
			s.names = append(s.names, name)
		}
	}
	families := spec.Families
	if len(families) == 0 {
		families = []Family{spec.Common}
	}
	s.families = map[string]*Family{}
	for i := range spec.Families {
		s.families[spec.Families[i].Name] = &spec.Families[i]
	}
	if len(spec.Families) == 0 {
		s.common = &spec.Common
	}
	s.past = true
	for _, f := range families {
		s.past = s.past && (f.Write == nil && f.Delete == nil || f.Bypass != nil)
	}
	if s.past {
		s.names = append(s.names, targets.SourceDoor)
	}
	return s, nil
}

// expand puts variables of the environment into a text.
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
		DisableCompression: true, // what it costs the service should be what its users cost it
		DialContext:        (&net.Dialer{Timeout: spec.Timeout, KeepAlive: 15 * time.Second}).DialContext,
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

// Close lets go of the connections.
func (s *Service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Doors implements [targets.Doored].
func (s *Service) Doors() []string { return s.names }

// Garbled says how many answers said ok and could not be understood, and what the first one was.
func (s *Service) Garbled() (n int64, first string) {
	if f := s.garbled.first.Load(); f != nil {
		first = *f
	}
	return s.garbled.n.Load(), first
}

// Doubted is how many keys can't be judged, because the writing of their first value ended unknown.
func (s *Service) Doubted() int { return s.doubted.len() }

// Do implements [targets.Target].
func (s *Service) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	f := s.family(r.Key.Family)
	if f == nil {
		return targets.Reply{}, fmt.Errorf("%w: the service has no family %q", targets.ErrNotApplied, r.Key.Family)
	}
	call := f.Read
	switch {
	case r.Kind == targets.Write:
		call = f.Write
	case r.Kind == targets.Delete:
		call = f.Delete
	case r.Door == targets.SourceDoor:
		call = f.Bypass
	}
	if call == nil {
		return targets.Reply{}, fmt.Errorf("%w: the suite does not say how to %s %s", targets.ErrNotApplied, r.Kind, r.Key.Family)
	}
	if r.Kind.Changes() {
		v, err := s.exchange(ctx, call, f, &r)
		return targets.Reply{Version: v}, err
	}
	reply, err := s.read(ctx, call, f, &r)
	var g *GarbledError
	switch {
	case errors.As(err, &g):
		s.garbled.add(err.Error())
	case err == nil && !reply.Absent && s.doubted.len() > 0 && s.doubted.has(r.Key):
		reply.Token, reply.Version, reply.Owner = doubtfulValue, 0, targets.Key{}
	}
	if r.Door == targets.SourceDoor {
		reply.Tier = targets.TierBypass
	}
	return reply, err
}

// exchange makes a change, and gives the version that it made, where the answer tells it; nil: it was done.
func (s *Service) exchange(ctx context.Context, call *Call, f *Family, r *targets.Request) (version uint64, err error) {
	err = s.talk(ctx, call, r, func(req *nethttp.Request, a *received) error {
		if err := f.changed(r, req, a); err != nil {
			return err
		}
		if f.Answer.version.somewhere() {
			version, _, _ = f.Answer.versionIn(a) // it may tell none
		}
		return nil
	})
	return version, err
}

// family finds how to talk about a family; nil: the service has none of that name.
func (s *Service) family(name string) *Family {
	if f, ok := s.families[name]; ok {
		return f
	}
	return s.common
}

func (s *Service) read(ctx context.Context, call *Call, f *Family, r *targets.Request) (reply targets.Reply, err error) {
	err = s.talk(ctx, call, r, func(req *nethttp.Request, a *received) error {
		reply, err = f.readFrom(r, req, a, s.run)
		return err
	})
	return reply, err
}

// talk sends one request, and has the answer understood.
func (s *Service) talk(ctx context.Context, call *Call, r *targets.Request, understand func(*nethttp.Request, *received) error) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	req, err := s.request(ctx, call, base, r)
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
	return understand(req, answer)
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// base picks the instance that a request goes to. Those of a region take turns, in an order that depends on the operation's
// number alone.
func (s *Service) base(r *targets.Request) (*url.URL, error) {
	if r.Door != "" && r.Door != targets.SourceDoor {
		u, ok := s.doors[r.Door]
		if !ok {
			return nil, fmt.Errorf("%w: the service has no instance %q", targets.ErrNotApplied, r.Door)
		}
		return u, nil
	}
	all := s.regions[r.Region]
	if len(all) == 0 {
		all = s.regions[s.spec.Regions[0].Name]
	}
	return all[spread(r.Seq)%uint64(len(all))], nil
}

// spread mixes the bits of a number (the finalizer of SplitMix64, Steele et al. 2014).
func spread(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// once is a body that the transport can't send again. A request without a body is one that Go's transport repeats by itself,
// on a new connection, when the old one was closed before an answer: that would be two operations. A body of unknown length would
// be chunked, and the transport would start a goroutine and a timer to find out whether it is empty; asIs says that it goes out as
// it is, which is nothing.
type once struct{ io.Reader }

func (once) Close() error { return nil }

// WriteTo spares the transport the looking for the best way to copy.
func (o once) WriteTo(w io.Writer) (int64, error) {
	if t, ok := o.Reader.(io.WriterTo); ok {
		return t.WriteTo(w)
	}
	return 0, nil // [nobody]
}

var asIs = []string{"identity"}

// repeatable says whether the transport would send the request again, had it no body.
func repeatable(r *nethttp.Request) bool {
	switch r.Method {
	case nethttp.MethodGet, nethttp.MethodHead, nethttp.MethodOptions, nethttp.MethodTrace:
		return true
	}
	return len(r.Header["Idempotency-Key"]) > 0 || len(r.Header["X-Idempotency-Key"]) > 0
}

type nobody struct{}

func (nobody) Read([]byte) (int, error) { return 0, io.EOF }

func (s *Service) request(ctx context.Context, c *Call, base *url.URL, r *targets.Request) (*nethttp.Request, error) {
	if c.Base != "" {
		own, err := url.Parse(c.Base)
		if err != nil {
			return nil, err
		}
		base = own
	}
	var room [256]byte
	u, err := locate(base, string(c.Target.fill(room[:0], s.run, r)))
	if err != nil {
		return nil, err
	}
	req := (&nethttp.Request{
		Method: c.Method, URL: u, Host: base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: s.headers,
		Body: once{nobody{}}, TransferEncoding: asIs,
	}).WithContext(ctx)
	if len(c.Headers) > 0 || c.Type != "" {
		req.Header = s.headers.Clone()
		for _, h := range c.Headers {
			req.Header[h.name] = append(req.Header[h.name], string(h.value.fill(nil, s.run, r)))
		}
		if c.Type != "" {
			req.Header["Content-Type"] = []string{c.Type}
		}
	}
	switch {
	case c.Body == nil && !repeatable(req):
		req.Body, req.TransferEncoding = nil, nil // and Content-Length: 0 where the method has bodies
	case c.Body != nil:
		body := c.Body.fill(nil, s.run, r)
		req.Body, req.ContentLength = once{bytes.NewReader(body)}, int64(len(body))
		req.TransferEncoding = nil
	}
	return req, nil
}

// locate is the URL of a path and query at an instance. What needs no change to stand in a request goes there as it is: to take it
// apart and put it together again costs more than to look at it.
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

// asIsTarget says whether a path and query holds nothing but characters that never need an escape.
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

// send makes one exchange. The answer's body lies in b.
func (s *Service) send(req *nethttp.Request, b *bytes.Buffer) (*received, error) {
	res, err := s.client.RoundTrip(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" { // it never got there
			err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
		}
		return nil, fmt.Errorf("%s: %w", named(req), plainly(err))
	}
	defer res.Body.Close()
	n, err := b.ReadFrom(io.LimitReader(res.Body, s.spec.MostBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading the answer: %w", named(req), plainly(err))
	}
	if n > s.spec.MostBody {
		return nil, &GarbledError{fmt.Sprintf("%s: it is longer than %d bytes (max_body)", named(req), s.spec.MostBody)}
	}
	return &received{status: res.StatusCode, header: res.Header, body: b.Bytes()}, nil
}

var errNoAnswer = errors.New("no answer in time")

// plainly says in plain words that time ran out.
func plainly(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, targets.ErrNotApplied) {
		return errNoAnswer
	}
	return err
}

// named is a request as errors show it: without headers and query, which may hold secrets.
func named(req *nethttp.Request) string {
	path, _, _ := strings.Cut(req.URL.Opaque, "?")
	return req.Method + " " + cmp.Or(path, req.URL.Path)
}

func good(status int) bool { return status >= 200 && status < 300 }

// changed says what an answer to a write or delete means; nil: it was done.
func (f *Family) changed(r *targets.Request, req *nethttp.Request, a *received) error {
	switch {
	case f.Shed.has(a.status):
		return fmt.Errorf("%w: %s: turned away with %d", targets.ErrNotApplied, named(req), a.status)
	case f.Rejected.has(a.status):
		return fmt.Errorf("%w: %s: rejected with %d: %s", targets.ErrNotApplied, named(req), a.status, a.shown())
	case good(a.status), r.Kind == targets.Delete && f.Absent.has(a.status):
		return nil
	}
	return unexpected(req, a)
}

// readFrom says what an answer to a read means.
func (f *Family) readFrom(r *targets.Request, req *nethttp.Request, a *received, run string) (targets.Reply, error) {
	switch {
	case f.Absent.has(a.status):
		reply := targets.Reply{Absent: true}
		reply.Tier, reply.Worker = f.Answer.origin(a)
		return reply, nil
	case f.Shed.has(a.status):
		return targets.Reply{}, fmt.Errorf("%s: turned away with %d", named(req), a.status)
	case good(a.status):
		reply, err := f.Answer.read(a, r.Key, run)
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
