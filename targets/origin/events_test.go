package origin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhoComesTooLateIsTold(t *testing.T) {
	o := usual(t, func(c *Config) { c.Keep = 3 })
	for i := range 10 {
		do(t.Context(), o, "PUT", fmt.Sprintf("/%d", i), "x")
		do(t.Context(), o, "GET", fmt.Sprintf("/%d", i), "")
	}
	for _, c := range []struct{ since, missed uint64 }{{0, 7}, {5, 2}, {7, 0}, {9, 0}, {10, 0}} {
		p, loads := toldAfter[Load](t, o, "loads", c.since)
		require.Equal(t, c.missed, p.Missed)
		require.EqualValues(t, 10, p.Next)
		require.Len(t, loads, int(10-c.since-c.missed))
		for i, l := range loads {
			n := c.since + c.missed + uint64(i) + 1
			require.Equal(t, n, l.N)
			require.Equal(t, fmt.Sprintf("/%d", n-1), l.Path)
		}
		p, commits := toldAfter[Commit](t, o, "commits", c.since)
		require.Equal(t, c.missed, p.Missed)
		require.Len(t, commits, int(10-c.since-c.missed))
	}
	require.Len(t, o.loads.kept, 3)

	res, text, _ := do(t.Context(), o.Admin(), "GET", "/loads?since=11", "")
	require.Equal(t, 416, res.StatusCode)
	require.Contains(t, text, "another run of the origin")
	for _, bad := range []string{"since=x", "since=-1", "wait=x", "wait=-1s", "wait=2h"} {
		res, text, _ := do(t.Context(), o.Admin(), "GET", "/loads?"+bad, "")
		require.Equal(t, 400, res.StatusCode)
		require.Contains(t, text, bad)
	}
}

// Pages fit together, and through says of each what it is complete for.
func TestPages(t *testing.T) {
	at := int64(0)
	r := newRing[int64](100, func() int64 { at += 10; return at })
	for range 25 {
		r.add(func(_ uint64, now int64) int64 { return now })
	}
	var all []int64
	var p page
	for range 4 {
		var events []int64
		p, events, _ = r.after(p.Next, 8, func(e int64) int64 { return e })
		require.Zero(t, p.Missed)
		all = append(all, events...)
		if p.Next < 25 {
			require.Equal(t, all[len(all)-1], p.Through)
		}
	}
	require.EqualValues(t, 25, p.Next)
	require.Len(t, all, 25)
	for i, e := range all {
		require.EqualValues(t, 10*(i+1), e)
	}
	require.Equal(t, at, p.Through)
	require.Greater(t, p.Through, all[24])
}

func TestWaitingForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, nil)
		type got struct {
			status int
			text   string
			took   time.Duration
		}
		asked := func(query string) <-chan got {
			c := make(chan got, 1)
			go func() {
				began := time.Now()
				res, text, _ := do(t.Context(), o.Admin(), "GET", query, "")
				c <- got{res.StatusCode, text, time.Since(began)}
			}()
			synctest.Wait()
			return c
		}
		require.Equal(t, 3*time.Second, (<-asked("/loads?wait=3s")).took, "there was no news")
		require.Equal(t, usualWait, (<-asked("/commits")).took)

		loads, commits := asked("/loads?since=0"), asked("/commits?since=0")
		require.EqualValues(t, 2, o.following.Load())
		time.Sleep(time.Second)
		do(t.Context(), o, "GET", "/a", "")
		l := <-loads
		require.Equal(t, time.Second, l.took)
		require.Contains(t, l.text, `"path":"/a"`)
		require.Empty(t, commits, "a load is no commit")
		do(t.Context(), o, "PUT", "/a", "x")
		require.Equal(t, time.Second, (<-commits).took)

		unknown := <-asked("/loads?since=2")
		require.Equal(t, 416, unknown.status)
		require.Zero(t, unknown.took, "there is nothing to wait for")

		late := asked("/loads?since=1")
		o.Close()
		l = <-late
		require.Zero(t, l.took, "an origin that ends answers those that wait")
		require.Equal(t, 200, l.status)
		require.Zero(t, o.following.Load())
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.Servers, c.Queue, c.ServiceTime = 1, 1, time.Second })
		text := func() string {
			res, text, _ := do(t.Context(), o.Admin(), "GET", "/metrics", "")
			require.Equal(t, 200, res.StatusCode)
			return text
		}
		require.Contains(t, text(), `cachedrill_origin_answers_total{status="503"} 0`)
		do(t.Context(), o, "PUT", "/a", "four")
		for range 2 {
			go do(t.Context(), o, "GET", "/a", "")
			synctest.Wait()
		}
		do(t.Context(), o, "GET", "/a", "") // is shed
		do(t.Context(), o, "PUT", "/a", "") // likewise
		do(t.Context(), o, "GET", "/a", "", AuditHeader, "1")
		now := text()
		for _, line := range []string{"loads_in_flight 2", "waiting 1", "loads_total 3", "shed_total 2", "load_width_max 3", "audits_total 1",
			"objects 1", "bytes 30", `commits_total{kind="put"} 1`, `answers_total{status="503"} 1`} {
			require.Contains(t, now, "\ncachedrill_origin_"+line+"\n")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		now = text()
		for _, line := range []string{"loads_in_flight 0", "waiting 0", "loads_total 3", `answers_total{status="200"} 2`, "queued_seconds_sum 1"} {
			require.Contains(t, now, "\ncachedrill_origin_"+line+"\n")
		}
	})
}

// asking is a response that looks at what the origin tells when it is sent.
type asking struct {
	http.ResponseWriter
	sent func()
}

func (a asking) WriteHeader(status int) {
	a.sent()
	a.ResponseWriter.WriteHeader(status)
}

// A client that has an answer finds it among the loads or the commits.
func TestTellsBeforeItAnswers(t *testing.T) {
	o := usual(t, func(c *Config) { c.Servers, c.ServiceTime = 1, time.Nanosecond })
	sent := 0
	for method, status := range map[string]int{"PUT": 204, "DELETE": 204, "GET": 404} {
		before := o.loads.n + o.commits.n
		w := httptest.NewRecorder()
		o.ServeHTTP(asking{w, func() {
			sent++
			require.Equal(t, before+1, o.loads.n+o.commits.n, method)
		}}, httptest.NewRequest(method, "/a/"+method, nil))
		require.Equal(t, status, w.Code)
	}
	require.Equal(t, 3, sent)
}
