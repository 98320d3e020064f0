package http

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// echo remembers the last request, and answers as its fields say.
type echo struct {
	*httptest.Server
	proto, auth, path, body string
	status                  int
	answer                  string
	header                  map[string]string
}

func newEcho(t *testing.T, start func(*httptest.Server)) *echo {
	e := &echo{status: 200}
	e.Server = httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		e.proto, e.auth, e.path, e.body = r.Proto, r.Header.Get("Authorization"), r.RequestURI, string(b)
		for k, v := range e.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.answer)
	}))
	start(e.Server)
	t.Cleanup(e.Close)
	return e
}

func plainHTTP(s *httptest.Server) { s.Start() }

func talkTo(t *testing.T, url, more string) *Service {
	t.Helper()
	spec, problems := decode(fmt.Sprintf(`
instances: [%q]
read: {GET: "/{family}/{key}"}
write: {PUT: "/{family}/{key}", json: {title: "{token}"}}
delete: {DELETE: "/{family}/{key}"}
answer: {token: {json: $.title}, tier: {header: X-Cache, source: [FETCHED]}, owner: {json: $.tenant}, version: {header: ETag}}
rejected: [409]
shed: [503]
%s`, url, more))
	require.Empty(t, problems)
	s, err := New(spec, "run")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

var chair = targets.Key{Family: "product", ID: "17", Tenant: "t1"}

func TestWhatAnswersMean(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "")
	token := targets.NewToken("run", 3, chair)
	read := func(status int, answer string, header map[string]string) (targets.Reply, error) {
		e.status, e.answer, e.header = status, answer, header
		return s.Do(t.Context(), targets.Request{Key: chair})
	}
	r, err := read(200, fmt.Sprintf(`{"title": "a chair %s, red", "tenant": "t9"}`, token), map[string]string{"X-Cache": "fetched", "ETag": `W/"12"`})
	require.NoError(t, err)
	require.Equal(t, targets.Reply{Version: 12, Token: token, Tier: targets.TierSource, Owner: targets.Key{Family: "product", ID: "17", Tenant: "t9"}}, r)

	r, err = read(200, `{"title": "somebody's chair", "tenant": "t9"}`, map[string]string{"ETag": `"1"`, "X-Cache": "HIT"})
	require.NoError(t, err)
	require.Equal(t, targets.Reply{Version: 1, Token: "somebody's chair", Tier: targets.TierL2}, r, "the owner of a foreign value is unknown")

	r, err = read(404, "gone", map[string]string{"X-Cache": "MISS"})
	require.NoError(t, err)
	require.Equal(t, targets.Reply{Absent: true, Tier: targets.TierSource}, r)

	for _, c := range []struct {
		status int
		answer string
		says   string
	}{
		{200, `{"name": 1}`, "nothing at $"}, {200, `{"title": [1]}`, "not a single value"}, {200, `<html>`, "no JSON"}, {200, `{} {}`, "something follows"},
		{503, "", "turned away with 503"}, {500, "oops", `GET /product/17: 500: "oops"`}, {302, "", "redirect"}, {204, "", "no JSON"}, {200, `{"errors": [{}]}`, "nothing at $"},
	} {
		_, err = read(c.status, c.answer, map[string]string{"ETag": "1"})
		require.ErrorContains(t, err, c.says)
	}
	r, err = read(200, fmt.Sprintf(`{"title": %q, "tenant": "t1"}`, token), map[string]string{"ETag": "abc"})
	require.NoError(t, err)
	require.Zero(t, r.Version)
	require.Equal(t, []string{`versions of product are left out: "abc" at header ETag is no whole number`}, s.Habits())

	change := func(kind targets.Kind, status int) error {
		e.status, e.answer, e.header = status, "", nil
		_, err := s.Do(t.Context(), targets.Request{Kind: kind, Key: chair, Token: token})
		return err
	}
	require.NoError(t, change(targets.Write, 201))
	require.Equal(t, fmt.Sprintf(`{"title":%q}`, token), e.body)
	require.NoError(t, change(targets.Delete, 404), "it is not there: that is what was wanted")
	for status, applied := range map[int]bool{409: false, 503: false, 500: true, 404: true, 301: true} {
		err := change(targets.Write, status)
		require.Error(t, err)
		require.Equal(t, !applied, isNotApplied(err), "%d: %v", status, err)
	}
}

func isNotApplied(err error) bool {
	return err != nil && strings.Contains(err.Error(), targets.ErrNotApplied.Error())
}

func TestWhoIsNotThereDidNothing(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "")
	e.Close()
	_, err := s.Do(t.Context(), targets.Request{Kind: targets.Write, Key: chair, Token: "x"})
	require.ErrorIs(t, err, targets.ErrNotApplied)
}

