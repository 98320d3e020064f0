package writebehind

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

var (
	hot     = key.Name{Family: "product", ID: "17"}
	ninePro = key.Name{Family: "price", ID: "9"}
)

// away is a source that can be away.
type away struct {
	*source.Model
	mu   sync.Mutex
	gone bool
}

var errAway = errors.New("away")

func (s *away) set(gone bool) { s.mu.Lock(); defer s.mu.Unlock(); s.gone = gone }

func (s *away) Apply(ctx context.Context, c source.Change, by source.Caller) (bool, error) {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		return false, errAway
	}
	return s.Model.Apply(ctx, c, by)
}

func newAway(t *testing.T) *away {
	start := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 4, WriteTime: time.Millisecond, Now: func() int64 { return int64(time.Since(start)) }})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return &away{Model: m}
}

func writerOf(t *testing.T, s source.Applier, files journal.Files, change func(*Config)) *Writer {
	cfg := Config{Realm: "r", Files: files, Source: s, Region: "eu", Policy: policy.Recommended()}
	if change != nil {
		change(&cfg)
	}
	b, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	return b
}

func put(t *testing.T, b *Writer, n key.Name, value string) source.Record {
	t.Helper()
	r, err := b.Put(t.Context(), n, []byte(value), "token of "+value)
	require.NoError(t, err)
	return r
}

// Writes are acknowledged while the source is away, with the versions that they will have, and
// reach it in their order: also when their owner has ended meanwhile.
func TestWritesBehindAreKeptUntilTheSourceHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newAway(t), journal.NewMemory()
		s.Seed(hot, []byte("seed"), "seed")
		s.set(true)
		b := writerOf(t, s, disk, nil)
		for i := range 5 {
			require.EqualValues(t, i+2, put(t, b, hot, fmt.Sprint(i)).Version)
		}
		gone, err := b.Delete(t.Context(), ninePro)
		require.NoError(t, err)
		require.EqualValues(t, 1, gone.Version)
		require.Equal(t, 6, b.Pending())
		require.EqualValues(t, 1, s.Peek(hot).Version)
		require.NoError(t, b.Close())
		_, err = b.Put(t.Context(), hot, nil, "x")
		require.ErrorIs(t, err, source.ErrNotApplied)

		b = writerOf(t, s, disk, nil)
		require.Equal(t, 6, b.Pending())
		require.EqualValues(t, 7, put(t, b, hot, "after").Version, "versions go on where the journal ends")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, b.Drained(ctx), context.DeadlineExceeded)
		s.set(false)
		require.NoError(t, b.Drained(t.Context()))
		require.NoError(t, b.Close())
		require.EqualValues(t, 7, s.Peek(hot).Version)
		require.True(t, s.Peek(ninePro).Deleted)
		entries, _ := s.Log().After(0, 0)
		var tokens []string
		for _, e := range entries {
			if e.Name == hot {
				tokens = append(tokens, e.Token)
			}
		}
		require.Equal(t, []string{"seed", "token of 0", "token of 1", "token of 2", "token of 3", "token of 4", "token of after"}, tokens)

		b = writerOf(t, s, disk, nil)
		require.Equal(t, 1, b.Pending(), "the last file of the journal is handed out again; the one before is gone")
		require.NoError(t, b.Drained(t.Context()))
		require.NoError(t, b.Close())
		again, _ := s.Log().After(0, 0)
		require.Len(t, again, len(entries), "and nothing is done twice")
	})
}

func TestBehindRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newAway(t), journal.NewMemory()
		s.set(true)
		b := writerOf(t, s, disk, func(c *Config) { c.Most = 2 })
		put(t, b, hot, "a")
		put(t, b, hot, "b")
		_, err := b.Put(t.Context(), hot, nil, "c")
		require.ErrorIs(t, err, ErrBacklog)
		require.ErrorIs(t, err, source.ErrNotApplied)
		_, err = b.Put(t.Context(), key.Name{Family: "product", ID: "\xff"}, nil, "c")
		require.ErrorContains(t, err, "no UTF-8")

		_, err = Open(t.Context(), Config{Realm: "r", Files: journal.NewMemory(), Source: s, Policy: policy.Recommended()})
		require.ErrorIs(t, err, source.ErrOwned)
		other := writerOf(t, s, journal.NewMemory(), func(c *Config) { c.Take = true })
		s.set(false)
		require.ErrorIs(t, b.Drained(t.Context()), source.ErrOwned, "it was taken over")
		_, err = b.Put(t.Context(), hot, nil, "d")
		require.ErrorIs(t, err, source.ErrNotApplied)
		require.EqualValues(t, 1, put(t, other, hot, "e").Version)
		require.NoError(t, other.Drained(t.Context()))
		require.NoError(t, other.Close())
		require.NoError(t, b.Close())
	})
}

// A caller that gives up waiting learns nothing, and the write is done.
func TestAWriteBehindOutlivesItsCaller(t *testing.T) {
	s := newAway(t)
	b := writerOf(t, s, journal.NewMemory(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	for done := false; !done; {
		go cancel()
		_, err := b.Put(ctx, hot, []byte("v"), "v")
		done = err != nil && !errors.Is(err, source.ErrNotApplied) || err == nil
		ctx, cancel = context.WithCancel(t.Context())
	}
	cancel()
	require.Eventually(t, func() bool { return s.Peek(hot).Version > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, b.Close())
}
