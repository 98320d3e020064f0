package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/targets"
)

// Restart stops the Redis of a region, keeps it down, and starts it again, empty.
//
// Evidence: while it is down, a TCP dial to its address is refused, at injection and again just before
// the heal; afterwards another incarnation answers, with less in it than before. A Redis under load is
// filled again at once, so its key count at the first probe need not be 0; it is in the evidence.
type Restart struct {
	Region string
	Pool   string        // "": the region's own Redis
	Down   time.Duration // above 0; how long it stays away
	sham   bool
}

// DefaultDown is how long redis.restart keeps the Redis down.
const DefaultDown = 500 * time.Millisecond

const (
	restartInjectLimit = 10 * time.Second
	restartHealLimit   = 20 * time.Second
	dialLimit          = 300 * time.Millisecond // of one dial or ping on the way to evidence
	refusalLimit       = time.Second            // for a stopped Redis to refuse connections
)

// String gives the fault as YAML shows it.
func (f Restart) String() string {
	return render(f.sham, "redis.restart", [2]string{"region", f.Region}, [2]string{"pool", f.Pool}, [2]string{"down", f.Down.String()})
}

// Inject stops the Redis; it returns within 10 s, and some seconds more when it must undo.
func (f Restart) Inject(ctx context.Context, site Site) (Injected, error) {
	return (&downtime{fault: f, sham: f.sham, site: site, action: "stop", doing: "stopping", end: Node.Stop}).inject(ctx, targets.RedisName(f.Region, f.Pool), f.Down)
}

// Kill ends the Redis of a region as a crash does, keeps it down, and starts it again, empty.
//
// Evidence is that of [Restart].
type Kill struct {
	Region string
	Down   time.Duration // above 0; how long it stays away
	sham   bool
}

// String gives the fault as YAML shows it.
func (f Kill) String() string {
	return render(f.sham, "redis.kill", [2]string{"region", f.Region}, [2]string{"down", f.Down.String()})
}

// Inject kills the Redis; it returns within 10 s, and some seconds more when it must undo.
func (f Kill) Inject(ctx context.Context, site Site) (Injected, error) {
	return (&downtime{fault: f, sham: f.sham, site: site, action: "kill", doing: "killing", end: Node.Kill}).inject(ctx, f.Region, f.Down)
}

func (d *downtime) inject(ctx context.Context, redis string, down time.Duration) (Injected, error) {
	if down <= 0 {
		return Injected{}, fmt.Errorf("%s: down must be above 0", d.fault)
	}
	if _, err := pick(d.site.Nodes, "Redis", []string{redis}); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", d.fault, err)
	}
	d.node, d.name = d.site.Nodes[redis], "redis@"+redis
	if n, ok := d.node.(Limited); ok {
		for _, action := range []string{d.action, "start"} {
			if err := n.Can(action); err != nil {
				return Injected{}, fmt.Errorf("%s: %w", d.fault, err)
			}
		}
	}
	u := undo{Kind: undoNothing, Why: "its Redis was the process's own, and ended with it"}
	if at := whereIs(d.node); !at.Own {
		u = undo{Kind: undoStart, Redis: at}
		if n, ok := d.node.(Commanded); ok {
			u.Command = n.StartCommand()
		}
	}
	return d.site.record(d.fault, d.sham, []string{d.name + " " + d.node.Addr()}, u, func(*entry) (Injected, error) {
		inject, cancel := context.WithTimeout(ctx, restartInjectLimit)
		defer cancel()
		if err := d.stop(inject); err != nil {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartHealLimit)
			defer cancel()
			return Injected{}, fmt.Errorf("%s: %w", d.fault, halfDone(err, d.start(undo)))
		}
		return Injected{Evidence: d.first, Began: d.began, Hold: down, Heal: healOnce(restartHealLimit, d.heal)}, nil
	})
}

// downtime is one Redis on its way down and up again.
type downtime struct {
	fault  Fault
	sham   bool
	site   Site
	action string // what ends it: a word, ...
	doing  string // ... what is being done meanwhile, ...
	end    func(Node, context.Context) error
	node   Node
	name   string

	began   time.Time
	before  targets.RedisIdentity
	stopped bool   // it may have been ended, so that Start may be needed
	first   string // what proved, at injection, that it is down
	last    string // what proved it just before the start
	up      bool
	after   targets.RedisIdentity
	probed  bool // after is known
}

