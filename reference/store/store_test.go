package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

func TestMain(m *testing.M) {
	redistest.Main()
	goleak.VerifyTestMain(m)
}

// straight is a wire without length.
type straight struct{}

func (straight) Carry(ctx context.Context) error { return ctx.Err() }
func (straight) Hears(any) bool                  { return true }

// swap moves a value from one key to another, if it is there.
var swap = NewScript(`
local v = redis.call('GET', KEYS[1])
if not v then return {'none'} end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], v, 'PX', 60000)
return {'moved', v}`, func(tx *Tx, keys, _ []string) []string {
	v, ok := tx.Get(keys[0])
	if !ok {
		return []string{"none"}
	}
	tx.Delete(keys[0])
	tx.Set(keys[1], v, time.Minute)
	return []string{"moved", v}
})

// Both stores answer every sequence of commands alike.
func TestBothStoresAreOne(t *testing.T) {
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer rdb.Close()
	both := []Store{NewRedis(rdb), NewMemory().Client(straight{}, Patience{})}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 5000 {
		k, other := fmt.Sprint("k", rng.IntN(4)), fmt.Sprint("k", rng.IntN(4))
		which := rng.IntN(7)
		var answers [2]string
		for n, s := range both {
			var out any
			var ok bool
			var err error
			switch which {
			case 0, 1:
				out, ok, err = s.Get(t.Context(), k)
			case 2:
				err = s.Set(t.Context(), k, []byte(fmt.Sprint(i)), time.Minute)
			case 3:
				ok, err = s.Add(t.Context(), k, []byte(fmt.Sprint(i)), time.Minute)
			case 4:
				err = s.Delete(t.Context(), k, other)
			case 5:
				out, err = s.Run(t.Context(), swap, []string{k, other})
			case 6:
				out = scanned(t, s, k[:1+i%2])
			}
			answers[n] = fmt.Sprintf("%s %v %v", out, ok, err)
		}
		require.Equal(t, answers[0], answers[1], "step %d: %d of %s, %s", i, which, k, other)
	}
	items := []Item{{"a", []byte("1"), time.Minute}, {"b", []byte("2"), time.Minute}}
	for _, s := range both {
		require.NoError(t, s.SetAll(t.Context(), items))
		v, ok, err := s.Get(t.Context(), "b")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "2", string(v))
		sub, err := s.Subscribe(t.Context(), "news")
		require.NoError(t, err)
		require.NoError(t, s.Publish(t.Context(), "other", "x"))
		require.NoError(t, s.Publish(t.Context(), "news", "hello"))
		require.Equal(t, "hello", <-sub.Messages())
		require.NoError(t, s.Publish(t.Context(), "news", "no subscriber"))
		require.NoError(t, sub.Close())
	}
}

func TestMemoryExpiresStopsAndSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		s := m.Client(straight{}, Patience{})
		set := func(ttl time.Duration) { require.NoError(t, s.Set(t.Context(), "k", []byte("v"), ttl)) }
		there := func() bool {
			_, ok, err := s.Get(t.Context(), "k")
			require.NoError(t, err)
			return ok
		}
		set(time.Second)
		time.Sleep(time.Second - time.Nanosecond)
		require.True(t, there())
		time.Sleep(time.Nanosecond)
		require.False(t, there())
		set(time.Second)
		m.Step(time.Hour)
		require.False(t, there(), "its clock says that the second is over")
		set(time.Second)
		m.Step(-time.Hour)
		time.Sleep(time.Minute)
		require.True(t, there(), "and now it says that it has an hour to go")
		require.Equal(t, []string{"k"}, m.Keys())
		require.Equal(t, 1, m.Expire("k", "other"))
		require.False(t, there())
		set(time.Hour)
		m.Stop()
		require.ErrorIs(t, s.Publish(t.Context(), "c", "x"), ErrRefused)
		m.Start()
		require.False(t, there(), "it has forgotten everything")
		require.Equal(t, 2, m.Incarnation())
	})
}

// stuck is a wire through which nothing comes.
type stuck struct{}

func (stuck) Carry(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (stuck) Hears(any) bool                  { return false }

func TestPatienceAndLostMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		began := time.Now()
		_, _, err := m.Client(stuck{}, Patience{Command: time.Second}).Get(t.Context(), "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		open := m.Client(straight{}, Patience{})
		sub, err := open.Subscribe(t.Context(), "c")
		require.NoError(t, err)
		sub.(*listener).wire = stuck{}
		require.NoError(t, open.Publish(t.Context(), "c", "x"))
		require.NoError(t, sub.Close())
		_, ok := <-sub.Messages()
		require.False(t, ok, "a message that finds no way is lost")
	})
}
