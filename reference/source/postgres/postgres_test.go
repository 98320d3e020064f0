package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/sourcetest"
)

func TestMain(m *testing.M) {
	reexec.Main(pgtest.Roles)
	if os.Getenv(writerEnv) != "" {
		writeUntilKilled()
	}
	goleak.VerifyTestMain(pgtest.Closing(m))
}

const patience = 30 * time.Second // for what takes milliseconds

var (
	n17       = key.Name{Family: "product", ID: "17"}
	anonymous source.Caller
)

func open(t *testing.T, cfg Config) *Source {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = pgtest.Shared(t).Database(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := Open(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func TestConforms(t *testing.T) {
	for name, options := range map[string]string{
		"":                 "&pool_max_conns=16",
		" few connections": "&pool_max_conns=2",
		" simple protocol": "&default_query_exec_mode=simple_protocol",
	} {
		plain := pgtest.Shared(t).Database(t)
		url := plain + options
		// A database's stricter level must not reach us: concurrent writers would fail.
		run(t, connect(t, plain), `DO $$BEGIN
			EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
		END$$`)
		schemas := 0
		fresh := func(t *testing.T) *Source {
			schemas++
			return open(t, Config{URL: url, Schema: string(rune('a'+schemas)) + `"chema`})
		}
		t.Run("source"+name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) source.Source { return fresh(t) })
		})
		t.Run("feed"+name, func(t *testing.T) {
			sourcetest.RunFeed(t, func(t *testing.T) (source.Source, source.Feed) { s := fresh(t); return s, s })
		})
	}
}