func TestSecretsComeFromTheEnvironment(t *testing.T) {
	e := newEcho(t, plainHTTP)
	t.Setenv("SHOP_TOKEN", "s3cret")
	s := talkTo(t, e.URL, `headers: {Authorization: "Bearer ${SHOP_TOKEN}"}`)
	e.status, e.answer = 500, "no"
	_, err := s.Do(t.Context(), targets.Request{Key: chair})
	require.Equal(t, "Bearer s3cret", e.auth)
	require.NotContains(t, err.Error(), "s3cret")
	spec, problems := decode(`{instances: ["http://127.0.0.1:1"], read: {GET: "/{key}"}, headers: {A: "${NOT_SET_ANYWHERE}"}}`)
	require.Empty(t, problems)
	_, err = New(spec, "run")
	require.ErrorContains(t, err, "header A: the environment has no variable NOT_SET_ANYWHERE")
}

func TestHTTP2AndTLS(t *testing.T) {
	e := newEcho(t, func(s *httptest.Server) {
		s.Config.Protocols = new(nethttp.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	})
	e.answer, e.header = `{"title": "x", "tenant": "t1"}`, map[string]string{"ETag": "1"}
	for more, proto := range map[string]string{"": "HTTP/1.1", "http2: true": "HTTP/2.0"} {
		_, err := talkTo(t, e.URL, more).Do(t.Context(), targets.Request{Key: chair})
		require.NoError(t, err)
		require.Equal(t, proto, e.proto)
	}

	secure := newEcho(t, func(s *httptest.Server) { s.StartTLS() })
	secure.answer, secure.header = e.answer, e.header
	_, err := talkTo(t, secure.URL, "").Do(t.Context(), targets.Request{Key: chair})
	require.ErrorContains(t, err, "certificate")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	_, err = talkTo(t, secure.URL, fmt.Sprintf("ca: %q", ca)).Do(t.Context(), targets.Request{Key: chair})
	require.NoError(t, err)
}

// A first value whose writing ended unknown may still land: its key is left alone.
func TestDoubtfulFirstValues(t *testing.T) {
	n := atomic.Int64{}
	db := atomic.Pointer[string]{}
	srv := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method == nethttp.MethodPut {
			if n.Add(1) == 1 {
				w.WriteHeader(nethttp.StatusBadGateway)
				return
			}
			text := string(b)
			db.Store(&text)
			return
		}
		w.Header().Set("ETag", "1")
		_, _ = io.WriteString(w, strings.Replace(*db.Load(), "}", `,"tenant":"t1"}`, 1))
	}))
	defer srv.Close()
	s := talkTo(t, srv.URL, "settle: 1s")
	require.NoError(t, s.Seed(t.Context(), []targets.Key{chair}))
	require.Equal(t, 1, s.Doubted())
	problems, err := s.Prewarm(t.Context(), []targets.Key{chair})
	require.NoError(t, err)
	require.Empty(t, problems)
	r, err := s.Do(t.Context(), targets.Request{Key: chair})
	require.NoError(t, err)
	require.Equal(t, doubtfulValue, r.Token)
}

func TestFirstValuesThatNeverShow(t *testing.T) {
	e := newEcho(t, plainHTTP)
	e.answer, e.header = `{"title": "an old one", "tenant": "t1"}`, map[string]string{"ETag": "1"}
	s := talkTo(t, e.URL, "settle: 250ms")
	require.NoError(t, s.Seed(t.Context(), []targets.Key{chair}))
	problems, err := s.Prewarm(t.Context(), []targets.Key{chair})
	require.NoError(t, err)
	require.Contains(t, problems, `1 of 1 first values were not seen within 250ms of being written (product:17 (tenant t1) at local/1: "an old one")`)
	e.status = 500
	_, err = s.Prewarm(t.Context(), []targets.Key{chair})
	require.ErrorContains(t, err, "no first value could be read within 250ms")
	require.ErrorContains(t, s.Seed(t.Context(), []targets.Key{chair}), "writing the first value of product:17 (tenant t1): PUT /product/17: 500")
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	require.Error(t, s.Seed(ctx, []targets.Key{chair}))
}

func TestWritesTellVersionsOrDoNot(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "")
	for _, c := range []struct {
		tag  string
		want uint64
	}{{`"7"`, 7}, {"", 0}, {"8", 8}, {"abc", 0}, {"9", 0}} {
		e.header = map[string]string{"ETag": c.tag}
		r, err := s.Do(t.Context(), targets.Request{Kind: targets.Write, Key: chair, Token: "x"})
		require.NoError(t, err)
		require.Equal(t, c.want, r.Version, c.tag)
	}
}
