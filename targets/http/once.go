package http

import (
	"io"
	nethttp "net/http"
)

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
