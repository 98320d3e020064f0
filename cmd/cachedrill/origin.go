package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/targets/origin"
)

// originFlags are what a user can say about an origin.
type originFlags struct {
	listen, admin string
	distribution  string
	origin.Config
}

func originCommand() *cobra.Command {
	var f originFlags
	c := &cobra.Command{
		Use:   "origin",
		Short: "Run a source of truth that a cache of yours is pointed at: nginx, Varnish, a CDN, your service",
		Long: `Runs a source of truth behind HTTP. Point a cache at it instead of its own backend: it takes time and sheds as a backend does,
gives every object versions, and tells each read that reached it, so that a cache's stale answers and stampedes can be proven.

  GET, HEAD /{path}   the object: 200 or 404, with X-Version, ETag, Last-Modified and Cache-Control; 304 to If-None-Match
  PUT       /{path}   stores the body and its Content-Type as the path's next version (1, 2, 3, ...): 204, with X-Version
  DELETE    /{path}   makes its absence the next version: 204, with X-Version
  any                 503 and Retry-After when more than --queue requests wait. It had no effect

Path and query, exactly as asked for, name the object. Everything is in memory, and ends with the process.
A read with X-Cachedrill-Audit: 1 is answered at once, and counted apart.

--admin is another address, that tells what happened and changes nothing:

  /healthz  /metrics           it lives; for Prometheus: loads, in flight, shed, the widest load of one path
  /loads?since=0&wait=10s      each read that reached it: path, when it arrived and was done, its version, and how many reads of
                               the same path were under way. JSON, one a line; waits for news. ?since= is the last one's "next"
  /commits?since=0             each change, likewise
The newest --keep of both are kept; "missed" says how many came too late.

There is no authentication on either address. Both are on loopback unless you say otherwise.

nginx before it, complete (nginx -p /tmp/ngx -c nginx.conf, after mkdir /tmp/ngx; examples/nginx has it as a script):

  pid nginx.pid;
  error_log stderr;
  events {}
  http {
    access_log off;
    client_body_temp_path body;  proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;   uwsgi_temp_path uwsgi;   scgi_temp_path scgi;
    proxy_cache_path cache keys_zone=drill:10m use_temp_path=off;
    server {
      listen 127.0.0.1:8080;
      location / {
        proxy_pass http://127.0.0.1:9000;
        proxy_cache drill;
        proxy_cache_key $request_uri;
        proxy_cache_lock on;                 # one load of a new object at a time
        proxy_cache_background_update on;    # answer stale, load behind it: for as long as stale-while-revalidate allows
        add_header X-Cache-Status $upstream_cache_status always;
      }
    }
  }

SIGTERM or Ctrl-C: requests under way end, then the process does; exit code 0. A second one cuts them off.`,
		Example: `  cachedrill origin --cache-control "max-age=2, stale-while-revalidate=3" --service-time 20ms
  curl -i -X PUT 127.0.0.1:9000/products/17 -d first      # X-Version: 1
  curl -i 127.0.0.1:8080/products/17                      # through nginx: X-Cache-Status: MISS, then HIT
  curl -X PUT 127.0.0.1:9000/products/17 -d second        # nginx goes on with the first for a while
  curl '127.0.0.1:9001/loads?since=0&wait=0s'             # what reached the origin`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), c.OutOrStdout()) },
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:9000", "host:port of the objects; port 0 takes a free one")
	c.Flags().StringVar(&f.admin, "admin", "127.0.0.1:9001", "host:port where it tells what happened; \"\": nowhere")
	c.Flags().DurationVar(&f.ServiceTime, "service-time", 20*time.Millisecond, "mean time that a server takes for a request, reads and writes alike")
	c.Flags().StringVar(&f.distribution, "distribution", "constant", "of the service times: constant or exponential")
	c.Flags().Uint64Var(&f.Seed, "seed", 1, "of exponential service times")
	c.Flags().IntVar(&f.Servers, "servers", 20, "requests served at a time")
	c.Flags().IntVar(&f.Queue, "queue", 1000, "requests that may wait; more are shed. 0: all wait")
	c.Flags().StringVar(&f.CacheControl, "cache-control", "max-age=2, stale-while-revalidate=3", "header of every answer to a read, 404 included; \"\": none")
	c.Flags().IntVar(&f.MaxObjects, "max-objects", 1_000_000, "objects that there may be, absences included; beyond it a PUT gets 507")
	c.Flags().Int64Var(&f.MaxBytes, "max-bytes", 256<<20, "bytes of all bodies and paths together; likewise")
	c.Flags().IntVar(&f.Keep, "keep", 1<<16, "loads, and commits, that are kept for who asks for them")
	return c
}

// check refuses what can't be before anything is started.
func (f *originFlags) check() error {
	for flag, addr := range map[string]string{"listen": f.listen, "admin": f.admin} {
		if _, _, err := net.SplitHostPort(addr); err != nil && (flag == "listen" || addr != "") {
			return fmt.Errorf("--%s %q: host:port is needed, as in 127.0.0.1:9000", flag, addr)
		}
	}
	switch f.distribution {
	case "constant":
	case "exponential":
		f.Exponential = true
	default:
		return fmt.Errorf("--distribution %q: constant or exponential", f.distribution)
	}
	return f.Config.Check()
}

// run answers until ctx ends, and then until the requests under way have ended.
func (f *originFlags) run(ctx context.Context, out io.Writer) error {
	if err := f.check(); err != nil {
		return exit{exitUsage, err}
	}
	o, err := origin.New(f.Config)
	if err != nil {
		return exit{exitUsage, err}
	}
	defer o.Close()
	l := newListeners(2)
	defer l.close()
	// A cache keeps connections: one that is closed just when it is used again is an error that is
	// not worth a drill.
	const idle = 5 * time.Minute
	at, err := l.open("listen", f.listen, idle, o)
	if err != nil {
		return err
	}
	admin := ""
	if f.admin != "" {
		if admin, err = l.open("admin", f.admin, idle, o.Admin()); err != nil {
			return err
		}
	}
	f.greet(out, at, admin)
	broken := l.wait(ctx)
	o.Close() // those that wait for news get an answer
	last, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	last, stop := signal.NotifyContext(last, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := errors.Join(failure(broken), failure(l.shutdown(last))); err != nil {
		return err
	}
	fmt.Fprintln(out, "ended: every request was answered")
	return nil
}

// greet says what was started, and how to talk to it.
func (f *originFlags) greet(out io.Writer, at, admin string) {
	fmt.Fprintf(out, "cachedrill origin  %d servers, %v a request (%s, seed %d), queue %d\n", f.Servers, f.ServiceTime, f.distribution, f.Seed, f.Queue)
	fmt.Fprintf(out, "  cache-control  %s\n", f.CacheControl)
	if admin != "" {
		fmt.Fprintf(out, "admin on %s (no authentication)\n", admin)
	}
	fmt.Fprintf(out, "listening on %s (no authentication)\n  curl -i -X PUT %s/products/17 -d first; curl -i %[2]s/products/17\n", at, at)
}
