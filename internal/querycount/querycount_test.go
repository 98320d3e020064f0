package querycount

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	reexec.Main(pgtest.Roles)
	goleak.VerifyTestMain(pgtest.Closing(m))
}

func TestReadsOverHTTPAreCounted(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Host, b)
	}))
	defer s.Close()
	c, err := New("http", s.Listener.Addr().String(), (&net.Dialer{}).DialContext)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{}}
	ask := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Addr()+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Host = "shop.example"
		res, err := client.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(b)
	}
	require.Equal(t, "PUT /a%2Fb?x=1;y shop.example hello", ask("PUT", "/a%2Fb?x=1;y", "hello"))
	require.Zero(t, c.Reads())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { ask("GET", "/a", "") })
	}
	all.Wait()
	require.EqualValues(t, 20, c.Reads())
	client.CloseIdleConnections()
	require.NoError(t, c.Close())
	_, err = net.Dial("tcp", c.Addr())
	require.Error(t, err)
	_, err = New("gopher", "127.0.0.1:1", nil)
	require.Error(t, err)
}

// Queries are counted on a real PostgreSQL, as its clients really send them.
func TestReadsOfPostgresAreCounted(t *testing.T) {
	server := pgtest.Shared(t)
	cfg, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	c, err := New("postgres", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), (&net.Dialer{}).DialContext)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	host, port, err := net.SplitHostPort(c.Addr())
	require.NoError(t, err)
	_, err = fmt.Sscan(port, &cfg.Port)
	require.NoError(t, err)
	cfg.Host = host
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement} {
		cfg := cfg.Copy()
		cfg.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		before := c.Reads()
		_, err = conn.Exec(t.Context(), "create temporary table t (n int)")
		require.NoError(t, err)
		for i := range 3 {
			_, err = conn.Exec(t.Context(), "insert into t values ($1)", i)
			require.NoError(t, err)
		}
		require.Zero(t, c.Reads()-before, mode)
		var n int
		for range 5 {
			require.NoError(t, conn.QueryRow(t.Context(), "  select count(*) from t where n >= $1", 0).Scan(&n))
			require.Equal(t, 3, n)
		}
		require.NoError(t, conn.QueryRow(t.Context(), "with x as (select n from t) select max(n) from x").Scan(&n))
		require.EqualValues(t, 6, c.Reads()-before, mode)
		require.NoError(t, conn.Close(t.Context()))
	}
	require.Zero(t, c.Blind())
}

func TestWhatIsNoPostgresPasses(t *testing.T) {
	for _, sent := range []string{"\x16\x03\x01\x02\x00", "\x00\x00\x00\x08\x04\xd2\x16\x2f\x16\x03\x01", "\xff\xff\xff\xffrubbish", "\x00\x00\x00\x01"} {
		blind := 0
		p := &postgres{read: func() { t.Error("a read") }, blind: func() { blind++ }}
		for i := range len(sent) { // however it is cut
			n, err := p.Write([]byte{sent[i]})
			require.Equal(t, 1, n)
			require.NoError(t, err)
		}
		require.Equal(t, 1, blind, "%q", sent)
	}
}

func FuzzPostgres(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08\x00\x03\x00\x00Q\x00\x00\x00\x0dselect 1\x00"), uint8(3))
	f.Add([]byte("\x00\x00\x00\x08\x00\x03\x00\x00P\x00\x00\x00\x0fa\x00select 1\x00\x00\x00B\x00\x00\x00\x07b\x00a\x00E\x00\x00\x00\x0ab\x00\x00\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, sent []byte, cut uint8) {
		whole, pieces := 0, 0
		p := &postgres{read: func() { whole++ }, blind: func() {}}
		_, _ = p.Write(sent)
		q := &postgres{read: func() { pieces++ }, blind: func() {}}
		for len(sent) > 0 {
			n := min(len(sent), int(cut)+1)
			_, _ = q.Write(sent[:n])
			sent = sent[n:]
		}
		if whole != pieces {
			t.Errorf("%d reads in one piece, %d in pieces of %d", whole, pieces, cut)
		}
		if len(p.body) > mostKept {
			t.Errorf("%d bytes are kept", len(p.body))
		}
	})
}
