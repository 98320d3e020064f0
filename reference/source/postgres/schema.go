package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// schemaVersion goes up by one with each entry of migrations.
const schemaVersion = 2

// migrations bring the tables from one version to the next; %s is the quoted schema. Columns of
// text compare by bytes, whatever the database's collation.
var migrations = [schemaVersion]string{`
CREATE TABLE %[1]s.entry (
	family text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, tenant text COLLATE "C" NOT NULL,
	locale text COLLATE "C" NOT NULL, currency text COLLATE "C" NOT NULL, variant text COLLATE "C" NOT NULL,
	version bigint NOT NULL, -- 0 while there is only a fence
	deleted boolean NOT NULL DEFAULT false,
	fence text COLLATE "C" NOT NULL DEFAULT '',
	token text COLLATE "C" NOT NULL DEFAULT '',
	value bytea,
	PRIMARY KEY (family, id, tenant, locale, currency, variant)
) WITH (fillfactor = 70); -- room for the next version on the same page
CREATE TABLE %[1]s.outbox (
	xid xid8 PRIMARY KEY DEFAULT pg_current_xact_id(), -- one change a transaction: its id is a position in the feed
	family text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, tenant text COLLATE "C" NOT NULL,
	locale text COLLATE "C" NOT NULL, currency text COLLATE "C" NOT NULL, variant text COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	deleted boolean NOT NULL,
	token text COLLATE "C" NOT NULL,
	origin text COLLATE "C" NOT NULL,
	at timestamptz NOT NULL
);
`, `
CREATE TABLE %[1]s.realm (realm text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL);
`}

// migrate brings the tables to this version. Where they are, it needs no rights but to read and
// write them.
func (s *Source) migrate(ctx context.Context) error {
	found, err := s.schemaVersion(ctx, s.aside)
	if err == nil && found < schemaVersion {
		err = pgx.BeginFunc(ctx, s.aside, func(tx pgx.Tx) error {
			// Processes that start together take turns. A statement after the lock sees what the
			// one before has committed.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, 0)", s.locks); err != nil {
				return err
			}
			if found, err = s.schemaVersion(ctx, tx); err != nil {
				return err
			}
			quoted := pgx.Identifier{s.schema}.Sanitize()
			if found == 0 {
				if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE %s.version (version int NOT NULL)", quoted)); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s.version VALUES (0)", quoted)); err != nil {
					return err
				}
			}
			for ; found < schemaVersion; found++ {
				if _, err := tx.Exec(ctx, fmt.Sprintf(migrations[found], quoted)); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("UPDATE %s.version SET version = $1 WHERE version < $1", quoted), schemaVersion)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("making the tables in schema %q: %w", s.schema, err)
	}
	if found > schemaVersion {
		return fmt.Errorf("the tables in schema %q are of version %d, newer than %d, which is the newest known here", s.schema, found, schemaVersion)
	}
	return nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion is that of the tables, 0 where there are none.
func (s *Source) schemaVersion(ctx context.Context, q querier) (version int, err error) {
	var there bool
	// Not to_regclass: it answers from the session's cache, which in a transaction that waited for
	// its turn may be out of date.
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'version')`, s.schema).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT version FROM "+s.sql.versionTable).Scan(&version)
	return version, err
}
