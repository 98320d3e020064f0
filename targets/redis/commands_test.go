package redis

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// What every backend must know, because caches or faults use it.

func testCommands(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	for _, protocol := range []int{2, 3} {
		c := outsider(t, n, protocol)
		require.NoError(t, c.FlushAll(ctx).Err())
		ok, err := c.SetNX(ctx, "lock", "mine", time.Minute).Result()
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = c.SetNX(ctx, "lock", "yours", time.Minute).Result()
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, "mine", c.Get(ctx, "lock").Val())
		require.Equal(t, "in", c.GetRange(ctx, "lock", 1, 2).Val())
		require.Equal(t, []any{"mine", nil}, c.MGet(ctx, "lock", "none").Val())
		require.EqualValues(t, 1, c.DBSize(ctx).Val())
		require.EqualValues(t, 7, c.IncrBy(ctx, "n", 7).Val())
		require.EqualValues(t, 2, c.Del(ctx, "lock", "n").Val())
		now, err := c.Time(ctx).Result()
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), now, time.Minute)
		_, err = c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			p.Set(ctx, "a", 1, 0)
			p.PExpireAt(ctx, "a", time.Now().Add(time.Hour))
			return nil
		})
		require.NoError(t, err)
		require.Greater(t, c.PTTL(ctx, "a").Val(), time.Minute)
	}
}

func testPubSub(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	for _, protocol := range []int{2, 3} {
		c := outsider(t, n, protocol)
		for channels, subscribe := range map[string]func(context.Context, ...string) *goredis.PubSub{
			"inv:eu": c.Subscribe, "inv:*": c.PSubscribe,
		} {
			sub := subscribe(ctx, channels)
			_, err := sub.Receive(ctx) // subscribed
			require.NoError(t, err)
			const many = 200
			for i := range many {
				require.EqualValues(t, 1, n.Client().Publish(ctx, "inv:eu", i).Val())
			}
			for i := range many {
				m, err := sub.ReceiveMessage(ctx)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(i), m.Payload)
			}
			require.NoError(t, sub.Close())
			require.Eventually(t, func() bool { return n.Client().Publish(ctx, "inv:eu", "x").Val() == 0 },
				20*time.Second, time.Millisecond)
		}
	}
}

func testScripts(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	release := goredis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)
	run := func(token string) int64 {
		got, err := release.Run(ctx, n.Client(), []string{"lock"}, token).Int64()
		require.NoError(t, err)
		return got
	}
	require.NoError(t, n.Client().Set(ctx, "lock", "mine", 0).Err())
	require.EqualValues(t, 0, run("yours"))
	require.EqualValues(t, 1, run("mine"))
	require.Equal(t, []bool{true}, release.Exists(ctx, n.Client()).Val())
	require.NoError(t, n.Stop(ctx))
	require.NoError(t, n.Start(ctx))
	require.Equal(t, []bool{false}, release.Exists(ctx, n.Client()).Val())
	require.EqualValues(t, 0, run("mine"), "EVALSHA falls back to EVAL")
}

func testScan(t *testing.T, b Backend) {
	n, ctx := started(t, b), soon(t)
	c := n.Client()
	_, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range 1500 {
			p.Set(ctx, fmt.Sprintf("tenant:t%d:product:%d:v1", i%7, i), i, time.Hour)
			p.Set(ctx, fmt.Sprintf("tenant:t%d:price:%d:v1", i%7, i), i, 0)
		}
		return nil
	})
	require.NoError(t, err)
	seen := map[string]bool{}
	for it := c.Scan(ctx, 0, "tenant:*:product:*", 100).Iterator(); ; {
		if !it.Next(ctx) {
			require.NoError(t, it.Err())
			break
		}
		require.True(t, strings.Contains(it.Val(), ":product:"), it.Val())
		seen[it.Val()] = true
	}
	require.Len(t, seen, 1500)
}
