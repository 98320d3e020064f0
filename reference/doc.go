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
// whoever writes waits for. An eventual family rests on its TTL, counted from the source's time.
//
// A write commits at the source and drops its region's copies. Everybody else hears of it from the
// commit log, through a relay per region (package invalidation): a crash between commit and message
// loses nothing. An eventual family may be written behind: acknowledged by the journal of its owner
// ([Behind]), and brought to the source afterwards.
//
// docs/consistency.md says why each of this holds, and docs/races.md what goes wrong without it.
package reference
