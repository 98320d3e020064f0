package reference

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

func TestWarm(t *testing.T) {
	r := newRegion(t, policy.Recommended(), 2)
	_, err := r.caches[0].Put(t.Context(), hot, []byte("v"), "token")
	require.NoError(t, err)

	require.NoError(t, r.caches[0].Warm(t.Context(), hot, false))
	require.Equal(t, 1, r.source.count())
	require.NoError(t, r.caches[1].Warm(t.Context(), hot, false))
	require.Equal(t, 1, r.source.count(), "the region has it")
	for _, c := range r.caches {
		a, err := c.Get(t.Context(), hot)
		require.NoError(t, err)
		require.Equal(t, TierL1, a.Tier)
	}

	before, _, err := r.caches[0].l2.Get(t.Context(), hotKey)
	require.NoError(t, err)
	require.NoError(t, r.caches[0].Warm(t.Context(), hot, true))
	require.Equal(t, 2, r.source.count(), "renewed though it was good")
	after, _, err := r.caches[0].l2.Get(t.Context(), hotKey)
	require.NoError(t, err)
	require.Greater(t, after.Meta.T0, before.Meta.T0)

	require.NoError(t, r.caches[0].Warm(t.Context(), ninePro, true))
	require.Equal(t, 3, r.source.count())
	require.NoError(t, r.caches[0].Warm(t.Context(), ninePro, true))
	require.Equal(t, 3, r.source.count(), "a strong value that is current needs no load")
	wrong := hot
	wrong.Family = "none"
	require.ErrorIs(t, r.caches[0].Warm(t.Context(), wrong, false), ErrFamily)
}

// A worker that runs for longer than a TTL before it is read keeps what was warmed for a whole TTL
// all the same.
func TestWarmingAQuietWorker(t *testing.T) {
	began := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 1, Now: func() int64 { return int64(time.Since(began)) }})
	require.NoError(t, err)
	defer m.Close()
	m.Seed(hot, []byte("v"), "s")
	c, err := New(t.Context(), Config{Region: "eu", Policy: policy.Recommended(), Families: []Family{product}, Source: m, Shared: memory(),
		Clock: func() time.Duration { return time.Since(began) + time.Hour }})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Warm(t.Context(), hot, false))
	a, err := c.Get(t.Context(), hot)
	require.NoError(t, err)
	require.Equal(t, TierL1, a.Tier)
}
