package origin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// usual is an origin without time and bounds that matter; change what the test is about.
func usual(t *testing.T, change func(*Config)) *Origin {
	t.Helper()
	cfg := Config{Servers: 4, MaxObjects: 1000, MaxBytes: 1 << 20, Keep: 1000, CacheControl: "max-age=2"}
	if change != nil {
		change(&cfg)
	}
	o, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return o
}

// do asks the origin, without a network. aborted says that it broke the connection off.
func do(ctx context.Context, h http.Handler, method, path, body string, head ...string) (res *http.Response, text string, aborted bool) {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				aborted = true
			}
		}()
		h.ServeHTTP(w, r)
	}()
	return w.Result(), w.Body.String(), aborted
}

func version(res *http.Response) uint64 {
	v, err := strconv.ParseUint(res.Header.Get(VersionHeader), 10, 64)
	if err != nil {
		return 1 << 60
	}
	return v
}

// listed asks for all events of a kind that are there.
func listed[E any](t *testing.T, o *Origin, what string) (p page, events []E) {
	t.Helper()
	return toldAfter[E](t, o, what, 0)
}

func toldAfter[E any](t *testing.T, o *Origin, what string, since uint64) (p page, events []E) {
	t.Helper()
	res, text, _ := do(t.Context(), o.Admin(), "GET", fmt.Sprintf("/%s?since=%d&wait=0s", what, since), "")
	require.Equal(t, 200, res.StatusCode, text)
	require.Equal(t, "application/x-ndjson", res.Header.Get("Content-Type"))
	lines := json.NewDecoder(strings.NewReader(text))
	require.NoError(t, lines.Decode(&p))
	for {
		var e E
		err := lines.Decode(&e)
		if err == io.EOF {
			return p, events
		}
		require.NoError(t, err)
		events = append(events, e)
	}
}

func TestObjects(t *testing.T) {
	o := usual(t, nil)
	ask := func(method, path, body string, head ...string) *http.Response {
		res, text, aborted := do(t.Context(), o, method, path, body, head...)
		require.False(t, aborted)
		res.Body = io.NopCloser(strings.NewReader(text))
		return res
	}
	text := func(r *http.Response) string { b, _ := io.ReadAll(r.Body); return string(b) }

	r := ask("GET", "/a", "")
	require.Equal(t, 404, r.StatusCode)
	require.EqualValues(t, 0, version(r))
	require.Equal(t, "max-age=2", r.Header.Get("Cache-Control"), "an absence may be kept, too")

	r = ask("PUT", "/a", "one", "Content-Type", "text/fancy")
	require.Equal(t, 204, r.StatusCode)
	require.EqualValues(t, 1, version(r))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	first := r.Header.Get("ETag")

	r = ask("GET", "/a", "")
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "one", text(r))
	require.Equal(t, "text/fancy", r.Header.Get("Content-Type"))
	require.Equal(t, first, r.Header.Get("ETag"))
	require.EqualValues(t, 1, version(r))
	_, err := http.ParseTime(r.Header.Get("Last-Modified"))
	require.NoError(t, err)

	r = ask("HEAD", "/a", "")
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "3", r.Header.Get("Content-Length"))

	for _, condition := range []string{first, "W/" + first, `"x", ` + first, "*"} {
		r = ask("GET", "/a", "", "If-None-Match", condition)
		require.Equal(t, 304, r.StatusCode, condition)
		require.Empty(t, text(r))
		require.Equal(t, first, r.Header.Get("ETag"))
		require.EqualValues(t, 1, version(r))
		require.Equal(t, "max-age=2", r.Header.Get("Cache-Control"))
	}

	require.EqualValues(t, 2, version(ask("PUT", "/a", "two")))
	r = ask("GET", "/a", "", "If-None-Match", first)
	require.Equal(t, 200, r.StatusCode, "the tag is of the version before")
	require.Equal(t, "two", text(r))
	require.Equal(t, "application/octet-stream", r.Header.Get("Content-Type"))

	require.EqualValues(t, 3, version(ask("DELETE", "/a", "")))
	r = ask("GET", "/a", "", "If-None-Match", "*")
	require.Equal(t, 404, r.StatusCode)
	require.EqualValues(t, 3, version(r))
	require.EqualValues(t, 4, version(ask("PUT", "/a", "three")), "its versions go on")

	require.EqualValues(t, 1, version(ask("PUT", "/a?x=1", "other")), "the query is part of the name")
	require.EqualValues(t, 1, version(ask("PUT", "//a", "other")))
	require.EqualValues(t, 1, version(ask("PUT", "/%61", "other")))

	r = ask("POST", "/a", "")
	require.Equal(t, 405, r.StatusCode)
	require.Equal(t, "GET, HEAD, PUT, DELETE", r.Header.Get("Allow"))

	another := usual(t, nil)
	_, _, _ = do(t.Context(), another, "PUT", "/a", "not one")
	res, _, _ := do(t.Context(), another, "GET", "/a", "", "If-None-Match", first)
	require.Equal(t, 200, res.StatusCode, "a tag of another run of the origin is of something else")
}

