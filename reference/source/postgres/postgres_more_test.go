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
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// The trap that T0 avoids: a slow client that binds, and executes later, is answered from the snapshot at Bind. By then
// statement_timestamp() is after a commit that the answer doesn't show; now() never is.
func TestTimeIsNotAfterTheSnapshot(t *testing.T) {
	s := open(t, Config{})
	w, err := s.Store(t.Context(), n17, []byte("old"), "old", nobody)
	require.NoError(t, err)
	conn := connect(t, s.pool.Config().ConnString()).PgConn()
	f := conn.Frontend()
	hear := func(until func(pgproto3.BackendMessage) bool) {
		require.NoError(t, f.Flush())
		for {
			m, err := f.Receive()
			require.NoError(t, err)
			if e, failed := m.(*pgproto3.ErrorResponse); failed {
				require.Fail(t, e.Message)
			}
			if until(m) {
				return
			}
		}
	}
	nanos := func(what string) string { return "(extract(epoch from " + what + ") * 1000000)::bigint * 1000" }
	f.Send(&pgproto3.Parse{Query: "SELECT " + nanos("now()") + ", " + nanos("statement_timestamp()") + ", version FROM cachedrill.entry"})
	f.Send(&pgproto3.Bind{})
	f.Send(&pgproto3.Flush{})
	hear(func(m pgproto3.BackendMessage) bool { _, bound := m.(*pgproto3.BindComplete); return bound })
	newer, err := s.Store(t.Context(), n17, []byte("new"), "new", nobody)
	require.NoError(t, err)
	time.Sleep(2 * time.Millisecond)
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
	var now, statement int64
	var version uint64
	hear(func(m pgproto3.BackendMessage) bool {
		if row, is := m.(*pgproto3.DataRow); is {
			_, err := fmt.Sscan(string(row.Values[0])+" "+string(row.Values[1])+" "+string(row.Values[2]), &now, &statement, &version)
			require.NoError(t, err)
		}
		_, ready := m.(*pgproto3.ReadyForQuery)
		return ready
	})
	require.Equal(t, w.Version, version, "the answer is from before the second store")
	require.Less(t, now, newer.T0, "and so is the time told with it")
	require.Greater(t, statement, newer.T0, "the other function would have lied")
}

func TestSeveralProcessesMakeTheTables(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		wg.Go(func() {
			s, err := Open(t.Context(), Config{URL: url})
			if err == nil {
				_, err = s.Store(t.Context(), n17, nil, fmt.Sprint(i), nobody)
				s.Close()
			}
			errs <- err
		})
	}
	wg.Wait()
	for range 8 {
		require.NoError(t, <-errs)
	}
	s := open(t, Config{URL: url})
	r, err := s.Load(t.Context(), n17, nobody)
	require.NoError(t, err)
	require.EqualValues(t, 8, r.Version)
}

func TestOpenRefuses(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	_, err := Open(t.Context(), Config{URL: "postgres://nobody here"})
	require.ErrorContains(t, err, "the source's URL")
	_, err = Open(t.Context(), Config{URL: url + "&synchronous_commit=off"})
	require.ErrorIs(t, err, errMayLose)
	s, err := Open(t.Context(), Config{URL: url + "&synchronous_commit=off", MayLose: true})
	require.NoError(t, err)
	s.Close()
	_, err = Open(t.Context(), Config{URL: url + "&default_transaction_read_only=on"})
	require.ErrorIs(t, err, pgconn.ErrReadOnlyConnection)

	// Once the tables are there, the right to read and write them is enough.
	conn := connect(t, url)
	for _, sql := range []string{"CREATE ROLE clerk LOGIN PASSWORD 'x'", "GRANT USAGE ON SCHEMA cachedrill TO clerk",
		"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA cachedrill TO clerk"} {
		run(t, conn, sql)
	}
	defer run(t, conn, "DROP OWNED BY clerk; DROP ROLE clerk")
	_, at, _ := strings.Cut(url, "@")
	clerk, err := Open(t.Context(), Config{URL: "postgres://clerk:x@" + at})
	require.NoError(t, err)
	defer clerk.Close()
	_, err = clerk.Store(t.Context(), n17, nil, "x", nobody)
	require.NoError(t, err)

	run(t, conn, "UPDATE cachedrill.version SET version = 99")
	_, err = Open(t.Context(), Config{URL: url})
	require.ErrorContains(t, err, "newer than 1")
}