func (d *downtime) addr() string { return d.node.Addr() }

func (d *downtime) stop(ctx context.Context) error {
	var err error
	if d.before, err = d.node.Identity(ctx); err != nil {
		return fmt.Errorf("asking %s who it is: %w", d.name, err)
	}
	d.began = time.Now()
	if d.sham {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.stopped = true
	if err := d.end(d.node, ctx); err != nil {
		d.stopped = !errors.Is(err, errors.ErrUnsupported)
		return fmt.Errorf("%s %s: %w", d.doing, d.name, err)
	}
	d.first = d.refused(refusalLimit)
	return nil
}

// refused says that a dial is refused, and when; "" when none was refused within limit. Every other
// failure of a dial is no proof. It asks no context: what it costs is bounded, and the proof is due
// whether or not the drill goes on.
func (d *downtime) refused(limit time.Duration) string {
	for end := time.Now().Add(limit); ; {
		conn, err := net.DialTimeout("tcp", d.addr(), dialLimit)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Sprintf("%s refused connections%s", d.name, d.site.stamp())
		}
		if err == nil {
			_ = conn.Close()
		}
		if !time.Now().Before(end) {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// start brings the Redis up when it is not, and returns when it answers a ping.
func (d *downtime) start(ctx context.Context) error {
	if !d.stopped || d.up {
		return nil
	}
	if ping(ctx, d.node) != nil {
		if err := d.node.Start(ctx); err != nil && ping(ctx, d.node) != nil {
			return fmt.Errorf("starting %s again: %w", d.name, err)
		}
	}
	for {
		err := ping(ctx, d.node)
		if err == nil {
			d.up = true
			return nil
		}
		if wait(ctx, time.Now().Add(20*time.Millisecond)) != nil {
			return fmt.Errorf("%s was started again and does not answer: %w", d.name, err)
		}
	}
}

func (d *downtime) heal(ctx context.Context) (string, error) {
	if d.first != "" && d.last == "" && !d.up {
		d.last = d.refused(0)
	}
	if err := d.start(ctx); err != nil {
		return "", err
	}
	if !d.probed {
		after, err := d.node.Identity(ctx)
		if err != nil {
			return "", fmt.Errorf("asking %s who it is now: %w", d.name, err)
		}
		d.after, d.probed = after, true
	}
	if d.sham {
		if !d.after.Same(d.before) {
			return "", fmt.Errorf("%s: %s was %s and is %s, though nobody restarted it", d.fault, d.name, d.before.Incarnation(), d.after.Incarnation())
		}
		if err := ping(ctx, d.node); err != nil {
			return "", fmt.Errorf("%s: pinging %s: %w", d.fault, d.name, err)
		}
		return fmt.Sprintf("%s: same run_id before and after (%s), ping answered", shamOf(d.fault), d.after.Incarnation()), nil
	}
	return d.evidence(), nil
}

func (d *downtime) evidence() string {
	another := d.after.RunID != d.before.RunID && (d.after.PID == 0 || d.after.PID != d.before.PID)
	emptied := d.after.Keys == 0 || d.after.Keys < d.before.Keys
	if d.first == "" || d.last == "" || !another || !emptied {
		return ""
	}
	return fmt.Sprintf("%s and until its start; then another incarnation answered: %s before, %s after, %s keys (%s before)",
		d.first, d.before.Incarnation(), d.after.Incarnation(), grouped(d.after.Keys), grouped(d.before.Keys))
}

// ping asks over a new connection: the pool of the node's own client may remember that the server was
// away for longer than it was.
func ping(ctx context.Context, n Node) error {
	o := n.Client().Options()
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	// go-redis logs what it can't dial, and here that is expected.
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.Addr())
	if err != nil {
		return err
	}
	_ = conn.Close()
	fresh := goredis.NewClient(&goredis.Options{
		Addr: n.Addr(), Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		// As many failed dials as the pool is large make a client dial on in the background.
		PoolSize: 10, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: dialLimit, ReadTimeout: dialLimit, WriteTimeout: dialLimit,
	})
	defer func() { _ = fresh.Close() }()
	return fresh.Ping(ctx).Err()
}
