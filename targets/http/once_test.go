package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets"
)

// spec reads a target as a suite has it.
func spec(t testing.TB, text string) *Spec {
	t.Helper()
	root, problems := strictyaml.Parse([]byte(text))
	s := Decode(root)
	require.Empty(t, problems.List)
	return s
}

// wire is a server that keeps what it got, and answers by hand.
type wire struct {
	net.Listener
	mu  sync.Mutex
	got []string // method, target, and the headers about bodies
}

// newWire answers the first request of every connection, and then does with the next one what after
// says.
func newWire(t *testing.T, after func(net.Conn, *nethttp.Request)) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{Listener: l}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { w.serve(c, after) })
		}
	})
	t.Cleanup(func() { require.NoError(t, l.Close()); conns.Wait() })
	return w
}

func (w *wire) serve(c net.Conn, after func(net.Conn, *nethttp.Request)) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		req, err := nethttp.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		w.mu.Lock()
		w.got = append(w.got, fmt.Sprintf("%s %s length %d encoding %v body %q", req.Method, req.RequestURI, req.ContentLength, req.TransferEncoding, body))
		w.mu.Unlock()
		if n > 0 {
			after(c, req)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"+`{"title":"x"}`)
	}
}

func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.got...)
}

// A transport sends a GET again, by itself, when a connection that it has used before is closed on
// it. A drill must not: the second one would be an operation that is not counted, and its latency
// that of two.
func TestNoRequestIsSentTwice(t *testing.T) {
	closing := func(net.Conn, *nethttp.Request) {}
	reset := func(c net.Conn, _ *nethttp.Request) { _ = c.(*net.TCPConn).SetLinger(0) }
	half := func(c net.Conn, _ *nethttp.Request) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Le") }
	for name, after := range map[string]func(net.Conn, *nethttp.Request){"closed": closing, "reset": reset, "half an answer": half} {
		for kind, want := range map[targets.Kind]string{
			targets.Read:   `GET /products/1 length 0 encoding [] body ""`,
			targets.Write:  `PUT /products/1 length 13 encoding [] body "{\"title\":\"v\"}"`,
			targets.Delete: `POST /products/1/gone length 0 encoding [] body ""`,
		} {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				w := newWire(t, after)
				s, err := New(spec(t, fmt.Sprintf(`
instances: ["http://%s"]
read: {GET: "/products/{key}"}
write: {PUT: "/products/{key}", json: {title: "{token}"}}
delete: {POST: "/products/{key}/gone", headers: {Idempotency-Key: "{seq}"}}
answer: {token: {json: $.title}}
`, w.Addr())), "run")
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				first := targets.Request{Kind: targets.Read, Key: targets.Key{Family: "product", ID: "0"}}
				_, err = s.Do(t.Context(), first)
				require.NoError(t, err)
				r := targets.Request{Kind: kind, Key: targets.Key{Family: "product", ID: "1"}, Token: "v"}
				_, err = s.Do(context.WithoutCancel(t.Context()), r)
				require.Error(t, err, "it was not answered")
				require.NotErrorIs(t, err, targets.ErrNotApplied)
				require.Equal(t, []string{`GET /products/0 length 0 encoding [] body ""`, want}, w.seen())
			})
		}
	}
}
