package reference

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// A write voids the fill that began before it, once. The same event again, as relays and retries
// bring it, finds a fill that began after the write and leaves it alone: no worker loads the key a
// second time.
func TestAnEventThatComesTwiceVoidsNoNewerFill(t *testing.T) {
	shared := store.NewMemory().Client(straight{}, store.Patience{})
	r := newRegionOn(t, policy.Recommended(), 2, shared)
	w, err := r.caches[0].Put(t.Context(), hot, []byte("v2"), "w")
	require.NoError(t, err)

	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	require.EqualValues(t, 2, (<-r.source.read).Version, "a fill that began after the write")
	lease, leased, err := shared.Get(t.Context(), l2.LeaseKey(hotKey))
	require.NoError(t, err)
	require.True(t, leased)

	events := NewInvalidator(policy.Recommended(), []Family{product}, shared)
	for _, version := range []uint64{w.Version, 1} { // again, and an older one that was late
		require.NoError(t, events.Apply(t.Context(), hot, version, 0))
		now, still, err := shared.Get(t.Context(), l2.LeaseKey(hotKey))
		require.NoError(t, err)
		require.True(t, still, "version %d", version)
		require.Equal(t, lease, now)
	}
	open()
	require.EqualValues(t, 2, (<-done).Version)
	require.Equal(t, Answer{Value: []byte("v2"), Version: 2, Tier: TierL2}, withoutTime(r.get(1, hot)), "its fill was stored")
	require.Equal(t, 1, r.source.count())
}

// What an event left behind may be evicted before the older fill ends: the fill finds its lease
// gone all the same.
func TestAnEvictedFloorLetsNoOlderFillIn(t *testing.T) {
	shared := store.NewMemory().Client(straight{}, store.Patience{})
	r := newRegionOn(t, policy.Recommended(), 2, shared)
	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	require.EqualValues(t, 1, (<-r.source.read).Version)
	_, err := r.caches[1].Put(t.Context(), hot, []byte("v2"), "w")
	require.NoError(t, err)
	require.NoError(t, shared.Delete(t.Context(), hotKey), "evicted")
	open()
	require.EqualValues(t, 1, (<-done).Version, "the reader began before the write")
	_, there, err := shared.Get(t.Context(), hotKey)
	require.NoError(t, err)
	require.False(t, there, "the older fill must not be stored")
}

func withoutTime(a Answer) Answer {
	a.t0 = 0
	return a
}
