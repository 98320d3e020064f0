// Package reference is a three-tier read-through cache that stays correct while things break: each
// worker's memory (L1), a Redis per region (L2), and the source of truth (L3).
//
// The source is the authority. Redis holds payload and hints and may forget everything at any
// moment; memory holds copies of what Redis held. What to do with a copy is decided in package
// policy, purely; this package carries the decisions out.
//
// A read of a bounded family meets memory, then Redis, then, with the region's lease in hand, the
// source. A copy carries the source's time inside the read that made it, and every tier refuses it
// once it could be older than the family's bound: so lost messages, a split network or a Redis that
// restarts empty can cost latency and load, never the bound. What is cached of a strong family is
// served only as the version that the source names after the reader came, or under a lease that
// every writer waits for. An eventual family rests on its TTL, counted from the source's time.
//
// A write commits at the source and drops its region's copies. Everybody else hears of it from the
// commit log, through a relay per region (package invalidation): a crash between commit and message
// loses nothing. An eventual family may be written behind: acknowledged by the journal of its owner
// (package writebehind), and brought to the source afterwards.
//
// docs/consistency.md says why each of this holds, docs/races.md what goes wrong without it, and
// docs/operations.md how it is run.
//
// # A service of your own
//
// The first example is a worker's cache, the one called Service a whole service over net/http. The
// parts, in the order in which they are made; they end in the opposite order:
//
//  1. A source: package source/postgres keeps values in tables of its own. For tables or a store of
//     yours implement [source.Source] (package sourcetest has a test of the rules, and an example).
//     [source.Model] is in memory, for trials and drills.
//  2. A Redis of the region: [NewClient], or [NewClientWith] for TLS and a password, and
//     store.NewRedis around it. Keys say neither which service nor which region they are of: give
//     each service and region its own Redis.
//  3. Families: what is cached, and what its readers are promised. Package contract reads them from
//     a file.
//  4. [New], once for each process. All processes have the same families, and but for a switch the
//     same policy.
//  5. Where there is more than one process: a relay, and [Invalidator.Heartbeat]; see below.
//  6. If wanted, an observer (package metrics), a [purge.Purger], and a writebehind.Writer.
//
// Write through a cache. What changes the source past it must raise the version and stand in the
// feed, or others hear of it only when their copies end. Nothing may change a strong family with a
// ReadLease past the caches.
//
// # Which class
//
//   - policy.Bounded is for most things: pages, listings, profiles. Say in Within how old an answer
//     may be, and give TTL the same. Hits ask nothing, and the source may be away for as long as
//     the bound lasts.
//   - policy.Strong is for what must not be wrong: prices at the checkout, stock, permissions. Each
//     read asks the source for a version, which is cheap and not free; while the source is away
//     there are no reads. TTL is only how long the payload is kept. With ReadLease hits ask nothing
//     for that long, and every write takes that long.
//   - policy.Eventual is for what may be old for a TTL: counters, suggestions. Only here writes
//     can be acknowledged before the source has them (package writebehind).
//
// # Errors, and what to answer
//
// Give each call a context with a deadline. An unbounded read takes up to a few seconds; a
// write takes as long as the source does.
//
//	Answer.Absent                    404  there is none: this is no error
//	key.ErrName                      400  a dimension is missing or too many, or there is no ID
//	ErrFamily                        404
//	source.ErrShed,
//	writebehind.ErrBacklog           503  too much is asked of the source: try later
//	context.DeadlineExceeded         504  nothing in time, of a read or a write
//	context.Canceled                 -    the client has gone, or the cache is being closed
//	any other                        503  the source fails, or the cache is closed
//	purge.ErrOrder, ErrSelector      400  of a purge; nothing was purged
//	purge.ErrAudit, ErrPartly        503  of a purge: ErrPartly asks for a repetition
//
// Of a write, an error that is also [source.ErrNotApplied] proves that nothing happened: it can be
// repeated. After any other the outcome is unknown: to repeat it is safe where the value does not
// depend on the one before, and no other write came meanwhile. There is no compare-and-set: what
// needs one is done at the source.
//
// # What is away
//
// Without Redis, also at the start, everything goes on: [New] succeeds, reads go to memory and the
// source, writes are made, and the cache finds Redis when it comes. Only purges and Prewarm fail,
// and other workers hear of writes late: bounded families keep their bound, eventual ones their
// TTL. go-redis logs each failed attempt on stderr; its SetLogger takes that away. A Redis that
// forgets everything, or is replaced, needs no action.
//
// Without the source [New] fails: try again, or let the process end. Later, reads are served from
// copies within their bound or TTL; what is not cached, strong families, and writes get an error.
//
// # Several workers and regions
//
// A write drops the copies in its own worker and in its region's Redis. Other workers' memory, and
// other regions, hear of it through relays: package invalidation says which processes run them. The
// plain way is that each process runs a relay that delivers all commits, and
// [Invalidator.Heartbeat]. The example called Regions shows it. [Config.OnInvalidated] shows a
// worker's share of what is heard.
//
// # Switching the policy
//
// A policy is for the life of a cache, and of its client and invalidator. Start the process with
// another one, or change the caches as the example called SwitchPolicy does. Processes may follow
// different policies meanwhile, unless a strong family has a ReadLease and the policies differ in
// class-routing or fence: then all processes must have ended first. [policy.Policy.Without] removes
// a control by its name, policy.Table says what each is good for.
package reference
