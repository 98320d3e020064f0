package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/cachedrill/cachedrill/drill/environment/sourceload"
)

// statistics asks a PostgreSQL how many transactions it has ended. Its own questions are not
// counted.
type statistics struct {
	mu    sync.Mutex
	conn  *pgx.Conn
	asked int64
}

// ask is a sourceload.Statistics. One connection is kept, and made anew when it is gone.
func (s *statistics) ask(ctx context.Context, url string, dial sourceload.Dial) (float64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.conn.IsClosed() {
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return 0, fmt.Errorf("the database's URL can't be read") // the text may hold a password
		}
		cfg.DialFunc = dial
		cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // dial looks it up
		cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol                                             // one transaction a question
		if s.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
			return 0, fmt.Errorf("connecting to the database for its statistics: %w", err)
		}
	}
	var ended int64
	// pg_stat_database, in the chapter "The Cumulative Statistics System" of PostgreSQL's
	// documentation.
	err := s.conn.QueryRow(ctx, "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()").Scan(&ended)
	if err != nil {
		return 0, fmt.Errorf("asking the database for its statistics: %w", err)
	}
	s.asked++
	return float64(ended - s.asked + 1), nil
}

func (s *statistics) close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close(ctx) // it was only for asking
	}
}
