package postgres

import (
	"hash/fnv"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cachedrill/cachedrill/reference/key"
)

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
