package purge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// The purge's script does in Go what it does in Lua, on miniredis and on a real Redis.
func TestPurgeScriptInBothLanguages(t *testing.T) {
	mini := miniredis.RunT(t)
	embedded := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer embedded.Close()
	server := redis.NewClient(&redis.Options{Addr: redistest.Start(t, redis.Options{}).Addr})
	defer server.Close()
	all := []store.Store{memory(), store.NewRedis(embedded), store.NewRedis(server)}
	rng := rand.New(rand.NewPCG(3, 3))
	keys := []string{"a", l2.LeaseKey("a"), "b", l2.LeaseKey("b")}
	for i := range 2_000 {
		k := keys[2*rng.IntN(2)]
		version, which, kind := uint64(rng.IntN(3)), rng.IntN(7), rng.IntN(3)
		e := entry.Encode(policy.Policy{}, entry.Entry{Value: []byte("v"), Meta: policy.Meta{
			Kind: []policy.Kind{policy.Value, policy.Absence, policy.Floor}[kind], Version: version, T0: int64(rng.IntN(3))}})
		floor := []string{"", string(entry.Encode(policy.Policy{}, entry.Entry{Meta: policy.Meta{Kind: policy.Floor, Version: version}}))}[i%2]
		var answers []string
		for _, s := range all {
			var out []string
			var err error
			switch which {
			case 0, 1:
				out, err = s.Run(t.Context(), purgeScript, keys, fmt.Sprint(entry.HeadLength), "60000", floor, "50000", floor)
			case 2:
				out, err = s.Run(t.Context(), l2.StoreScript, []string{k, l2.LeaseKey(k)}, string(e), "60000", "")
			case 3:
				out, err = s.Run(t.Context(), l2.LeaseScript, []string{k, l2.LeaseKey(k)}, "t1", "60000", "renew")
			case 4:
				err = s.Set(t.Context(), k, []byte([]string{"x", "", "c2Vcut off", "c2V" + strings.Repeat("somebody else's ", 10), "somebody else's " + string(e)}[i%5]), time.Minute)
			case 5:
				err = s.Delete(t.Context(), k)
			case 6:
				out, err = s.Run(t.Context(), bus.PurgeScript, []string{bus.EpochKey, bus.NumberKey}, bus.Channel, "all=yes", fmt.Sprint("epoch", i), "60000")
				if i%5 == 0 {
					require.NoError(t, s.Delete(t.Context(), bus.EpochKey))
				}
			}
			reply := fmt.Sprintf("%q %v", out, err)
			for _, k := range append([]string{bus.EpochKey, bus.NumberKey}, keys...) {
				have, ok, err := s.Get(t.Context(), k)
				require.NoError(t, err)
				reply += fmt.Sprintf("; %q %v", have, ok)
			}
			answers = append(answers, reply)
		}
		require.Equal(t, answers[0], answers[1], "miniredis, step %d: command %d", i, which)
		require.Equal(t, answers[0], answers[2], "redis, step %d: command %d", i, which)
	}
	require.NoError(t, server.FlushAll(t.Context()).Err())
	require.NoError(t, server.RPush(t.Context(), "a", "somebody's list").Err())
	out, err := all[2].Run(t.Context(), purgeScript, keys[:2], fmt.Sprint(entry.HeadLength), "60000", "")
	require.NoError(t, err)
	require.Equal(t, []string{"D", "0"}, out)
}

// Many keys on a real Redis: batches, progress, and a context that ends it early, after which it
// can be repeated.
func TestPurgeOfManyKeysOnARealRedis(t *testing.T) {
	server := redistest.Start(t, redis.Options{})
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true})
	defer client.Close()
	shared := store.NewRedis(client)
	const many = 2500
	var items []store.Item
	for i := range many {
		meta := policy.Meta{Kind: policy.Value, Version: uint64(i + 1), T0: 1, FreshUntil: 2, DropAt: 3}
		items = append(items, store.Item{Key: fmt.Sprintf("product:%d:v1", i), TTL: time.Minute, Value: entry.Encode(policy.Recommended(), entry.Entry{Meta: meta, Value: []byte("v")})},
			store.Item{Key: fmt.Sprintf("quick:%d:v1", i), TTL: time.Minute, Value: entry.Encode(policy.Recommended(), entry.Entry{Meta: meta, Value: []byte("v")})})
	}
	require.NoError(t, shared.SetAll(t.Context(), items))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last Purged
	p, log := purgerOf(t, shared, func(sofar Purged) {
		require.LessOrEqual(t, sofar.Seen-last.Seen, batchSize)
		if last = sofar; sofar.Seen > 200 {
			cancel()
		}
	})
	order := Order{Selector: ofFamily(), Who: "ines", Why: "wrong prices"}
	first, err := p.Purge(ctx, order)
	require.ErrorIs(t, err, ErrPartly)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, last, first)
	require.Less(t, first.Removed, many)
	last = Purged{}
	rest, err := p.Purge(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, many, first.Removed+rest.Removed)

	lines := auditLines(t, log)
	require.Len(t, lines, 4)
	require.Contains(t, lines[1].Error, "canceled")
	require.Equal(t, first.Removed, lines[1].Removed)
	require.Equal(t, rest.Removed, lines[3].Removed)
	require.Empty(t, lines[3].Error)

	floors, values := 0, 0
	require.NoError(t, shared.Scan(t.Context(), nil, func(keys []string) error {
		for _, k := range keys {
			if k == bus.EpochKey || k == bus.NumberKey {
				continue
			}
			raw, _, err := shared.Get(t.Context(), k)
			require.NoError(t, err)
			e, err := entry.Decode(raw)
			require.NoError(t, err)
			if e.Meta.Kind == policy.Floor {
				floors++
				require.Contains(t, k, "product:")
				require.Greater(t, client.PTTL(t.Context(), k).Val(), time.Second, "floors end, too")
			} else {
				values++
			}
		}
		return nil
	}))
	require.Equal(t, []int{many, many}, []int{floors, values})
}
