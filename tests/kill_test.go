package tests

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/tests/program"
)

// Acknowledged writes survive kill -9 of the process that acknowledged them. CACHEDRILL_SOAK says
// how often that is tried.
func TestServedWritesSurviveKill(t *testing.T) {
	_, rounds, ok := program.Seeds("CACHEDRILL_SOAK")
	if !ok {
		rounds = 3
	}
	s := program.NewShop(t)
	conn, err := pgx.Connect(t.Context(), s.Source)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	total := 0
	// Another process, which goes on, hears of what was committed and not announced by its writer.
	// Its copies live for a minute.
	survivor := s.Serve(t)
	written := []string{"price", "news", "stock"} // strong aside, bounded aside, bounded through
	for round := range rounds {
		p := s.Serve(t)
		for _, family := range written[1:] {
			for i := range 5 {
				program.Ask(t, "GET", fmt.Sprintf("%s/%s/%d", survivor.URL, family, i), "")
			}
		}
		var mu sync.Mutex
		acked := map[string]string{} // version by token
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := 0; ; i++ {
					token := fmt.Sprintf("%d-%d-%d", round, w, i)
					r, err := program.Request(context.Background(), "PUT", fmt.Sprintf("%s/%s/%d", p.URL, written[(w+i)%len(written)], i%5), token)
					if err != nil {
						return // it was killed
					}
					if r.Code == http.StatusNoContent {
						mu.Lock()
						acked[token] = r.Head.Get("X-Version")
						mu.Unlock()
					}
				}
			})
		}
		many := 50 * (round%4 + 1)
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(acked) >= many }, time.Minute, time.Millisecond)
		require.NoError(t, p.Cmd.Process.Kill())
		writers.Wait()
		require.Equal(t, -1, p.End(t), "it was killed")
		rows, err := conn.Query(t.Context(), "SELECT token, version::text FROM cachedrill.outbox")
		require.NoError(t, err)
		found := map[string]string{}
		for rows.Next() {
			var token, version string
			require.NoError(t, rows.Scan(&token, &version))
			found[token] = version
		}
		require.NoError(t, rows.Err())
		for token, version := range acked {
			require.Equal(t, version, found[token], "write %s was acknowledged", token)
		}
		total += len(acked)
		for _, family := range written {
			for i := range 5 {
				var newest string
				require.NoError(t, conn.QueryRow(t.Context(), "SELECT max(version)::text FROM cachedrill.outbox WHERE family = $1 AND id = $2",
					family, strconv.Itoa(i)).Scan(&newest))
				require.Eventually(t, func() bool {
					return program.Ask(t, "GET", fmt.Sprintf("%s/%s/%d", survivor.URL, family, i), "").Head.Get("X-Version") == newest
				}, 20*time.Second, time.Millisecond, "version %s of %s:%d was committed by a process that is gone", newest, family, i)
			}
		}
	}
	require.NoError(t, survivor.Cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, survivor.End(t), survivor.Output())
	t.Logf("%d acknowledged writes survived %d kills", total, rounds)
	require.Empty(t, program.WithEnvironment("TMPDIR="+s.Tmp), "processes are left")
}