func TestBounds(t *testing.T) {
	o := usual(t, func(c *Config) { c.MaxObjects, c.MaxBytes = 2, MaxBody+100 })
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/" + strings.Repeat("a", MaxPath), "", 414, "2049 characters"},
		{"PUT", "/a", strings.Repeat("a", MaxBody+1), 413, "1048576 bytes"},
		{"GET", "/ü?ü", "", 400, "percent-encode"},
		{"PUT", "/a", "1", 204, ""},
		{"DELETE", "/b", "", 204, ""},
		{"PUT", "/c", "1", 507, "2 objects already"},
		{"DELETE", "/c", "", 507, "2 objects already"},
		{"PUT", "/a", strings.Repeat("a", MaxBody), 204, ""},
		{"PUT", "/b", strings.Repeat("a", MaxBody), 507, "--max-bytes"},
		{"GET", "/b", "", 404, ""},
		{"PUT", "/a", "1", 204, ""},
		{"PUT", "/b", strings.Repeat("a", MaxBody), 204, ""},
	} {
		r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
		path, query, _ := strings.Cut(c.path, "?")
		r.URL.Path, r.URL.RawQuery = path, query
		w := httptest.NewRecorder()
		o.ServeHTTP(w, r)
		require.Equal(t, c.status, w.Code, "%s %.20s: %s", c.method, c.path, w.Body)
		require.Contains(t, w.Body.String(), c.says)
		if c.status > 404 || c.status == 400 {
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
	_, commits := listed[Commit](t, o, "commits")
	require.Len(t, commits, 5, "what was refused had no effect")
	require.EqualValues(t, 3, commits[3].Version)
	require.EqualValues(t, 2, commits[4].Version)
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Servers: 1, MaxObjects: 1, MaxBytes: 1, Keep: 1}
	require.NoError(t, good.Check())
	for says, change := range map[string]func(*Config){
		"service time": func(c *Config) { c.ServiceTime = -1 },
		"servers":      func(c *Config) { c.Servers = 0 },
		"queue":        func(c *Config) { c.Queue = -1 },
		"objects":      func(c *Config) { c.MaxObjects = 0 },
		"bytes":        func(c *Config) { c.MaxBytes = 0 },
		"keep":         func(c *Config) { c.Keep = 0 },
		"ASCII":        func(c *Config) { c.CacheControl = "max-age=2\r\nX: y" },
	} {
		bad := good
		change(&bad)
		_, err := New(bad)
		require.ErrorContains(t, err, says)
	}
}

