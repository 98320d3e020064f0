package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/thousands"
	"github.com/cachedrill/cachedrill/targets"
)

const (
	restartInjectLimit = 10 * time.Second
	restartHealLimit   = 20 * time.Second
	refusalLimit       = time.Second // for a stopped Redis to refuse connections
)

// downtime is one Redis on its way down and up again.
type downtime struct {
	fault  Fault
	site   Site
	needs  Capability
	doing  string // while ending it
	end    func(Server, context.Context) error
	server Server
	name   string

	began   time.Time
	before  targets.RedisIdentity
	stopped bool   // it may have been ended, so that Start may be needed
	first   string // what proved, at injection, that it is down
	last    string // what proved it just before the start
	up      bool
	after   *targets.RedisIdentity // nil: not asked yet
}

func (d *downtime) inject(ctx context.Context, redis string, down time.Duration) (Injected, error) {
	if down <= 0 {
		return Injected{}, fmt.Errorf("%s: down must be above 0", d.fault)
	}
	if _, err := pick(d.site.Servers, "Redis", []string{redis}); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", d.fault, err)
	}
	d.server, d.name = d.site.Servers[redis], "redis@"+redis
	if err := d.server.Capabilities().Check(d.needs); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", d.fault, err)
	}
	step, err := undoDowntime(d.server, redis)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", d.fault, err)
	}
	where := []string{d.name + " " + d.server.Location().Addr}
	return d.site.Record(d.fault, where, step, func(*undo.Entry) (Injected, error) {
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

func (d *downtime) stop(ctx context.Context) error {
	var err error
	if d.before, err = d.server.Identity(ctx); err != nil {
		return fmt.Errorf("identifying %s: %w", d.name, err)
	}
	d.began = time.Now()
	if err := ctx.Err(); err != nil {
		return err
	}
	d.stopped = true
	if err := d.end(d.server, ctx); err != nil {
		d.stopped = !errors.Is(err, errors.ErrUnsupported)
		return fmt.Errorf("%s %s: %w", d.doing, d.name, err)
	}
	if !d.site.Inert() {
		d.first = d.refused(refusalLimit)
	}
	return nil
}

// refused gives evidence that a connection is refused, and when; "" when none was refused within
// limit. Every other failure is no proof. It heeds no context: what it costs is bounded, and the
// proof is due whether or not the drill goes on.
func (d *downtime) refused(limit time.Duration) string {
	for end := time.Now().Add(limit); ; {
		if errors.Is(d.server.Ping(context.Background()), syscall.ECONNREFUSED) {
			return fmt.Sprintf("%s refused connections%s", d.name, d.site.stamp())
		}
		if !time.Now().Before(end) {
			return ""
		}
		_ = pause.For(context.Background(), 10*time.Millisecond)
	}
}

// start brings the Redis up when it is not, and returns when it answers a ping.
func (d *downtime) start(ctx context.Context) error {
	if !d.stopped || d.up {
		return nil
	}
	if d.server.Ping(ctx) != nil {
		if err := d.server.Start(ctx); err != nil && d.server.Ping(ctx) != nil {
			return fmt.Errorf("starting %s again: %w", d.name, err)
		}
	}
	for {
		err := d.server.Ping(ctx)
		if err == nil {
			d.up = true
			return nil
		}
		if pause.For(ctx, 20*time.Millisecond) != nil {
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
	if d.after == nil {
		after, err := d.server.Identity(ctx)
		if err != nil {
			return "", fmt.Errorf("identifying %s after its start: %w", d.name, err)
		}
		d.after = &after
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
		d.first, d.before.Incarnation(), d.after.Incarnation(), thousands.Group(d.after.Keys), thousands.Group(d.before.Keys))
}