func TestApply(t *testing.T) {
	s := open(t, Config{})
	for i, c := range []struct {
		version uint64
		value   string
		deleted bool
		needed  bool
	}{
		{2, "b", false, true}, {1, "a", false, false}, {2, "other", false, false}, {3, "", true, true}, {3, "", true, false},
		{7, "g", false, true}, {6, "f", false, false},
	} {
		needed, err := s.Apply(t.Context(), n17, c.version, []byte(c.value), fmt.Sprint(i), c.deleted, source.Caller{Region: "eu"})
		require.NoError(t, err)
		require.Equal(t, c.needed, needed, "change %d", i)
	}
	r, err := s.Load(t.Context(), n17, nobody)
	require.NoError(t, err)
	require.EqualValues(t, 7, r.Version)
	require.Equal(t, "g", string(r.Value))
	got, _ := following(t, s, 0, patience)
	require.Equal(t, []string{"0", "3", "5"}, got, "what was not needed is told to nobody")
	for _, v := range []uint64{0, 1 << 63} {
		_, err = s.Apply(t.Context(), n17, v, nil, "x", false, nobody)
		require.ErrorIs(t, err, source.ErrNotApplied)
	}
	require.NoError(t, s.Fence(t.Context(), n17, "f", false, nobody))
	needed, err := s.Apply(t.Context(), n17, 8, nil, "x", false, nobody)
	require.NoError(t, err)
	require.True(t, needed)
	r, err = s.Load(t.Context(), n17, nobody)
	require.NoError(t, err)
	require.True(t, r.Fenced, "a fence is left alone")
}

func TestLoadsAreCounted(t *testing.T) {
	var mu sync.Mutex
	var loads []source.Load
	s := open(t, Config{URL: pgtest.Shared(t).Database(t) + "&pool_max_conns=1", OnLoad: func(l source.Load) {
		mu.Lock()
		defer mu.Unlock()
		loads = append(loads, l)
	}})
	conn, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { _, _ = s.Load(t.Context(), n17, source.Caller{Region: "eu"}) })
	}
	wg.Go(func() { _, _ = s.Load(t.Context(), n17, source.Caller{Region: "us"}) })
	wg.Go(func() { _, _ = s.Version(t.Context(), n17, source.Caller{Region: "eu"}) })
	require.Eventually(t, func() bool { return s.pool.Stat().EmptyAcquireWaitTime() >= 0 && waiting(&s.meter, n17) == 4 }, patience, time.Millisecond)
	_, err = s.Load(t.Context(), n17, source.Caller{Audit: true})
	require.NoError(t, err, "audits don't wait behind the workload")
	time.Sleep(20 * time.Millisecond)
	conn.Release()
	wg.Wait()
	require.Len(t, loads, 5, "audits aren't counted")
	widest := map[string]int{}
	for _, l := range loads {
		region := l.Caller.Region
		if l.Check {
			require.Zero(t, l.Width)
			region = "check"
		}
		widest[region] = max(widest[region], l.Width)
		require.GreaterOrEqual(t, l.Done, l.Arrived+l.Queued)
		require.GreaterOrEqual(t, l.Queued, int64(10*time.Millisecond))
		require.False(t, l.Failed)
	}
	require.Equal(t, map[string]int{"eu": 3, "us": 1, "check": 0}, widest)
}

