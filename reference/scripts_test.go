package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

type straight struct{}

func (straight) Carry(ctx context.Context) error { return ctx.Err() }
func (straight) Hears(any) bool                  { return true }

// The scripts do in Go what they do in Lua.
func TestScriptsInBothLanguages(t *testing.T) {
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer rdb.Close()
	both := []store.Store{store.NewRedis(rdb), store.NewMemory().Client(straight{}, store.Patience{})}
	rng := rand.New(rand.NewPCG(7, 7))
	tokens := []string{"", "t1", "t2"}
	for i := range 5_000 {
		k := fmt.Sprint("k", rng.IntN(2))
		keys := []string{k, l2.LeaseKey(k)}
		e := entry.Encode(policy.Policy{}, entry.Entry{Value: []byte("v"), Meta: policy.Meta{
			Kind: []policy.Kind{policy.Value, policy.Absence, policy.Floor}[rng.IntN(3)], Version: uint64(rng.IntN(4)), T0: int64(rng.IntN(3))}})
		token, which := tokens[rng.IntN(3)], rng.IntN(7)
		var answers [2]string
		for n, s := range both {
			var out []string
			var err error
			switch which {
			case 0:
				out, err = s.Run(t.Context(), l2.StoreScript, keys, string(e), "60000", token)
			case 1:
				out, err = s.Run(t.Context(), l2.LeaseScript, keys, "t1", "60000", []string{"", "renew"}[i%2])
			case 2:
				out, err = s.Run(t.Context(), l2.SupersedeScript, append(keys, bus.EpochKey, bus.NumberKey), []string{string(e), ""}[i%2], "60000",
					[]string{"", bus.Channel}[i%3%2], "f 1 "+k, fmt.Sprint("epoch", i), "60000")
			case 3:
				out, err = s.Run(t.Context(), l2.ReleaseScript, keys[1:], token)
			case 4:
				err = s.Delete(t.Context(), []string{keys[0], keys[1], bus.EpochKey, bus.NumberKey}[i%4])
			case 6:
				out, err = s.Run(t.Context(), bus.HeartbeatScript, []string{bus.EpochKey, bus.NumberKey}, bus.Channel, fmt.Sprint("epoch", i), "60000", "me")
			case 5:
				err = s.Set(t.Context(), k, []byte([]string{"x", "", "somebody else's value that is longer than a header"}[i%3]), time.Minute)
			}
			have, ok, got := s.Get(t.Context(), k)
			require.NoError(t, got)
			lease, leased, got := s.Get(t.Context(), l2.LeaseKey(k))
			require.NoError(t, got)
			epoch, _, got := s.Get(t.Context(), bus.EpochKey)
			require.NoError(t, got)
			number, _, got := s.Get(t.Context(), bus.NumberKey)
			require.NoError(t, got)
			answers[n] = fmt.Sprintf("%q %v; %q %v; %q %v; %q %q", out, err, have, ok, lease, leased, epoch, number)
		}
		require.Equal(t, answers[0], answers[1], "step %d: command %d", i, which)
	}
}
