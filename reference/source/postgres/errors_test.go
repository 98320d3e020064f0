package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

func TestWhatGuaranteesNoEffect(t *testing.T) {
	serverError := func(severity, code string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: code})
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{serverError("ERROR", "23505"), true}, {serverError("ERROR", "53100"), true}, {serverError("ERROR", "40P01"), true}, {serverError("ERROR", "57014"), true},
		{serverError("ERROR", "40001"), true}, {serverError("ERROR", "40003"), false}, {serverError("ERROR", "08P01"), false}, {serverError("ERROR", "08007"), false},
		{serverError("ERROR", "57P01"), false}, {serverError("FATAL", "57P01"), false}, {serverError("FATAL", "53300"), false}, {serverError("PANIC", "XX000"), false},
		{context.DeadlineExceeded, false}, {io.ErrUnexpectedEOF, false}, {errors.New("odd"), false},
	} {
		require.Equal(t, c.want, noEffect(c.err), "%v", c.err)
	}
}

// proxy passes bytes on to a server, until it is set to swallow the server's answers.
func proxy(t *testing.T, to string) (addr string, mute *atomic.Bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	mute = new(atomic.Bool)
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := []io.Closer{l}
	pass := func(dst, src net.Conn, answers bool) {
		buf := make([]byte, 4096)
		for {
			n, err := src.Read(buf)
			if err != nil {
				_, _ = dst.Close(), src.Close()
				return
			}
			if !answers || !mute.Load() {
				_, _ = dst.Write(buf[:n])
			}
		}
	}
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, client, server)
			mu.Unlock()
			wg.Go(func() { pass(server, client, false) })
			wg.Go(func() { pass(client, server, true) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String(), mute
}

func TestErrorsTellWhetherAChangeWasApplied(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	direct := open(t, Config{URL: url})
	parsed, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	at := fmt.Sprintf("%s:%d", parsed.Host, parsed.Port)
	addr, mute := proxy(t, at)
	s := open(t, Config{URL: strings.Replace(url, at, addr, 1) + "&pool_max_conns=1"})
	version := func(n key.Name) uint64 {
		r, err := direct.Load(t.Context(), n, anonymous)
		require.NoError(t, err)
		return r.Version
	}
	_, err = s.Store(t.Context(), n17, nil, "1", anonymous)
	require.NoError(t, err)

	t.Run("the server refuses", func(t *testing.T) {
		for what, n := range map[string]key.Name{"no text": {ID: "\x00"}, "no UTF-8": {ID: "\xff"}, "too long": {ID: randomText(20_000)}} {
			_, err := s.Store(t.Context(), n, nil, "x", anonymous)
			require.ErrorIs(t, err, source.ErrNotApplied, what)
			_, err = s.Load(t.Context(), n, anonymous)
			if what != "too long" {
				require.Error(t, err, what)
			}
		}
	})
	t.Run("no connection", func(t *testing.T) {
		conn, err := s.pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = s.Store(ctx, n17, nil, "x", anonymous)
		require.ErrorIs(t, err, source.ErrNotApplied)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 1, version(n17))
	})
	t.Run("the answer is lost", func(t *testing.T) {
		_, err := s.Store(t.Context(), n17, nil, "2", anonymous) // prepares the statement again
		require.NoError(t, err)
		mute.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = s.Store(ctx, n17, nil, "x", anonymous)
		require.Error(t, err)
		require.NotErrorIs(t, err, source.ErrNotApplied, "it was applied")
		require.Eventually(t, func() bool { return version(n17) == 3 }, patience, time.Millisecond)
		mute.Store(false)
	})
	t.Run("cut off while it waits for its turn", func(t *testing.T) {
		conn := connect(t, url)
		run(t, conn, "SELECT pg_advisory_lock($1, $2)", s.locks, lockKey(n17))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := direct.Store(ctx, n17, nil, "x", anonymous)
		require.Error(t, err)
		require.NotErrorIs(t, err, source.ErrNotApplied, "the outcome is unknown")
		require.Eventually(t, func() bool {
			var waiting int
			err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&waiting)
			return err == nil && waiting == 0
		}, patience, time.Millisecond, "the server is asked to cancel")
		run(t, conn, "SELECT pg_advisory_unlock($1, $2)", s.locks, lockKey(n17))
		require.EqualValues(t, 3, version(n17))
	})
	t.Run("a fence taken over stops a late commit", func(t *testing.T) {
		n := key.Name{ID: "fenced"}
		require.NoError(t, direct.Fence(t.Context(), n, "first", false, anonymous))
		tx, err := connect(t, url).Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), direct.sql.takeFence, append(nameArgs(n), direct.locks, lockKey(n), "second")...)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { // its statement begins while the fence is still its own
			_, err := direct.Store(t.Context(), n, nil, "late", source.Caller{Fence: "first"})
			done <- err
		}()
		watch := connect(t, url)
		require.Eventually(t, func() bool {
			var blocked int
			err := watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&blocked)
			return err == nil && blocked > 0
		}, patience, time.Millisecond, "it waits for the row")
		require.Empty(t, done)
		require.NoError(t, tx.Commit(t.Context()))
		err = <-done
		require.ErrorIs(t, err, source.ErrNotApplied)
		require.ErrorIs(t, err, source.ErrFenced)
		require.Zero(t, version(n))
	})
}

// randomText can't be compressed into a page of an index.
func randomText(n int) string {
	b := make([]byte, n)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = ' ' + byte(x>>33%94)
	}
	return string(b)
}
