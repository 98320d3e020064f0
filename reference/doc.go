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
// restarts empty can cost latency and load, never the bound. A read of a strong family goes to the
// source.
//
// A write commits at the source and drops its region's copies. Everybody else hears of it from the
// commit log, through a relay per region (package invalidation): a crash between commit and message
// loses nothing.
package reference
