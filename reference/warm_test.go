package reference

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
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

	before, _, err := r.caches[0].l2.get(t.Context(), hotKey)
	require.NoError(t, err)
	require.NoError(t, r.caches[0].Warm(t.Context(), hot, true))
	require.Equal(t, 2, r.source.count(), "renewed though it was good")
	after, _, err := r.caches[0].l2.get(t.Context(), hotKey)
	require.NoError(t, err)
	require.Greater(t, after.meta.T0, before.meta.T0)

	require.NoError(t, r.caches[0].Warm(t.Context(), ninePro, true))
	require.Equal(t, 3, r.source.count())
	require.NoError(t, r.caches[0].Warm(t.Context(), ninePro, true))
	require.Equal(t, 3, r.source.count(), "a strong value that is current needs no load")
	wrong := hot
	wrong.Family = "none"
	require.ErrorIs(t, r.caches[0].Warm(t.Context(), wrong, false), ErrFamily)
}
