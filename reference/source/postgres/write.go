package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Store implements [source.Source]. A call that ctx cuts off while the statement is under way gives
// up its connection and has the server asked to cancel, which may come too late: the outcome is
// unknown, and a commit may still follow.
func (s *Source) Store(ctx context.Context, n key.Name, value []byte, token string, by source.Caller) (source.Record, error) {
	return s.change(ctx, "storing", change{name: n, value: value, token: token, by: by})
}

// Delete implements [source.Source], as Store does.
func (s *Source) Delete(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return s.change(ctx, "deleting", change{name: n, deleted: true, by: by})
}

// Apply implements [source.Applier].
func (s *Source) Apply(ctx context.Context, c source.Change, by source.Caller) (needed bool, err error) {
	doing := fmt.Sprintf("applying %s:%s", c.Name.Family, c.Name.ID)
	if c.Version == 0 || c.Version > math.MaxInt64 {
		return false, fmt.Errorf("%s: %w: there is no version %d", doing, source.ErrNotApplied, c.Version)
	}
	_, err = s.change(ctx, "applying", change{name: c.Name, value: c.Value, token: c.Token, deleted: c.Deleted, by: by,
		version: c.Version, realm: c.Realm, owner: c.Owner})
	if !errors.Is(err, pgx.ErrNoRows) {
		return err == nil, err
	}
	var mine bool
	if err := s.aside.QueryRow(ctx, s.sql.owner, c.Realm, c.Owner).Scan(&mine); err != nil {
		return false, fmt.Errorf("%s: who owns %s: %w", doing, c.Realm, err)
	}
	if !mine {
		return false, fmt.Errorf("%s: %w: %w", doing, source.ErrNotApplied, source.ErrOwned)
	}
	return false, nil
}

// Own implements [source.Applier].
func (s *Source) Own(ctx context.Context, realm, owner string, take bool) error {
	var done bool
	err := s.write(ctx, s.sql.own, []any{realm, owner, take}, &done)
	if errors.Is(err, pgx.ErrNoRows) {
		err = source.ErrOwned
	}
	if err != nil {
		return fmt.Errorf("owning %s: %w", realm, err)
	}
	return nil
}

type change struct {
	name    key.Name
	value   []byte
	token   string
	deleted bool
	by      source.Caller
	version uint64 // given before, by the owner of a realm; 0: the next
	realm   string
	owner   string
}

func (s *Source) change(ctx context.Context, doing string, c change) (source.Record, error) {
	args := append(nameArgs(c.name), s.locks, lockKey(c.name), c.deleted, c.token, c.value, c.by.Region)
	sql := s.sql.store
	switch {
	case c.version > 0:
		sql, args = s.sql.apply, append(args, c.version, c.realm, c.owner)
	case c.by.Fence != "":
		sql, args = s.sql.fencedStore, append(args, c.by.Fence)
	}
	rec := source.Record{Value: c.value, Deleted: c.deleted}
	var at time.Time
	err := s.write(ctx, sql, args, &at, &rec.Version, &rec.Fenced)
	switch {
	case err == nil:
		rec.T0 = at.UnixNano()
		s.tips.look()
		return rec, nil
	case errors.Is(err, pgx.ErrNoRows) && c.version == 0:
		err = fmt.Errorf("%w: %w", source.ErrNotApplied, source.ErrFenced)
	}
	return source.Record{}, fmt.Errorf("%s %s:%s: %w", doing, c.name.Family, c.name.ID, err)
}

// Fence implements [source.Source].
func (s *Source) Fence(ctx context.Context, n key.Name, fence string, take bool, _ source.Caller) error {
	sql := s.sql.fence
	if take {
		sql = s.sql.takeFence
	}
	var done bool
	err := s.write(ctx, sql, append(nameArgs(n), s.locks, lockKey(n), fence), &done)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("%w: %w", source.ErrNotApplied, source.ErrFenced)
	}
	if err != nil {
		return fmt.Errorf("fencing %s:%s: %w", n.Family, n.ID, err)
	}
	return nil
}

// write runs a statement that is a transaction of its own. It returns after the server reported
// that it is ready for another, which it does after the commit: the row itself arrives before that.
// [pgx.ErrNoRows] says that the statement changed nothing.
func (s *Source) write(ctx context.Context, sql string, args []any, into ...any) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: waiting for a connection: %w", source.ErrNotApplied, err)
	}
	defer conn.Release()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	err = conn.QueryRow(ctx, sql, args...).Scan(into...)
	if err != nil && noEffect(err) {
		err = fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return err
}

// noEffect says whether an error of a change guarantees that it had none: it was not sent, or the
// server answered that it has rolled it back. A lost connection, a timeout in flight and the
// farewell of a server that shuts down guarantee nothing: the commit may have been done.
func noEffect(err error) bool {
	if pgconn.SafeToRetry(err) {
		return true
	}
	var failure *pgconn.PgError
	if !errors.As(err, &failure) || failure.SeverityUnlocalized != "ERROR" {
		return false // FATAL and PANIC end the session, at any moment
	}
	switch {
	case strings.HasPrefix(failure.Code, "08"): // a connection's failure, as poolers between us and the server tell it
		return false
	case strings.HasPrefix(failure.Code, "57P"): // the server's end
		return false
	case failure.Code == "40003": // statement_completion_unknown
		return false
	}
	return true
}
