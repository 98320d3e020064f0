package origin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// How a long poll goes.
const (
	usualWait = 10 * time.Second
	mostWait  = time.Minute
	pageSize  = 4096 // events in an answer
)

const adminHelp = `cachedrill origin

/healthz                 it lives
/metrics                 for Prometheus
/loads?since=N&wait=10s  reads that reached it after number N; waits for the next one when there is none
/commits?since=N         changes, likewise

Loads and commits come as JSON, one a line. The first line is about the rest: "missed" events that aren't kept any more, "next"
to ask for next, and the time at which the request came and the answer went ("came", "now"). Times are nanoseconds since the
origin's start.
`

// Admin tells what happens at the origin. It changes nothing.
func (o *Origin) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, adminHelp) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /loads", func(w http.ResponseWriter, r *http.Request) {
		tell(o, w, r, "loads", o.loads, func(l Load) int64 { return l.Done })
	})
	mux.HandleFunc("GET /commits", func(w http.ResponseWriter, r *http.Request) {
		tell(o, w, r, "commits", o.commits, func(c Commit) int64 { return c.At })
	})
	return mux
}

// tell answers with the events after the one that the caller knows.
func tell[E any](o *Origin, w http.ResponseWriter, r *http.Request, what string, from *ring[E], stamp func(E) int64) {
	came := o.now()
	since, wait, err := asked(r)
	if err != nil {
		o.refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	if wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		stop := context.AfterFunc(o.life, cancel)
		o.following.Add(1)
		from.wait(ctx, since)
		o.following.Add(-1)
		stop()
		cancel()
	}
	p, events, ok := from.after(since, pageSize, stamp)
	if !ok {
		o.refuse(w, http.StatusRequestedRangeNotSatisfiable, "there were %d %s so far, so since=%d is of another run of the origin", p.Next, what, since)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	p.Origin, p.Came, p.Now = o.id, came, o.now()
	if out.Encode(p) != nil {
		return // the caller has gone
	}
	for _, e := range events {
		if out.Encode(e) != nil {
			return
		}
	}
}

func asked(r *http.Request) (since uint64, wait time.Duration, err error) {
	q := r.URL.Query()
	if text := q.Get("since"); text != "" {
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("since=%s: the number of the last event that is known, 0 for none", text)
		}
	}
	wait = usualWait
	if text := q.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > mostWait {
			return 0, 0, fmt.Errorf("wait=%s: how long to wait for news, 0s to %v", text, mostWait)
		}
	}
	return since, wait, nil
}