// Many writers of few paths: each path has the versions 1, 2, 3, ..., each answered once to a
// writer and listed once as a commit.
func TestVersionsAreDense(t *testing.T) {
	o := usual(t, func(c *Config) { c.Keep = 10_000 })
	const writers, each, paths = 8, 100, 3
	var mu sync.Mutex
	acked := map[string]map[uint64]string{} // path, version: body
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				path, body, method := fmt.Sprintf("/%d", (w+i)%paths), fmt.Sprintf("%d.%d", w, i), "PUT"
				if i%10 == 9 {
					method, body = "DELETE", ""
				}
				res, text, _ := do(t.Context(), o, method, path, body)
				if res.StatusCode != 204 {
					t.Errorf("%d %s", res.StatusCode, text)
				}
				mu.Lock()
				if acked[path] == nil {
					acked[path] = map[uint64]string{}
				}
				acked[path][version(res)] = body
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	_, commits := listed[Commit](t, o, "commits")
	require.Len(t, commits, writers*each)
	last, at := map[string]uint64{}, int64(0)
	for i, c := range commits {
		require.EqualValues(t, i+1, c.N)
		require.Equal(t, last[c.Path]+1, c.Version, "path %s", c.Path)
		require.GreaterOrEqual(t, c.At, at)
		last[c.Path], at = c.Version, c.At
		body, ok := acked[c.Path][c.Version]
		require.True(t, ok)
		if !c.Deleted {
			require.Equal(t, body, *c.Body)
		}
	}
	all := 0
	for path, n := range last {
		require.Len(t, acked[path], int(n), "no version was answered twice")
		all += int(n)
		res, _, _ := do(t.Context(), o, "GET", path, "")
		require.Equal(t, n, version(res))
	}
	require.Equal(t, writers*each, all)
}

func TestCommitsShowBodies(t *testing.T) {
	o := usual(t, nil)
	long := strings.Repeat("x", shownBody+1)
	for _, body := range []string{"", "text", long, "\xff"} {
		do(t.Context(), o, "PUT", "/a", body)
	}
	_, c := listed[Commit](t, o, "commits")
	require.Equal(t, "", *c[0].Body)
	require.Equal(t, "text", *c[1].Body)
	require.Nil(t, c[2].Body)
	require.Equal(t, shownBody+1, c[2].Size)
	require.Len(t, c[2].SHA256, 64)
	require.Nil(t, c[3].Body)
	require.Equal(t, "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89", c[3].SHA256)
}

func TestWidthsAndCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.Servers, c.ServiceTime = 2, time.Second })
		start := o.now()
		var wg sync.WaitGroup
		for _, ask := range []string{"GET /a", "GET /a", "GET /b", "GET /a", "HEAD /a", "GET /a"} {
			method, path, _ := strings.Cut(ask, " ")
			wg.Go(func() { do(t.Context(), o, method, path, "") })
			synctest.Wait() // it waits for a server, or for its service time
		}
		res, _, _ := do(t.Context(), o, "GET", "/a", "", AuditHeader, "1")
		require.Equal(t, 404, res.StatusCode)
		require.Equal(t, start, o.now(), "an audit takes no time and no place")
		all, widest := o.under.read()
		require.Equal(t, []int{6, 4}, []int{all, widest})
		require.EqualValues(t, 4, o.queue.waiting.Load())
		wg.Wait()
		require.Equal(t, start+int64(3*time.Second), o.now(), "6 loads on 2 servers take 3 turns")

		_, loads := listed[Load](t, o, "loads")
		require.Len(t, loads, 7)
		require.True(t, loads[0].Audit)
		require.Zero(t, loads[0].Width)
		widths := map[string][]int{}
		waited := map[time.Duration]int{}
		for i, l := range loads {
			require.EqualValues(t, i+1, l.N)
			require.Equal(t, start, l.Arrived)
			if l.Audit {
				continue
			}
			require.Equal(t, l.Arrived+l.Queued+int64(time.Second), l.Done)
			waited[time.Duration(l.Queued)]++
			what := l.Path
			if l.Head {
				what = "HEAD"
			}
			widths[what] = append(widths[what], l.Width)
		}
		require.ElementsMatch(t, []int{1, 2, 3, 4}, widths["/a"])
		require.Equal(t, []int{1}, widths["/b"])
		require.Equal(t, []int{0}, widths["HEAD"])
		require.Equal(t, map[time.Duration]int{0: 2, time.Second: 2, 2 * time.Second: 2}, waited)

		all, widest = o.under.read()
		require.Equal(t, []int{0, 4}, []int{all, widest})
		require.Empty(t, o.under.paths, "nothing is kept of paths without loads")
		do(t.Context(), o, "GET", "/a", "")
		_, loads = toldAfter[Load](t, o, "loads", 7)
		require.Equal(t, 1, loads[0].Width)
	})
}

func TestFullQueueSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.Servers, c.ServiceTime, c.Queue = 1, 1500*time.Millisecond, 2 })
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				res, _, _ := do(t.Context(), o, "PUT", "/a", "x")
				if res.StatusCode != 204 {
					t.Error(res.Status)
				}
			})
			synctest.Wait()
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			res, text, _ := do(t.Context(), o, method, "/a", "late")
			require.Equal(t, 503, res.StatusCode)
			require.Equal(t, "5", res.Header.Get("Retry-After"), "2 wait behind one, 1.5 s each")
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"), "some caches keep any answer that may be kept")
			require.Contains(t, text, "2 wait")
		}
		wg.Wait()
		res, _, _ := do(t.Context(), o, "GET", "/a", "")
		require.Equal(t, 200, res.StatusCode)
		require.EqualValues(t, 3, version(res), "what was shed had no effect")
		_, loads := listed[Load](t, o, "loads")
		require.Equal(t, []int{503, 200}, []int{loads[0].Status, loads[1].Status})
		require.Zero(t, loads[0].Version)
	})
}

func TestWhoeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.Servers, c.ServiceTime = 1, time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, method := range []string{"GET", "PUT", "GET"} { // one is served, two wait
			wg.Go(func() {
				if _, _, aborted := do(ctx, o, method, "/a", "x"); !aborted {
					t.Error("somebody who had gone was answered")
				}
			})
			synctest.Wait()
		}
		time.Sleep(400 * time.Millisecond)
		cancel()
		wg.Wait()
		synctest.Wait()
		require.EqualValues(t, 0, o.queue.waiting.Load())
		require.Empty(t, o.queue.servers)
		_, loads := listed[Load](t, o, "loads")
		require.Len(t, loads, 2)
		for _, l := range loads {
			require.Equal(t, statusGone, l.Status)
			require.Zero(t, l.Version)
			require.EqualValues(t, 400*time.Millisecond, l.Done-l.Arrived)
		}
		_, commits := listed[Commit](t, o, "commits")
		require.Empty(t, commits, "a write that was given up had no effect")
	})
}

// A load carries the object of the moment at which it was taken up, not of the moment of its
// answer.
func TestSlowLoadCarriesTheOldVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.ServiceTime = time.Second })
		do(t.Context(), o, "PUT", "/a", "old")
		var wg sync.WaitGroup
		wg.Go(func() { do(t.Context(), o, "PUT", "/a", "new") })
		time.Sleep(500 * time.Millisecond)
		_, text, _ := do(t.Context(), o, "GET", "/a", "")
		require.Equal(t, "old", text)
		wg.Wait()
		_, loads := listed[Load](t, o, "loads")
		_, commits := listed[Commit](t, o, "commits")
		require.EqualValues(t, 1, loads[0].Version)
		require.Less(t, commits[1].At, loads[0].Done)
		require.Greater(t, commits[1].At, loads[0].Arrived)
	})
}

func TestServiceTimes(t *testing.T) {
	times := func(seed uint64) (all []time.Duration, mean time.Duration) {
		q := newQueue(Config{Servers: 1, ServiceTime: 20 * time.Millisecond, Exponential: true, Seed: seed})
		const n = 20_000
		for range n {
			d := q.draw()
			all, mean = append(all, d), mean+d/n
		}
		return all, mean
	}
	a, mean := times(1)
	b, _ := times(1)
	c, _ := times(2)
	require.Equal(t, a, b)
	require.NotEqual(t, a, c)
	require.InDelta(t, 20e6, float64(mean), 1e6)
	over := 0
	for _, d := range a {
		if d > 60*time.Millisecond {
			over++
		}
	}
	require.InDelta(t, 0.0498, float64(over)/float64(len(a)), 0.005, "e^-3 are beyond three means")
	require.Equal(t, 20*time.Millisecond, newQueue(Config{Servers: 1, ServiceTime: 20 * time.Millisecond}).draw())
}
