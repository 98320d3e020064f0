// Package load says who asks, when and for what. A [Schedule] says when operation n is due, a
// [Generator] what operation n asks for, and an [Attack] asks a target for all of them on time.
//
// The load is open: an operation is due when the schedule says so, however long earlier ones take.
// Operations carry their due time, so that latency counts from when a user would have asked, not
// from when the generator found the time to ask (which is how coordinated omission hides a stall).
//
// Two things keep the order of a key's changes known, or make it worth knowing: a gate sends one
// change of a key at a time ([Attack.Gate]), and [Bursts] are planned collisions with quiet after
// them. What they hold back is withheld, which means never sent, and counted.
//
// Everything but the clock is a pure function: operation n of a seed asks for the same thing on
// every machine and in every interleaving. [Sent.Digest] shows it. (What the gate
// withholds depends on the target's answers as well.)
package load
