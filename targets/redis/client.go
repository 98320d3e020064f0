package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cachedrill/cachedrill/targets"
)

// newClient makes a client that dials whatever addr gives at that moment ("" is refused).
func newClient(name string, addr func() string, patience time.Duration) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: name, // names the client; the address is the dialer's
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			to := addr()
			if to == "" {
				return nil, fmt.Errorf("%s was never started", name)
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp4", to)
		},
		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           patience,
		ReadTimeout:           patience,
		WriteTimeout:          patience,
		PoolTimeout:           patience,
		// After this many failed dials the client answers with the last error without dialling, up
		// to a second longer than that holds. Connections are only made when needed.
		PoolSize:         1000,
		MaxIdleConns:     4,
		PipelinePoolSize: -1,
		// miniredis knows neither CLIENT SETINFO nor CLIENT MAINT_NOTIFICATIONS.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// products are the fields of INFO that carry a server's version, the most specific first: Valkey
// tells a redis_version too, for the sake of old clients.
var products = [...]struct{ field, name string }{
	{"valkey_version", "valkey"},
	{"miniredis_version", "miniredis"},
	{"redis_version", "redis"},
}

// ask has the server identify itself.
func ask(ctx context.Context, c *goredis.Client, b Backend) (targets.RedisIdentity, error) {
	pipe := c.Pipeline()
	info, size := pipe.Info(ctx, "server"), pipe.DBSize(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return targets.RedisIdentity{}, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(info.Val()) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[k] = v
		}
	}
	id := targets.RedisIdentity{Backend: string(b), RunID: fields["run_id"], Keys: size.Val()}
	for _, p := range products {
		if v, ok := fields[p.field]; ok {
			id.Version = strings.TrimSpace(p.name + " " + v)
			break
		}
	}
	if id.RunID == "" || id.Version == "" {
		return targets.RedisIdentity{}, errors.New("its INFO tells no run_id or no version")
	}
	pid, err := strconv.Atoi(fields["process_id"])
	if err != nil {
		return targets.RedisIdentity{}, fmt.Errorf("reading process_id of its INFO: %w", err)
	}
	id.PID = pid
	return id, nil
}
