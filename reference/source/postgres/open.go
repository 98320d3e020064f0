package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cachedrill/cachedrill/reference/source"
)

const (
	defaultPoll = 10 * time.Millisecond
	asideConns  = 4 // connections for what is no part of the workload

	connectTimeout = 5 * time.Second // unless the URL says otherwise with connect_timeout
)

// Open connects, and makes the tables where they are missing; several processes may do so at once.
// The source keeps nothing of ctx. Close it after use.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	if cfg.Schema == "" {
		cfg.Schema = "cachedrill"
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Now == nil {
		start := time.Now()
		cfg.Now = func() int64 { return int64(time.Since(start)) }
	}
	s := &Source{schema: cfg.Schema, sql: newStatements(cfg.Schema), locks: lockClass(cfg.Schema), poll: cfg.Poll,
		meter: source.Meter{Now: cfg.Now, OnLoad: cfg.OnLoad}}
	s.tips.init()
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	if s.pool, err = newPool(cfg, 0); err != nil {
		return nil, err
	}
	if s.aside, err = newPool(cfg, asideConns); err != nil {
		s.pool.Close()
		return nil, err
	}
	err = s.check(ctx, cfg)
	if err == nil {
		err = s.migrate(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the source in PostgreSQL: %w", err)
	}
	s.running.Go(func() { s.lookOut(s.life) })
	return s, nil
}

// newPool makes a pool of at most conns connections, or as many as the URL says when it is 0.
func newPool(cfg Config, conns int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("the source's URL: %w", err)
	}
	if conns > 0 {
		c.MaxConns, c.MinConns, c.MinIdleConns = conns, 0, 0
	}
	if c.ConnConfig.ConnectTimeout <= 0 { // or the pool would give a connection two minutes to be made, and keep its place
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	if c.ConnConfig.ValidateConnect == nil {
		c.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	// Under a stricter level concurrent writers of a name would fail instead of waiting for each
	// other.
	c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	if cfg.Traffic != nil {
		c.ConnConfig.DialFunc = cfg.Traffic.Dial(c.ConnConfig.DialFunc)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("the source's connections: %w", err)
	}
	return pool, nil
}

const oldestVersion = 130000 // the first with xid8

// check refuses servers on which the source would not keep its word.
func (s *Source) check(ctx context.Context, cfg Config) error {
	var version int
	var encoding, fsync, commit string
	err := s.aside.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&version, &encoding, &fsync, &commit)
	switch {
	case err != nil:
		return err
	case version < oldestVersion:
		return fmt.Errorf("PostgreSQL 13 or newer is needed, this is %d", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: names need UTF8", encoding)
	case !cfg.MayLose && (fsync == "off" || commit == "off"):
		return fmt.Errorf("%w: fsync is %s, synchronous_commit is %s", errMayLose, fsync, commit)
	}
	return nil
}
