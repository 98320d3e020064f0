// Package postgres is a source of truth in PostgreSQL, version 13 or newer: a [source.Source] and
// its [source.Feed].
//
// Values are bytes in tables of its own, which it makes; all processes of all regions use the same.
// Values that live in other tables need a [source.Source] of their own. The feed's table grows with
// every change: see [Source.Trim].
//
// # Writes
//
// A change is one statement, and so one round trip and one transaction: the value, its version, its
// token and the row that tells the followers of it commit together or not at all. The row's lock
// gives the versions of a name their order. Before it, the statement takes an advisory lock on the
// name, which the server needs for nothing but this: those who wait for it have no transaction id
// yet. So the ids of a name's changes are in the order of its versions, and a queue on a hot name
// doesn't hold up the feed.
//
// # Time
//
// T0 of a read is now(), the start of its transaction, which is never later than the snapshot that
// the read is answered from. statement_timestamp() would be wrong: it is the arrival of the
// client's last message, and with the extended protocol the snapshot is taken at Bind and the
// function called at Execute, so that it may be later than the snapshot; a copy would count as
// younger than it is. A T0 that is too early costs a little freshness, one that is too late is a
// lie. T0 of a change, and [source.Entry.At], are clock_timestamp() under the row's lock: not after
// the commit, and in the order of versions. All are the server's wall clock, in whole microseconds:
// they go back when that clock is set back, and jump when another server takes over.
//
// # The feed
//
// A feed that reads "everything after the last one I saw" loses commits: transactions end in
// another order than they began. Here each row bears its transaction's id, and only those are given
// that are older than every transaction still open (the xmin of the reader's snapshot): none can
// appear behind them. A transaction with an id that stays open, in any database of the server, so
// holds up the feed, and loses nothing. A position is a transaction id, of 64 bits, since a
// transaction makes one change. It means nothing on a server that the tables were dumped and
// restored to: begin there with an empty schema.
package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/traffic"
)

// Config describes a [Source].
type Config struct {
	// URL is where the database is, as pgx takes it: a URL or a list of key=value.
	// sslmode=verify-full in it encrypts and checks the server (pgx's default goes on in plain text
	// where it must). pool_max_conns in it bounds the connections of the workload; without it there
	// are 4, or as many as processors when those are more. Reads must be of the newest, so a server
	// that is read-only is refused, unless the URL says otherwise with target_session_attrs.
	URL string
	// Schema holds the tables, and is made where it is missing. Empty: "cachedrill".
	Schema string
	// Poll is the time between two looks for commits of other processes, while somebody follows the
	// feed. 0: 10 ms.
	Poll time.Duration
	// MayLose takes a server that may lose what it acknowledged when it crashes: fsync or
	// synchronous_commit is off. Others are refused.
	MayLose bool
	// OnLoad is called after each load ended for its caller, concurrently; may be nil. A load's
	// Queued is its wait for a connection, its width counts this process only. Audits aren't
	// reported. None is Abandoned: a server whose caller gave up is asked to cancel.
	OnLoad func(source.Load)
	// Traffic counts the bytes that go to the server and come from it; nil: they are not counted.
	Traffic *traffic.Counter
	// Now is the clock of the times that OnLoad tells, monotonic, in nanoseconds. nil: since Open.
	Now func() int64
}

// Source is a source of truth in PostgreSQL. Its methods may be called concurrently.
type Source struct {
	pool   *pgxpool.Pool
	aside  *pgxpool.Pool // of audits and the feed, so that they don't wait behind the workload
	schema string
	sql    statements
	locks  int32 // the class of this schema's advisory locks
	meter  source.Meter

	life    context.Context // ends the look-out for commits
	end     context.CancelFunc
	running sync.WaitGroup
	tips    tips
	poll    time.Duration
}

var (
	_ source.Source = (*Source)(nil)
	_ source.Feed   = (*Source)(nil)
)

// Close waits for the calls under way, and ends all connections.
func (s *Source) Close() {
	s.end()
	s.running.Wait()
	s.pool.Close()
	s.aside.Close()
}

var (
	errMayLose = errors.New("the server may lose acknowledged writes in a crash")
	errClosed  = errors.New("the source is closed")
)
