package redismonitor

import (
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

func TestARealRedisTells(t *testing.T) {
	s := redistest.Start(t, goredis.Options{Password: "secret"}, "--requirepass", "secret")
	o := goredis.Options{Addr: s.Addr, Password: "secret", PoolSize: 1, Protocol: 2, DisableIdentity: true}
	_, err := Listen(t.Context(), Options{Addr: s.Addr}, "")
	require.ErrorContains(t, err, "NOAUTH")

	epoch := time.Now()
	r, err := Listen(t.Context(), Options{Addr: s.Addr, Password: "secret"}, "shop:")
	require.NoError(t, err)
	defer r.Close()
	a, b := goredis.NewClient(&o), goredis.NewClient(&o)
	defer a.Close()
	defer b.Close()
	for _, key := range []string{"shop:lock", "others:lock"} {
		require.True(t, a.SetNX(t.Context(), key, "1", 50*time.Millisecond).Val())
		require.Eventually(t, func() bool { return b.SetNX(t.Context(), key, "1", 10*time.Second).Val() }, 5*time.Second, 5*time.Millisecond)
		require.NoError(t, a.Do(t.Context(), "setex", "shop:"+strings.Repeat("v", 10), 60, "\x00 "+strings.Repeat("y", 2<<20)).Err())
		require.NoError(t, a.Do(t.Context(), "setex", "shop:value", 60, "x y").Err())
		require.EqualValues(t, 1, a.Del(t.Context(), key).Val())
	}
	require.Eventually(t, func() bool { return len(r.Found(epoch).Thefts) > 0 }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, a.Ping(t.Context()).Err())
	f := r.Found(epoch)
	require.Len(t, f.Thefts, 1)
	require.Equal(t, "shop:lock", f.Thefts[0].Key)
	require.NotEqual(t, f.Thefts[0].Late.Client, f.Thefts[0].Holder.Client)
	require.Equal(t, `SETEX shop:value 60 "x y"`, strings.ToUpper(f.Thefts[0].Stored.String()[:5])+f.Thefts[0].Stored.String()[5:])
	require.Less(t, (f.Shift + time.Duration(epoch.UnixNano())).Abs(), time.Second, "one machine has one clock")
	require.Less(t, f.Thefts[0].Lost, f.Thefts[0].Holder.At+slack)
	require.Zero(t, f.Gaps)

	// It is cut off: the holders are unknown, and it connects again.
	require.True(t, a.SetNX(t.Context(), "shop:2", "1", 50*time.Millisecond).Val())
	require.NoError(t, a.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	require.Eventually(t, func() bool { return r.Found(epoch).Gaps == 1 }, 5*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(a.ClientList(t.Context()).Val(), "cmd=monitor") }, 5*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return b.SetNX(t.Context(), "shop:2", "1", 10*time.Second).Val() }, 5*time.Second, 5*time.Millisecond)
	require.EqualValues(t, 1, a.Del(t.Context(), "shop:2").Val())
	require.Never(t, func() bool { return len(r.Found(epoch).Thefts) > 1 }, 100*time.Millisecond, 10*time.Millisecond)
}

func TestNobodyToListenTo(t *testing.T) {
	_, err := Listen(t.Context(), Options{Addr: "127.0.0.1:1"}, "")
	require.ErrorContains(t, err, "MONITOR")
}