// waiting probes how many loads of a name are under way, in regions eu and us.
func waiting(m *source.Meter, n key.Name) (sum int) {
	for _, region := range []string{"eu", "us"} {
		l := source.Load{Name: n, Caller: source.Caller{Region: region}}
		m.Arrive(&l)
		m.Leave(l)
		sum += l.Width - 1
	}
	return sum
}

func TestWhatGuaranteesNoEffect(t *testing.T) {
	said := func(severity, code string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: code})
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{said("ERROR", "23505"), true}, {said("ERROR", "53100"), true}, {said("ERROR", "40P01"), true}, {said("ERROR", "57014"), true},
		{said("ERROR", "40001"), true}, {said("ERROR", "40003"), false}, {said("ERROR", "08P01"), false}, {said("ERROR", "08007"), false},
		{said("ERROR", "57P01"), false}, {said("FATAL", "57P01"), false}, {said("FATAL", "53300"), false}, {said("PANIC", "XX000"), false},
		{context.DeadlineExceeded, false}, {io.ErrUnexpectedEOF, false}, {errors.New("odd"), false},
	} {
		require.Equal(t, c.want, noEffect(c.err), "%v", c.err)
	}
}

// proxy passes bytes on to a server, until it is told to swallow the server's answers.
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
		r, err := direct.Load(t.Context(), n, nobody)
		require.NoError(t, err)
		return r.Version
	}
	_, err = s.Store(t.Context(), n17, nil, "1", nobody)
	require.NoError(t, err)

	t.Run("the server refuses", func(t *testing.T) {
		for what, n := range map[string]key.Name{"no text": {ID: "\x00"}, "no UTF-8": {ID: "\xff"}, "too long": {ID: randomText(20_000)}} {
			_, err := s.Store(t.Context(), n, nil, "x", nobody)
			require.ErrorIs(t, err, source.ErrNotApplied, what)
			_, err = s.Load(t.Context(), n, nobody)
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
		_, err = s.Store(ctx, n17, nil, "x", nobody)
		require.ErrorIs(t, err, source.ErrNotApplied)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 1, version(n17))
	})
	t.Run("the answer is lost", func(t *testing.T) {
		_, err := s.Store(t.Context(), n17, nil, "2", nobody) // prepares the statement again
		require.NoError(t, err)
		mute.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = s.Store(ctx, n17, nil, "x", nobody)
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
		_, err := direct.Store(ctx, n17, nil, "x", nobody)
		require.Error(t, err)
		require.NotErrorIs(t, err, source.ErrNotApplied, "nobody can know")
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
		require.NoError(t, direct.Fence(t.Context(), n, "first", false, nobody))
		tx, err := connect(t, url).Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), direct.sql.takeFence, append(nameArgs(n), direct.locks, lockKey(n), "second")...)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { // its statement begins while the fence is still its own
			_, err := direct.Store(t.Context(), n, nil, "late", source.Caller{Fence: "first"})
			done <- err
		}()
		time.Sleep(20 * time.Millisecond)
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

func BenchmarkStore(b *testing.B) {
	url := pgtest.Shared(b).Database(b) + "&pool_max_conns=16"
	s, err := Open(b.Context(), Config{URL: url})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	for name, names := range map[string]uint64{"one name": 1, "1000 names": 1000} {
		b.Run(name, func(b *testing.B) {
			var i atomic.Uint64
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					k := i.Add(1)
					if _, err := s.Store(b.Context(), key.Name{ID: fmt.Sprint(k % names)}, []byte("value"), fmt.Sprint(k), nobody); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, err := Open(b.Context(), Config{URL: pgtest.Shared(b).Database(b) + "&pool_max_conns=16"})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	_, err = s.Store(b.Context(), n17, make([]byte, 1000), "x", nobody)
	require.NoError(b, err)
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Load(b.Context(), n17, nobody); err != nil {
				b.Error(err)
			}
		}
	})
}
