// Package rediskeys is the keys of a Redis as faults see and change them: looked for a few at a
// time, so that the server is never blocked, and in few round trips. It needs Redis 7 or Valkey
// (PEXPIREAT with LT).
package rediskeys

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	scanCount = 1000 // keys that a SCAN looks at before it answers: about 0.1 ms of the server's time
	batch     = 500  // keys in a pipeline
)

// What [Keys.TTLs] gives for a key without an expiry, and for a key that is not there.
const (
	NoExpiry = time.Duration(-1)
	NoKey    = time.Duration(-2)
)

// Keys are the keys of one database of a Redis.
type Keys struct{ client *goredis.Client }

// Of gives the keys that a client reaches. The client stays the caller's.
func Of(client *goredis.Client) Keys { return Keys{client} }

// Scan gives the keys that match a Redis glob, some at a time, some more than once. It ends early
// with the error of each.
func (k Keys) Scan(ctx context.Context, glob string, each func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := k.client.Scan(ctx, cursor, glob, scanCount).Result()
		if err != nil {
			return err
		}
		if err := each(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Clock reads the server's clock.
func (k Keys) Clock(ctx context.Context) (time.Time, error) { return k.client.Time(ctx).Result() }

// TTLs gives how long each key has left, in one round trip; [NoExpiry] or [NoKey].
func (k Keys) TTLs(ctx context.Context, keys []string) ([]time.Duration, error) {
	asked := make([]*goredis.DurationCmd, len(keys))
	_, err := k.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			asked[i] = p.PTTL(ctx, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]time.Duration, len(keys))
	for i := range asked {
		out[i] = asked[i].Val()
	}
	return out, nil
}

// ExpireAt lets keys expire at a moment of the server's clock, in Unix ms, unless they expire
// earlier anyway, in one round trip, and reports which of them will.
func (k Keys) ExpireAt(ctx context.Context, keys []string, at int64) ([]bool, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	sets := make([]*goredis.Cmd, len(keys))
	if _, err := k.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			sets[i] = p.Do(ctx, "PEXPIREAT", key, at, "LT")
		}
		return nil
	}); err != nil {
		return nil, err
	}
	done := make([]bool, len(keys))
	for i := range sets {
		n, err := sets[i].Int()
		done[i] = err == nil && n == 1
	}
	return done, nil
}

// restoreScript gives keys their own expiry back, where they still have the one that was set. KEYS;
// ARGV[1] is what was set, ARGV[2] how exact that is, then for each key its own expiry (0 = none),
// in Unix ms on the server's clock. A key that was written again has another expiry, and is left
// alone.
var restoreScript = goredis.NewScript(`
local n = 0
for i, k in ipairs(KEYS) do
  local at = redis.call('PEXPIRETIME', k)
  if at > 0 and math.abs(at - tonumber(ARGV[1])) <= tonumber(ARGV[2]) then
    if ARGV[i+2] == '0' then redis.call('PERSIST', k) else redis.call('PEXPIREAT', k, ARGV[i+2]) end
    n = n + 1
  end
end
return n`)

// RestoreExpiry gives keys that still have the expiry set, within slack, their own one back, and
// counts them. Moments are Unix ms on the server's clock; an own expiry of 0 is none.
func (k Keys) RestoreExpiry(ctx context.Context, set int64, slack time.Duration, keys []string, own []int64) (n int64, err error) {
	for first := 0; first < len(keys); first += batch {
		end := min(first+batch, len(keys))
		argv := []any{set, slack.Milliseconds()}
		for _, o := range own[first:end] {
			argv = append(argv, o)
		}
		some, err := restoreScript.Run(ctx, k.client, keys[first:end], argv...).Int64()
		if err != nil {
			return n, err
		}
		n += some
	}
	return n, nil
}

// Flushed counts the keys that a [Keys.Flush] found, deleted, and left nevertheless.
type Flushed struct{ Had, Gone, Left int64 }

