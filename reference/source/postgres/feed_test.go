package postgres

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// storeIn is a store within a transaction that the test holds open.
func storeIn(t *testing.T, tx pgx.Tx, s *Source, n key.Name, token string) {
	t.Helper()
	_, err := tx.Exec(t.Context(), s.sql.store, append(nameArgs(n), s.locks, lockKey(n), false, token, []byte(token), "")...)
	require.NoError(t, err)
}

func tokens(entries []source.Entry) (got []string) {
	for _, e := range entries {
		got = append(got, e.Token)
	}
	return got
}

// following is the tokens of what a follower is given within a moment.
func following(t *testing.T, s *Source, after uint64, moment time.Duration) ([]string, uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	entries, err := s.Next(ctx, after, 0)
	if err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return nil, after
	}
	return tokens(entries), entries[len(entries)-1].Index
}

// A transaction that began before another commits after it. Who reads "everything after the last
// one I saw" never hears of it.
func TestLateCommitIsNotSkipped(t *testing.T) {
	s := open(t, Config{})
	other := connect(t, s.pool.Config().ConnString())
	naive := func(after uint64) (got []string, last uint64) {
		rows, err := other.Query(t.Context(), `SELECT xid, token FROM cachedrill.outbox WHERE xid > $1 ORDER BY xid`, after)
		require.NoError(t, err)
		last = after
		var token string
		_, err = pgx.ForEachRow(rows, []any{&last, &token}, func() error { got = append(got, token); return nil })
		require.NoError(t, err)
		return got, last
	}
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	storeIn(t, tx, s, key.Name{ID: "late"}, "late")
	_, err = s.Store(t.Context(), key.Name{ID: "early"}, nil, "early", anonymous)
	require.NoError(t, err)

	naiveFirst, naiveAt := naive(0)
	require.Equal(t, []string{"early"}, naiveFirst)
	first, at := following(t, s, 0, 100*time.Millisecond)
	require.Empty(t, first, "what is younger than an open transaction has to wait")
	tip, err := s.Tip(t.Context())
	require.NoError(t, err)
	require.Positive(t, tip, "but it is acknowledged")

	waiting := make(chan []string, 1) // a follower that waits meanwhile
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		entries, _ := s.Next(ctx, 0, 0)
		waiting <- tokens(entries)
	}()
	looks := awaited(t, s)
	require.Eventually(t, func() bool { return awaited(t, s) > looks+1 }, patience, time.Millisecond)
	require.Empty(t, waiting, "it has looked, and found nothing")
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, []string{"late", "early"}, <-waiting)
	naiveSecond, _ := naive(naiveAt)
	require.Empty(t, naiveSecond, "the naive reader is past it, and has lost it")
	second, at := following(t, s, at, patience)
	require.Equal(t, []string{"late", "early"}, second)
	require.Equal(t, tip, at)

	// What is rolled back is in no feed, and holds none up.
	tx, err = s.pool.Begin(t.Context())
	require.NoError(t, err)
	storeIn(t, tx, s, key.Name{ID: "late"}, "rolled back")
	_, err = s.Store(t.Context(), key.Name{ID: "early"}, nil, "third", anonymous)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	third, _ := following(t, s, at, patience)
	require.Equal(t, []string{"third"}, third)
}

// Those who queue for a hot name have no transaction id yet: they hold up no feed, and get their
// ids in the order of their versions.
func TestQueueOnANameDoesNotHoldUpTheFeed(t *testing.T) {
	s := open(t, Config{})
	conn := connect(t, s.pool.Config().ConnString())
	run(t, conn, "SELECT pg_advisory_lock($1, $2)", s.locks, lockKey(n17)) // as if its writer took long to begin
	done := make(chan error, 1)
	go func() {
		_, err := s.Store(t.Context(), n17, nil, "queued", anonymous)
		done <- err
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&waiting)
		return err == nil && waiting == 1
	}, patience, time.Millisecond)
	_, err := s.Store(t.Context(), key.Name{ID: "18"}, nil, "other", anonymous)
	require.NoError(t, err)
	got, at := following(t, s, 0, patience)
	require.Equal(t, []string{"other"}, got)
	run(t, conn, "SELECT pg_advisory_unlock($1, $2)", s.locks, lockKey(n17))
	require.NoError(t, <-done)
	got, _ = following(t, s, at, patience)
	require.Equal(t, []string{"queued"}, got)
}

func TestTrim(t *testing.T) {
	s := open(t, Config{})
	for i := range 10 {
		_, err := s.Store(t.Context(), n17, nil, strconv.Itoa(i), anonymous)
		require.NoError(t, err)
	}
	entries, err := s.Next(t.Context(), 0, 4)
	require.NoError(t, err)
	gone, err := s.Trim(t.Context(), entries[3].Index)
	require.NoError(t, err)
	require.EqualValues(t, 4, gone)
	got, at := following(t, s, 0, patience)
	require.Equal(t, []string{"4", "5", "6", "7", "8", "9"}, got)
	gone, err = s.Trim(t.Context(), at)
	require.NoError(t, err)
	require.EqualValues(t, 6, gone)
	got, _ = following(t, s, 0, 50*time.Millisecond)
	require.Empty(t, got)
	r, err := s.Store(t.Context(), n17, nil, "10", anonymous)
	require.NoError(t, err)
	require.EqualValues(t, 11, r.Version, "versions are not the feed's")
	got, _ = following(t, s, 0, patience)
	require.Equal(t, []string{"10"}, got, "a follower from the beginning")
	got, _ = following(t, s, at, patience)
	require.Equal(t, []string{"10"}, got, "a follower that had read all")
}

// A follower hears of commits of other processes, and goes on after a restart where it was.
func TestFollowersOfOtherProcesses(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	a := open(t, Config{URL: url})
	at := uint64(0)
	for i := range 5 {
		b, err := Open(t.Context(), Config{URL: url})
		require.NoError(t, err)
		got := make(chan []string, 1)
		go func() {
			entries, err := b.Next(t.Context(), at, 0)
			if err == nil {
				at = entries[len(entries)-1].Index
			}
			got <- tokens(entries)
		}()
		awaited(t, b)
		_, err = a.Store(t.Context(), n17, nil, fmt.Sprint(i), anonymous)
		require.NoError(t, err)
		require.Equal(t, []string{fmt.Sprint(i)}, <-got)
		b.Close()
	}
}

func TestCloseEndsTheWait(t *testing.T) {
	s := open(t, Config{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Next(t.Context(), 0, 0)
		done <- err
	}()
	awaited(t, s)
	s.Close()
	require.ErrorIs(t, <-done, errClosed)
}

// awaited returns once somebody waits for news, and tells how many looks there were so far.
func awaited(t *testing.T, s *Source) (looks int) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.tips.mu.Lock()
		defer s.tips.mu.Unlock()
		looks = s.tips.looks
		return s.tips.waiting > 0
	}, patience, time.Millisecond)
	return looks
}
