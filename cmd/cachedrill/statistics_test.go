package main

import (
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
)

func TestStatisticsOfADatabase(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	s := &statistics{}
	defer s.close(t.Context())
	ask := func() float64 {
		n, err := s.ask(t.Context(), url, (&net.Dialer{}).DialContext)
		require.NoError(t, err)
		return n
	}
	before := ask()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	for range 50 {
		_, err := conn.Exec(t.Context(), "select 1")
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close(t.Context()))
	// A backend tells its figures when it ends; ours are reported a second late, and taken off.
	require.Eventually(t, func() bool { return ask()-before >= 40 }, 20*time.Second, 50*time.Millisecond)
	require.LessOrEqual(t, ask()-before, 70.0)
	_, err = (&statistics{}).ask(t.Context(), "postgres://user:s3cret@127.0.0.1:1/x\x00", (&net.Dialer{}).DialContext)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}
