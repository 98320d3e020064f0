package postgres

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
)

// silently is a database behind a proxy that can swallow all answers and closes no connection, as a
// network that is cut does.
func silently(t *testing.T) (through string, mute interface{ Store(bool) }) {
	t.Helper()
	u, err := url.Parse(pgtest.Shared(t).Database(t))
	require.NoError(t, err)
	u.Host, mute = proxy(t, u.Host)
	return u.String(), mute
}

// A connection that was being made while the network swallowed everything does not hold its place
// in the pool for minutes.
func TestConnectingEndsAfterSilence(t *testing.T) {
	through, mute := silently(t)
	s := open(t, Config{URL: through + "&pool_max_conns=1"})
	load := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := s.Load(ctx, n17, anonymous)
		return err
	}
	mute.Store(true)
	require.Error(t, load(200*time.Millisecond)) // the first of all: a connection is being made for it
	mute.Store(false)
	require.NoError(t, load(patience), "the network is well")
}

// Who follows the feed hears of a network that swallowed its question, and can ask again.
func TestFollowingEndsAfterSilence(t *testing.T) {
	through, mute := silently(t)
	s := open(t, Config{URL: through})
	_, err := s.Store(t.Context(), n17, []byte("v"), "t1", anonymous)
	require.NoError(t, err)
	entries, err := s.Next(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = s.Next(ctx, 0, 0)
	mute.Store(false)
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it waits for ever")
	again, err := s.Next(ctx, 0, 0)
	require.NoError(t, err)
	require.Equal(t, entries, again)
}
