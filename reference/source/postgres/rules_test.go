package postgres

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// The trap that T0 avoids: a slow client that binds, and executes later, is answered from the
// snapshot at Bind. By then statement_timestamp() is after a commit that the answer doesn't show;
// now() never is.
func TestTimeIsNotAfterTheSnapshot(t *testing.T) {
	s := open(t, Config{})
	w, err := s.Store(t.Context(), n17, []byte("old"), "old", anonymous)
	require.NoError(t, err)
	conn := connect(t, s.pool.Config().ConnString()+"&TimeZone=UTC").PgConn()
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
	f.Send(&pgproto3.Parse{Query: "SELECT l.*, statement_timestamp() FROM (" + s.sql.load + ") AS l"})
	f.Send(&pgproto3.Bind{Parameters: [][]byte{[]byte(n17.Family), []byte(n17.ID), {}, {}, {}, {}}})
	f.Send(&pgproto3.Flush{})
	hear(func(m pgproto3.BackendMessage) bool { _, bound := m.(*pgproto3.BindComplete); return bound })
	newer, err := s.Store(t.Context(), n17, []byte("new"), "new", anonymous)
	require.NoError(t, err)
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
	var now, statement int64
	var version string
	hear(func(m pgproto3.BackendMessage) bool {
		if row, is := m.(*pgproto3.DataRow); is {
			version = string(row.Values[1])
			for i, into := range map[int]*int64{0: &now, 5: &statement} {
				at, err := time.Parse("2006-01-02 15:04:05.999999-07", string(row.Values[i]))
				require.NoError(t, err)
				*into = at.UnixNano()
			}
		}
		_, ready := m.(*pgproto3.ReadyForQuery)
		return ready
	})
	require.Equal(t, fmt.Sprint(w.Version), version, "the answer is from before the second store")
	require.Less(t, now, newer.T0, "and so is the time given with it")
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
				_, err = s.Store(t.Context(), n17, nil, fmt.Sprint(i), anonymous)
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
	r, err := s.Load(t.Context(), n17, anonymous)
	require.NoError(t, err)
	require.EqualValues(t, 8, r.Version)
}

func TestOpenRefuses(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	_, err := Open(t.Context(), Config{URL: "postgres://not a url"})
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
	_, err = clerk.Store(t.Context(), n17, nil, "x", anonymous)
	require.NoError(t, err)

	run(t, conn, "UPDATE cachedrill.version SET version = 99")
	_, err = Open(t.Context(), Config{URL: url})
	require.ErrorContains(t, err, "newer than 2")
}

func TestVersionsBeyondTheDatabases(t *testing.T) {
	s := open(t, Config{})
	require.NoError(t, s.Own(t.Context(), "r", "me", false))
	_, err := s.Apply(t.Context(), source.Change{Name: n17, Version: 1 << 63, Realm: "r", Owner: "me"}, anonymous)
	require.ErrorIs(t, err, source.ErrNotApplied)
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
	time.Sleep(20 * time.Millisecond) // what they are held up for is measured
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
