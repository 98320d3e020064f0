package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

// scanned gives the keys of a scan, in order, each once.
func scanned(t require.TestingT, s Store, pieces ...string) []string {
	var all []string
	require.NoError(t, s.Scan(context.Background(), pieces, func(keys []string) error {
		require.NotEmpty(t, keys)
		all = append(all, keys...)
		return nil
	}))
	slices.Sort(all)
	return slices.Compact(all)
}

func realRedis(t *testing.T) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: redistest.Start(t, redis.Options{}).Addr})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// A pattern means its own characters and nothing else, in a Redis as in memory, also those that
// mean something in a glob.
func TestScanMatchesPiecesAsTheyAre(t *testing.T) {
	rdb := realRedis(t)
	inMemory := NewMemory()
	stores := []Store{NewRedis(rdb), inMemory.Client(straight{}, Patience{})}
	text := rapid.StringOfN(rapid.RuneFrom([]rune(`ab:*?[]^-\%é`)), 0, 5, -1)
	rapid.Check(t, func(rt *rapid.T) {
		require.NoError(rt, rdb.FlushAll(context.Background()).Err())
		inMemory.Expire(inMemory.Keys()...)
		items := map[string]Item{}
		for range 20 {
			k := "k" + text.Draw(rt, "key")
			items[k] = Item{k, []byte("v"), time.Hour}
		}
		pieces := rapid.SliceOfN(text, 0, 3).Draw(rt, "pieces")
		if len(pieces) > 0 && rapid.Bool().Draw(rt, "from the beginning") {
			pieces[0] = "k" + pieces[0]
		}
		for _, s := range stores {
			for _, i := range items {
				require.NoError(rt, s.Set(context.Background(), i.Key, i.Value, i.TTL))
			}
		}
		require.Equal(rt, scanned(rt, stores[0], pieces...), scanned(rt, stores[1], pieces...), "%q", pieces)
	})
}

func TestScanOfManyKeys(t *testing.T) {
	inMemory := NewMemory().Client(straight{}, Patience{})
	for _, s := range []Store{NewRedis(realRedis(t)), inMemory} {
		var want []string
		var items []Item
		for i := range 3000 {
			items = append(items, Item{fmt.Sprintf("a:%d", i), nil, time.Hour}, Item{fmt.Sprintf("b:%d", i), nil, time.Hour})
			want = append(want, items[2*i].Key)
		}
		require.NoError(t, s.SetAll(t.Context(), items))
		slices.Sort(want)
		require.Equal(t, want, scanned(t, s, "a:"))
		require.Len(t, scanned(t, s), 6000)
		require.Equal(t, []string{"b:1999", "b:2999", "b:999"}, scanned(t, s, "b:", "99", "9"))
		require.Empty(t, scanned(t, s, ":"))

		enough := errors.New("enough")
		batches := 0
		err := s.Scan(t.Context(), nil, func([]string) error { batches++; return enough })
		require.ErrorIs(t, err, enough)
		require.Equal(t, 1, batches)
		ctx, cancel := context.WithCancel(t.Context())
		err = s.Scan(ctx, nil, func([]string) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NoError(t, inMemory.Set(t.Context(), "short", nil, time.Nanosecond))
	time.Sleep(time.Millisecond)
	require.Empty(t, scanned(t, inMemory, "short"), "expired")
}
