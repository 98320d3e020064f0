package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/targets"
)

// owned is a Redis that its owner runs. It can be restarted only by its owner's commands.
type owned struct {
	facts
	config Config
	client *goredis.Client
}

// CheckURL reports whether a text is the URL of a Redis: redis://, rediss:// (TLS), or unix://. Its
// error does not show the text, which may hold a password.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errURL
	}
	switch {
	case (u.Scheme == "redis" || u.Scheme == "rediss") && u.Hostname() != "":
	case u.Scheme == "unix" && u.Path != "":
	default:
		return errURL
	}
	if _, err := goredis.ParseURL(text); err != nil {
		return errURL
	}
	return nil
}

var errURL = errors.New("no URL of a Redis")

func openURL(name string, c Config, f facts) (Node, error) {
	o, err := goredis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: its url can't be read; %s", name, secret.Encoding) // the text may hold a password
	}
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries = true, -1, 1
	o.Dialer = connector(c.Dial, o.TLSConfig)
	return &owned{facts: f, config: c, client: goredis.NewClient(o)}, nil
}

// connector makes connections by dial, with TLS when it is configured.
func connector(dial func(ctx context.Context, network, addr string) (net.Conn, error), secure *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil || secure == nil {
			return conn, err
		}
		c := tls.Client(conn, secure)
		if err := c.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return c, nil
	}
}

const commandLimit = 10 * time.Second // of a command of the owner

// run runs a command of the owner, for at most 10 s. It heeds no context: a command that was begun
// is waited for.
func (f *owned) run(what string, argv []string) error {
	if len(argv) == 0 {
		return fmt.Errorf("%w: the suite does not give the command to %s this Redis", errors.ErrUnsupported, what)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	words := secret.FillAll(argv)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.WaitDelay = f.config.Dir, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %q: %w: %.200s", argv, err, out)
	}
	return nil
}

// Start is [Node.Start], by the owner's command.
func (f *owned) Start(context.Context) error { return f.run("start", f.config.Start) }

// Stop is [Node.Stop], by the owner's command.
func (f *owned) Stop(context.Context) error { return f.run("stop", f.config.Stop) }

// Kill is [Node.Kill], by the owner's command.
func (f *owned) Kill(context.Context) error { return f.run("kill", f.config.Kill) }

// Pause is [Node.Pause]: only its owner could.
func (f *owned) Pause(context.Context) error {
	return fmt.Errorf("pausing a Redis of its owner's: %w", errors.ErrUnsupported)
}

// Resume is [Node.Resume].
func (f *owned) Resume(context.Context) error {
	return fmt.Errorf("resuming a Redis of its owner's: %w", errors.ErrUnsupported)
}

// Addr is [Node.Addr].
func (f *owned) Addr() string { return f.client.Options().Addr }

// Client is [Node.Client].
func (f *owned) Client() *goredis.Client { return f.client }

// Close lets go of the connections.
func (f *owned) Close() error { return f.client.Close() }

// Keys is [Node.Keys].
func (f *owned) Keys() faults.Keys { return rediskeys.Of(f.client) }

// Ping implements [faults.ServerProbe].
func (f *owned) Ping(ctx context.Context) error { return rediskeys.Ping(ctx, f.client, f.Addr()) }

// Location implements [faults.ServerFacts].
func (f *owned) Location() undo.Server {
	o := f.client.Options()
	return undo.Server{Addr: o.Addr, DB: o.DB, Login: f.config.Login, TLS: o.TLSConfig != nil}
}

const identityLimit = 2 * time.Second

// Identity is [Node.Identity].
func (f *owned) Identity(ctx context.Context) (targets.RedisIdentity, error) {
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
			_, _ = fmt.Sscan(v, &id.PID) // 0: unknown
		}
	}
	id.Keys, err = f.client.DBSize(ctx).Result()
	return id, err
}
