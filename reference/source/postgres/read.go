package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Load implements [source.Source].
func (s *Source) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return s.read(ctx, source.Load{Name: n, Caller: by})
}

// Version implements [source.Source].
func (s *Source) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return s.read(ctx, source.Load{Name: n, Caller: by, Check: true})
}

func (s *Source) read(ctx context.Context, l source.Load) (rec source.Record, err error) {
	pool := s.pool
	if l.Caller.Audit {
		pool = s.aside
	} else {
		s.meter.Arrive(&l)
		defer func() {
			s.meter.Leave(l)
			s.meter.Tell(l, rec, err)
		}()
	}
	began := s.meter.Now()
	conn, err := pool.Acquire(ctx)
	l.Queued = s.meter.Now() - began
	if err != nil {
		return source.Record{}, fmt.Errorf("loading %s:%s: waiting for a connection: %w", l.Name.Family, l.Name.ID, err)
	}
	defer conn.Release()
	var t0 time.Time
	sql, into := s.sql.load, []any{&t0, &rec.Version, &rec.Deleted, &rec.Fenced, &rec.Value}
	if l.Check {
		sql, into = s.sql.check, into[:4]
	}
	if err := conn.QueryRow(ctx, sql, nameArgs(l.Name)...).Scan(into...); err != nil {
		return source.Record{}, fmt.Errorf("loading %s:%s: %w", l.Name.Family, l.Name.ID, err)
	}
	rec.T0 = t0.UnixNano()
	return rec, nil
}

// Clock implements [source.Source]: the server's wall clock, in whole microseconds.
func (s *Source) Clock(ctx context.Context) (int64, error) {
	var at time.Time
	if err := s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return 0, fmt.Errorf("reading the source's clock: %w", err)
	}
	return at.UnixNano(), nil
}
