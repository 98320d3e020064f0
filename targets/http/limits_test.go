package http

import (
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limiter is a correct service that answers so many requests, and then asks for patience.
func limiter(t *testing.T, status int, burst int, pause time.Duration, header func(time.Time) string) *httptest.Server {
	var mu sync.Mutex
	items, left, again := map[string]string{}, burst, time.Time{}
	srv := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 && time.Now().After(again) {
			left = burst
		}
		if left == 0 {
			w.Header().Set("Retry-After", header(again))
			w.WriteHeader(status)
			return
		}
		if left--; left == 0 {
			again = time.Now().Add(pause)
		}
		if r.Method == nethttp.MethodPut {
			b, _ := io.ReadAll(r.Body)
			items[r.URL.Path] = string(b)
			return
		}
		_, _ = io.WriteString(w, items[r.URL.Path])
	}))
	t.Cleanup(srv.Close)
	return srv
}

func limitedClient(t *testing.T, url, more string) *Service {
	spec, problems := decode(fmt.Sprintf("instances: [%q]\nread: {GET: \"/{key}\"}\nwrite: {PUT: \"/{key}\", body: \"{token}\"}\nanswer: {token: body}\n%s", url, more))
	require.Empty(t, problems)
	s, err := New(spec, "f00dcafe")
	require.NoError(t, err)
	return s
}

// First values are written and read at the pace that the service allows, and no key is doubted.
func TestSeedingWaitsAsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header func(time.Time) string
	}{
		"seconds":         {429, func(time.Time) string { return "1" }},
		"a date":          {429, func(at time.Time) string { return at.Add(time.Second).UTC().Format(nethttp.TimeFormat) }},
		"503 for a while": {503, func(time.Time) string { return "1" }},
		"nothing":         {429, func(time.Time) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limitedClient(t, limiter(t, c.status, 25, 900*time.Millisecond, c.header).URL, "settle: 200ms")
			require.NoError(t, s.Seed(t.Context(), items(30)))
			unsettled, err := s.Prewarm(t.Context(), items(30))
			require.NoError(t, err)
			require.Empty(t, unsettled)
			require.Zero(t, s.Doubted())
			require.Contains(t, s.Paced(), "went at the pace that the service allows")
		})
	}
}

// A service that asks for more patience than there is ends the preparations at once, by name.
func TestPatienceEnds(t *testing.T) {
	s := limitedClient(t, limiter(t, 429, 5, time.Hour, func(time.Time) string { return "3600" }).URL, "patience: 10s")
	began := time.Now()
	err := s.Seed(t.Context(), items(30))
	require.ErrorContains(t, err, "it asks to wait 1h0m0s, and was waited for 0s already, of at most 10s (patience: 1h1m0s would allow it)")
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"2": 2 * time.Second, "0": time.Millisecond, "0.5": 500 * time.Millisecond, "-1": 0, "soon": 0, "": 0, "1e300": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:00:00 GMT": time.Millisecond,
	} {
		got, _ := retryAfter(nethttp.Header{"Retry-After": {text}}, now)
		require.Equal(t, want, got, text)
	}
	ahead := nethttp.Header{"Retry-After": {"Fri, 02 Jan 2026 04:00:03 GMT"}, "Date": {"Fri, 02 Jan 2026 04:00:00 GMT"}}
	got, _ := retryAfter(ahead, now)
	require.Equal(t, 3*time.Second, got, "the service's own clock counts")
}

// The call's own header replaces the common one: one line is sent.
func TestOwnHeadersReplaceCommonOnes(t *testing.T) {
	var got []string
	srv := httptest.NewServer(nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) { got = r.Header["Authorization"] }))
	defer srv.Close()
	t.Setenv("OWN_TOKEN", "own")
	spec, problems := decode(fmt.Sprintf("instances: [%q]\nheaders: {authorization: common}\nread: {GET: \"/{key}\"}\nwrite: {PUT: \"/{key}\", body: \"{token}\", headers: {AUTHORIZATION: \"Bearer ${OWN_TOKEN} {key}\"}}\nanswer: {token: body}\n", srv.URL))
	require.Empty(t, problems)
	s, err := New(spec, "f00dcafe")
	require.NoError(t, err)
	require.NoError(t, s.Seed(t.Context(), items(1)))
	require.Equal(t, []string{"Bearer own 1"}, got)
}
