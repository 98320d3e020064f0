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

	"github.com/cachedrill/cachedrill/targets/service"
)

// serveFlags are what a user can say about a process of the reference service. It is wide because
// each field is one flag.
type serveFlags struct {
	config, file, region, listen, admin string
	redis, source, policy               string
	prices, sourceRegion                string
	without, tenants, pools, assign     []string
	l1Size                              int
	drain                               time.Duration
	noRelay, metrics                    bool
}

// Where the flags that may hold a password are read from when they aren't given: others can see a
// command line.
const (
	redisEnv  = "CACHEDRILL_REDIS"
	sourceEnv = "CACHEDRILL_SOURCE"
)

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run one process of the reference service, on a Redis and a PostgreSQL of yours",
		Long: `Runs one worker of the reference service: a three-tier cache over a source of truth, behind HTTP. Any number of processes
share one Redis per region and one PostgreSQL.

  GET    /{family}/{id}?tenant=&locale=&currency=&variant=    the value: 404 there is none, 503 no honest answer in time
  PUT    likewise; the body is the write's token, and 204 says that it is committed
  DELETE likewise
  GET    /healthz /readyz /metrics                            it lives; the source answers; for Prometheus

There is no authentication: who reaches the address reads, writes and deletes. --listen is loopback unless you say otherwise.

--prices has prices and budgets: /metrics then tells what things cost, and which budgets are exceeded, and a line on standard error
says when that changes. The memory of Redis is reported without it.

Families and regions come from --config (what a suite has under target.reference: regions, source, families), or from a suite.
A process serves one region. Every process runs the region's relay, which drops what others have changed; to run it twice does no
harm, and --no-relay leaves it to others.

Families can have a Redis of their own, so that what happens to the region's is nothing to them, and the other way round: the file
says "pools: [critical]" and of a family "pool: critical", or --assign does; --pool, or the environment variable
` + redisEnv + `_CRITICAL, says where that Redis is. Databases of one server are apart when one is flushed, and not when
the server is away or full.

--admin opens a second port, on loopback, that shows and switches the policy while the process runs:
  curl -X POST 'http://127.0.0.1:9000/policy?name=cautious'    and ?rollback=1 for the one before

SIGTERM or Ctrl-C: /readyz says 503 for --drain, then requests under way end, then everything closes; exit code 0. A second one
skips the wait. Passwords stay out of the process list in the environment variables ` + redisEnv + ` and ` + sourceEnv + `.`,
		Example: `  cachedrill serve --region eu                        # the default suite's families, everything in this process
  curl -X PUT 'http://127.0.0.1:8080/product/17?tenant=t1&locale=de' -d my-first-write
  curl -i     'http://127.0.0.1:8080/product/17?tenant=t1&locale=de'

  cachedrill serve --config shop.yaml --region eu --redis redis://cache.eu:6379 --source postgres://shop@db/shop
  cachedrill serve --config shop.yaml --region eu --redis redis://cache.eu:6379 --pool critical=redis://cache.eu:6379/1 \
      --assign price=critical --source postgres://shop@db/shop
  cachedrill serve -f scenarios.yaml --region eu --policy naive
  cachedrill serve --region eu --without jitter,fill-lease --admin 127.0.0.1:9000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return serve(c, f) },
	}
	fileFlag(c, &f.file)
	c.Flags().StringVar(&f.config, "config", "", "regions, source and families, as a suite has them under target.reference")
	c.Flags().StringVar(&f.region, "region", "", "the region of this process (default: the only one there is)")
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "host:port of the service; port 0 takes a free one")
	c.Flags().StringVar(&f.admin, "admin", "", "host:port on loopback where the policy is switched (default: nowhere)")
	c.Flags().StringVar(&f.redis, "redis", "auto", "redis://[user:password@]host:port[/database], rediss:// for TLS; or one for this process alone: embedded, process, auto")
	c.Flags().StringArrayVar(&f.pools, "pool", nil, "NAME=REDIS: where families of that pool have their copies; may be another database of the same server, redis://host:port/1")
	c.Flags().StringArrayVar(&f.assign, "assign", nil, "FAMILY=POOL: assign a family to a pool, whatever the file says")
	renamedFlag(c, "place", "pool")
	renamedFlag(c, "put", "assign")
	c.Flags().StringVar(&f.source, "source", "model", "postgres://user:password@host:port/database; or model: in memory, for this process alone")
	c.Flags().StringVar(&f.sourceRegion, "source-region", "", "where the source is; in another region, what goes to it and comes from it crosses regions")
	c.Flags().StringVar(&f.prices, "prices", "", "file of prices and budgets, for metrics of costs and alarms (default: the prices of the suite)")
	c.Flags().StringVar(&f.policy, "policy", "recommended", "how the cache behaves: a policy of the suite, or recommended or naive")
	c.Flags().StringSliceVar(&f.without, "without", nil, "controls to take from the policy")
	c.Flags().StringSliceVar(&f.tenants, "tenants", nil, "tenants that the metrics count by name")
	c.Flags().IntVar(&f.l1Size, "l1-size", 10_000, "copies kept in memory")
	c.Flags().DurationVar(&f.drain, "drain", time.Second, "how long to go on after /readyz reports that it ends")
	c.Flags().BoolVar(&f.noRelay, "no-relay", false, "leave the region's relay to other processes")
	c.Flags().BoolVar(&f.metrics, "metrics", true, "count what the cache does, and serve /metrics")
	return c
}

// renamedFlag refuses the old name of a flag with an error that gives the new one. Help does not
// list it.
func renamedFlag(c *cobra.Command, old, now string) {
	c.Flags().Func(old, "", func(string) error { return fmt.Errorf("--%s is now --%s", old, now) })
	_ = c.Flags().MarkHidden(old) // fails only for a flag that does not exist
}

// grace is how long requests may take to end.
const grace = 15 * time.Second

func serve(c *cobra.Command, f serveFlags) error {
	for flag, env := range map[string]string{"redis": redisEnv, "source": sourceEnv} {
		if v := os.Getenv(env); v != "" && !c.Flags().Changed(flag) {
			*map[string]*string{"redis": &f.redis, "source": &f.source}[flag] = v
		}
	}
	what, err := f.served()
	if err != nil {
		return exit{exitUsage, err}
	}
	if what.note != "" {
		fmt.Fprintln(c.ErrOrStderr(), what.note)
	}
	if err := f.check(); err != nil {
		return exit{exitUsage, err}
	}
	ctx := c.Context()
	what.metering.Alarm = func(line string) {
		fmt.Fprintf(c.ErrOrStderr(), "%s %s\n", time.Now().UTC().Format(time.RFC3339), line)
	}
	p, tiers, err := f.start(ctx, what)
	if err != nil {
		return err
	}
	err = f.answer(ctx, c.OutOrStdout(), p, what, tiers)
	return errors.Join(err, failure(p.Close()), failure(tiers.close()))
}

// check refuses what can't be before anything is started.
func (f serveFlags) check() error {
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return fmt.Errorf("--listen %q: host:port is needed, as in 127.0.0.1:8080", f.listen)
	}
	if f.l1Size < 1 {
		return fmt.Errorf("--l1-size %d: at least 1 (to have no copies in memory: --without l1)", f.l1Size)
	}
	if f.prices != "" && !f.metrics {
		return errors.New("--prices: costs and budgets are shown by metrics, which --metrics=false leaves out")
	}
	if f.sourceRegion != "" && f.source == "model" {
		return errors.New("--source-region is for --source postgres://...: the model is in this process, and so in its region")
	}
	if f.drain < 0 {
		return fmt.Errorf("--drain %v: how long can't be negative", f.drain)
	}
	if f.admin == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(f.admin)
	if err != nil {
		return fmt.Errorf("--admin %q: host:port is needed, as in 127.0.0.1:9000", f.admin)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--admin %q: it has no authentication, and so must be on loopback: 127.0.0.1:9000", f.admin)
	}
	return nil
}

// start connects to what is below the process, and starts it.
func (f serveFlags) start(ctx context.Context, what served) (*service.Process, *tiers, error) {
	t := &tiers{}
	redis, pools, err := t.openRedises(ctx, f, what)
	if err == nil {
		err = t.openSource(ctx, f, what)
	}
	if err != nil {
		return nil, nil, errors.Join(err, failure(t.close()))
	}
	if t.traffic != nil {
		what.metering.CrossRegionBytes = t.traffic.Bytes
	}
	feed := t.feed
	if f.noRelay {
		feed = nil
	}
	host, _ := os.Hostname()
	p, err := service.NewProcess(ctx, service.ProcessConfig{
		Name: fmt.Sprintf("%s-%s-%d", what.region, host, os.Getpid()), Spec: what.spec, Region: what.region, Policy: what.policy,
		Source: t.source, Feed: feed, Redis: redis, Pools: pools, L1Size: f.l1Size, Tenants: f.tenants, Unobserved: !f.metrics,
		Metering: what.metering,
	})
	if err != nil {
		return nil, nil, errors.Join(exit{exitFail, fmt.Errorf("starting the service: %w", err)}, failure(t.close()))
	}
	return p, t, nil
}

// answer answers requests until ctx ends, and then until those under way have ended.
func (f serveFlags) answer(ctx context.Context, out io.Writer, p *service.Process, what served, t *tiers) error {
	l := newListeners(2)
	const idle = 2 * time.Minute
	at, err := l.open("listen", f.listen, idle, p.Handler())
	if err != nil {
		return err
	}
	admin := ""
	if f.admin != "" {
		if admin, err = l.open("admin", f.admin, idle, p.Admin(what.find, what.known)); err != nil {
			l.close()
			return err
		}
	}
	what.greet(ctx, out, f, p, t, at, admin)
	broken := l.wait(ctx)
	p.Drain()
	again, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if broken == nil && f.drain > 0 {
		fmt.Fprintf(out, "ending: not ready any more, going on for %v\n", f.drain)
		select {
		case <-time.After(f.drain):
		case <-again.Done():
		}
	}
	last, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := errors.Join(failure(broken), failure(l.shutdown(last))); err != nil {
		return err
	}
	fmt.Fprintln(out, "ended: every request was answered")
	return nil
}
