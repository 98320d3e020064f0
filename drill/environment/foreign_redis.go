package environment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// foreignRedis is a Redis that somebody else runs. It can be restarted only by its owner's commands.
type foreignRedis struct {
	plan   *scenarios.RedisPlan
	dir    string // where its commands run
	addr   string
	client *goredis.Client
}

func newForeignRedis(plan *scenarios.RedisPlan, dir string) (*foreignRedis, error) {
	o, err := goredis.ParseURL(plan.URL)
	if err != nil {
		return nil, errors.New("the Redis: its url can't be read") // the text may hold a password
	}
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries = true, -1, 1
	return &foreignRedis{plan: plan, dir: dir, addr: o.Addr, client: goredis.NewClient(o)}, nil
}

func (f *foreignRedis) run(ctx context.Context, what string, argv []string) error {
	if len(argv) == 0 {
		return fmt.Errorf("%w: the suite does not say how to %s this Redis", errors.ErrUnsupported, what)
	}
	return runCommand(argv, f.dir)
}

// Start implements [faults.Node], by the owner's command.
func (f *foreignRedis) Start(ctx context.Context) error { return f.run(ctx, "start", f.plan.Start) }

// Stop implements [faults.Node], by the owner's command.
func (f *foreignRedis) Stop(ctx context.Context) error { return f.run(ctx, "stop", f.plan.Stop) }

// Kill implements [faults.Node], by the owner's command.
func (f *foreignRedis) Kill(ctx context.Context) error { return f.run(ctx, "kill", f.plan.Kill) }

// Can implements [faults.Limited].
func (f *foreignRedis) Can(action string) error {
	if len(map[string][]string{"start": f.plan.Start, "stop": f.plan.Stop, "kill": f.plan.Kill}[action]) == 0 {
		return fmt.Errorf("%w: the suite does not say how to %s this Redis", errors.ErrUnsupported, action)
	}
	return nil
}

// StartCommand implements [faults.Commanded].
func (f *foreignRedis) StartCommand() []string { return f.plan.Start }

// Addr implements [faults.Node].
func (f *foreignRedis) Addr() string { return f.addr }

// Client implements [faults.Node].
func (f *foreignRedis) Client() *goredis.Client { return f.client }

// Close lets go of the connections.
func (f *foreignRedis) Close() error { return f.client.Close() }

const identityLimit = 2 * time.Second

// Identity implements [faults.Node].
func (f *foreignRedis) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	ctx, cancel := context.WithTimeout(ctx, identityLimit)
	defer cancel()
	info, err := f.client.Info(ctx, "server").Result()
	if err != nil {
		return targets.RedisIdentity{}, err
	}
	id := targets.RedisIdentity{Backend: "url"}
	for line := range strings.Lines(info) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			id.Version = "redis " + v
		case "run_id":
			id.RunID = v
		case "process_id":
			_, _ = fmt.Sscan(v, &id.PID) // 0 is "not told"
		}
	}
	id.Keys, err = f.client.DBSize(ctx).Result()
	return id, err
}