// Flush deletes the keys that begin with a prefix, or, when that is "", all of the database, and
// counts them in the same step. After an error some may be deleted: Gone counts those.
func (k Keys) Flush(ctx context.Context, prefix string) (did Flushed, err error) {
	if prefix == "" {
		return k.flushAll(ctx)
	}
	err = k.below(ctx, prefix, func(keys []string) error {
		var gone, left *goredis.IntCmd
		if _, err := k.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			gone, left = p.Unlink(ctx, keys...), p.Exists(ctx, keys...)
			return nil
		}); err != nil {
			return err
		}
		did.Had += gone.Val()
		did.Gone += gone.Val()
		did.Left += left.Val()
		return nil
	})
	return did, err
}

func (k Keys) flushAll(ctx context.Context) (Flushed, error) {
	var before, after *goredis.IntCmd
	if _, err := k.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		before = p.DBSize(ctx)
		p.FlushDB(ctx)
		after = p.DBSize(ctx)
		return nil
	}); err != nil {
		return Flushed{}, err
	}
	return Flushed{before.Val(), before.Val() - after.Val(), after.Val()}, nil
}

// Count counts the keys that begin with a prefix, or, when that is "", all of the database.
func (k Keys) Count(ctx context.Context, prefix string) (n int64, err error) {
	if prefix == "" {
		return k.client.DBSize(ctx).Result()
	}
	err = k.below(ctx, prefix, func(keys []string) error { n += int64(len(keys)); return nil })
	return n, err
}

// below gives the keys that begin with a prefix, some at a time.
func (k Keys) below(ctx context.Context, prefix string, each func(keys []string) error) error {
	return k.Scan(ctx, Escape(prefix)+"*", func(keys []string) error {
		mine := slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
		if len(mine) == 0 {
			return nil
		}
		return each(mine)
	})
}

// StillSet counts the keys that are gone, and those whose expiry is still the one that was set and
// not their own, within slack. It asks without the script that [Keys.RestoreExpiry] runs.
func (k Keys) StillSet(ctx context.Context, set int64, slack time.Duration, keys []string, own []int64) (gone, still int64, err error) {
	now := make([]*goredis.DurationCmd, len(keys))
	if _, err := k.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			now[i] = p.PExpireTime(ctx, key)
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	near := func(at int64) bool {
		return at > 0 && math.Abs(float64(at-set)) <= float64(slack.Milliseconds())
	}
	for i := range keys {
		switch at := now[i].Val(); {
		case at == NoKey:
			gone++
		case at > 0 && near(at.Milliseconds()) && !near(own[i]):
			still++
		}
	}
	return gone, still, nil
}

// Escape gives the Redis glob that matches the text and nothing else.
func Escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(text)
}

// Below reports whether every key that a Redis glob matches begins with a prefix.
func Below(glob, prefix string) bool {
	var head strings.Builder // what every match begins with
	for i := 0; i < len(glob) && !strings.ContainsRune("*?[", rune(glob[i])); i++ {
		if glob[i] == '\\' && i+1 < len(glob) {
			i++
		}
		head.WriteByte(glob[i])
	}
	return strings.HasPrefix(head.String(), prefix)
}

const pingLimit = 300 * time.Millisecond

// Ping asks the server that a client is for over a new connection, within 300 ms: the client's pool
// may remember that the server was away for longer than it was. addr is where it listens. The error
// of one that is down wraps [syscall.ECONNREFUSED].
func Ping(ctx context.Context, client *goredis.Client, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	o := client.Options()
	// go-redis logs what it can't dial, and here that is expected.
	conn, err := o.Dialer(ctx, o.Network, addr)
	if o.Network == "unix" && errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("%w: %w", syscall.ECONNREFUSED, err) // its socket is gone with it
	}
	if err != nil {
		return err
	}
	_ = conn.Close()
	fresh := goredis.NewClient(&goredis.Options{
		Network: o.Network, Dialer: o.Dialer, Addr: addr, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity, MaintNotificationsConfig: o.MaintNotificationsConfig,
		// As many failed dials as the pool is large make a client dial on in the background.
		PoolSize: 10, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: pingLimit, ReadTimeout: pingLimit, WriteTimeout: pingLimit,
	})
	defer func() { _ = fresh.Close() }()
	return fresh.Ping(ctx).Err()
}
