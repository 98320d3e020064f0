package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cachedrill/cachedrill/reference/key"
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

const columns = "family, id, tenant, locale, currency, variant"

// statements are a schema's. Where there is a name, it is $1 to $6; where there is a lock, its
// class is $7 and its key $8.
type statements struct {
	versionTable string

	load, check        string
	store, fencedStore string
	apply, own, owner  string
	fence, takeFence   string
	next, tip, sealed  string
	trim               string
}

func newStatements(schema string) statements {
	r := strings.NewReplacer(
		"{entry}", pgx.Identifier{schema, "entry"}.Sanitize(), "{outbox}", pgx.Identifier{schema, "outbox"}.Sanitize(),
		"{realm}", pgx.Identifier{schema, "realm"}.Sanitize(), "{columns}", columns, "{name}", "$1, $2, $3, $4, $5, $6",
		"{is name}", "(e.family, e.id, e.tenant, e.locale, e.currency, e.variant) = ($1, $2, $3, $4, $5, $6)",
		"{held}", "held AS MATERIALIZED (SELECT pg_advisory_xact_lock($7, $8))",
		"{logged}", "logged AS (INSERT INTO {outbox} ({columns}, version, deleted, token, origin, at) SELECT {name}, version, $9, $10, $12, at FROM put)",
		"{open}", "pg_snapshot_xmin(pg_current_snapshot())",
	)
	sql := func(s string) string { return r.Replace(r.Replace(s)) } // twice: what is put in has names to be put in
	return statements{
		versionTable: pgx.Identifier{schema, "version"}.Sanitize(),
		load: sql(`SELECT now(), coalesce(e.version, 0), coalesce(e.deleted, false), coalesce(e.fence <> '', false), e.value
FROM (VALUES (1)) AS one LEFT JOIN {entry} AS e ON {is name}`),
		check: sql(`SELECT now(), coalesce(e.version, 0), coalesce(e.deleted, false), coalesce(e.fence <> '', false)
FROM (VALUES (1)) AS one LEFT JOIN {entry} AS e ON {is name}`),
		store: sql(`WITH {held}, put AS (
	INSERT INTO {entry} AS e ({columns}, version, deleted, token, value) SELECT {name}, 1, $9::boolean, $10, $11::bytea FROM held
	ON CONFLICT ({columns}) DO UPDATE
		SET version = e.version + 1, deleted = excluded.deleted, token = excluded.token, value = excluded.value
	RETURNING e.version, e.fence <> '' AS fenced, clock_timestamp() AS at
), {logged} SELECT at, version, fenced FROM put`),
		fencedStore: sql(`WITH {held}, put AS (
	UPDATE {entry} AS e SET version = e.version + 1, deleted = $9, token = $10, value = $11, fence = '' FROM held
	WHERE {is name} AND e.fence = $13
	RETURNING e.version, false AS fenced, clock_timestamp() AS at
), {logged} SELECT at, version, fenced FROM put`),
		// The share lock keeps a new owner waiting until what the one before has under way is
		// committed.
		apply: sql(`WITH mine AS MATERIALIZED (SELECT 1 FROM {realm} WHERE realm = $14 AND owner = $15 FOR SHARE), {held}, put AS (
	INSERT INTO {entry} AS e ({columns}, version, deleted, token, value) SELECT {name}, $13::bigint, $9::boolean, $10, $11::bytea FROM mine, held
	ON CONFLICT ({columns}) DO UPDATE
		SET version = excluded.version, deleted = excluded.deleted, token = excluded.token, value = excluded.value
		WHERE e.version < excluded.version
	RETURNING e.version, e.fence <> '' AS fenced, clock_timestamp() AS at
), {logged} SELECT at, version, fenced FROM put`),
		own: sql(`INSERT INTO {realm} AS r (realm, owner) VALUES ($1, $2)
	ON CONFLICT (realm) DO UPDATE SET owner = excluded.owner WHERE r.owner IN ('', excluded.owner) OR excluded.owner = '' OR $3 RETURNING true`),
		owner: sql(`SELECT EXISTS (SELECT 1 FROM {realm} WHERE realm = $1 AND owner = $2)`),
		fence: sql(`WITH {held} INSERT INTO {entry} AS e ({columns}, version, fence) SELECT {name}, 0, $9 FROM held
	ON CONFLICT ({columns}) DO UPDATE SET fence = excluded.fence WHERE e.fence IN ('', excluded.fence) RETURNING true`),
		takeFence: sql(`WITH {held} INSERT INTO {entry} AS e ({columns}, version, fence) SELECT {name}, 0, $9 FROM held
	ON CONFLICT ({columns}) DO UPDATE SET fence = excluded.fence RETURNING true`),
		next: sql(`SELECT xid, {columns}, version, deleted, token, origin, at FROM {outbox}
WHERE xid > $1 AND xid < {open} ORDER BY xid LIMIT $2`),
		sealed: sql(`SELECT coalesce((SELECT xid FROM {outbox} WHERE xid < {open} ORDER BY xid DESC LIMIT 1), '0')`),
		tip:    sql(`SELECT coalesce((SELECT xid FROM {outbox} ORDER BY xid DESC LIMIT 1), '0')`),
		trim:   sql(`DELETE FROM {outbox} WHERE xid <= $1`),
	}
}

// lockClass sets the advisory locks of a schema apart from others in the database. A clash only
// makes some wait for each other.
func lockClass(schema string) int32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, "cachedrill source "+schema)
	return int32(h.Sum32())
}

// lockKey is a name's within the class; 0 is the schema's own. A clash of two names only makes
// their writers take turns.
func lockKey(n key.Name) int32 {
	h := fnv.New32a()
	for _, part := range []string{n.Family, n.ID, n.Tenant, n.Locale, n.Currency, n.Variant} {
		_, _ = io.WriteString(h, part)
		_, _ = h.Write([]byte{0})
	}
	return int32(h.Sum32() | 1)
}

// nameArgs are the first six of a statement's.
func nameArgs(n key.Name) []any {
	return []any{n.Family, n.ID, n.Tenant, n.Locale, n.Currency, n.Variant}
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
