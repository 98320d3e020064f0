// Package policy is the pure decision core of the reference cache: given an entry's metadata, the
// time and a random number, it says what to do. It does no I/O, reads no clock, starts no goroutine
// and logs nothing, so that the live cache, a shadow evaluation and a simulation run the same code.
//
// All instants are on the *source's* clock, in nanoseconds, as an upper bound where they mean
// "now": an age computed from them is never too young.
package policy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Class is what a family promises its readers.
type Class uint8

// The consistency classes.
const (
	// Bounded promises that no read is older than the family's Within.
	Bounded Class = iota
	// Strong promises linearizability per key.
	Strong
	// Eventual promises that reads converge: a TTL after the last write has reached the source, and
	// everybody can be reached again, every read finds it.
	Eventual
)

// String gives the class as YAML and labels show it.
func (c Class) String() string { return classes[c] }

var classes = [...]string{Bounded: "bounded", Strong: "strong", Eventual: "eventual"}

// Classes lists the classes' names.
func Classes() []string { return classes[:] }

// ParseClass gives the class of a name, or the zero Class.
func ParseClass(name string) Class {
	for c, n := range classes {
		if n == name {
			return Class(c)
		}
	}
	return Bounded
}

// Family is the caching contract of one kind of key.
type Family struct {
	Class  Class
	Within time.Duration // bounded: the greatest staleness a read may have
	TTL    time.Duration // how long a copy may be kept at all
	// ReadLease is how long a worker may answer for a strong family from its memory without asking
	// the source; a write takes that long. 0: every read asks the source for the version that is
	// current.
	ReadLease time.Duration
	// Writes is the way that its writes take.
	Writes WritePath
}

// WritePath is the way of a write to the source and into the caches. On each of them an event from
// the source's commit log goes to every region, so that a writer who dies after the commit leaves
// no region uninformed.
type WritePath uint8

// The write paths.
const (
	// Aside commits at the source, drops what the writer's worker and region have cached, and
	// leaves it to readers to fill anew.
	Aside WritePath = iota
	// Through commits at the source and leaves the new value, with its version, in the region's
	// Redis and the worker's memory.
	Through
	// WriteBehind acknowledges a write when it is in its owner's journal, before the source has it.
	// It is for eventual families.
	WriteBehind
)

var writePaths = [...]string{Aside: "aside", Through: "through", WriteBehind: "behind"}

// String gives the path as YAML shows it.
func (w WritePath) String() string { return writePaths[w] }

// WritePaths lists the paths' names.
func WritePaths() []string { return writePaths[:] }

// ParseWritePath gives the path of a name, or the zero WritePath.
func ParseWritePath(name string) WritePath {
	for w, n := range writePaths {
		if n == name {
			return WritePath(w)
		}
	}
	return Aside
}

// Leaves says whether a writer leaves what it has committed, a value or an absence, in the caches,
// once it is committed.
func (p Policy) Leaves(f Family, k Kind) bool { return f.Writes == Through && p.Keeps(k) }

// Claims says whether what a writer leaves in the shared tier needs a right to be left there which
// was granted before the commit: whatever overtakes the write voids it, and so does the loss of
// what the tier knew. Where every hit is confirmed by the source, an old copy does no harm.
func (p Policy) Claims(f Family) bool { return p.Controls.Has(FillLease) && !p.Confirms(f) }

// ErrTTL is wrapped by [Family.Validate] when the TTL exceeds the family's bound.
var ErrTTL = errors.New("ttl exceeds the bound")

// ErrWriteBehind is wrapped by [Family.Validate] when a family's writes would be acknowledged
// before they could be seen.
var ErrWriteBehind = errors.New("only an eventual family can be written behind")

// Validate refuses a contract that no cache could keep.
func (f Family) Validate() error {
	if f.TTL < time.Millisecond {
		return errors.New("ttl must be at least 1ms: Redis counts in milliseconds")
	}
	if f.Class == Bounded && f.Within <= 0 {
		return errors.New("a bounded family needs within above 0")
	}
	if f.Class == Bounded && f.TTL > f.Within {
		return fmt.Errorf("%w: ttl %v, within %v", ErrTTL, f.TTL, f.Within)
	}
	if f.ReadLease < 0 || f.ReadLease > 0 && f.Class != Strong {
		return errors.New("read_lease is for strong families, and above 0")
	}
	if int(f.Writes) >= len(writePaths) {
		return fmt.Errorf("there is no write path %d", f.Writes)
	}
	if f.Writes == WriteBehind && f.Class != Eventual {
		return fmt.Errorf("%w: this one is %s", ErrWriteBehind, f.Class)
	}
	if f.ReadLease > f.TTL {
		return errors.New("the read lease is longer than the ttl")
	}
	return nil
}

// Policy is everything configurable about how the cache behaves. The zero Policy has no control.
type Policy struct {
	Name     string
	Controls Controls
}

// Detection is the time within which a worker of an eventual family that can be reached knows what
// it missed: a few beats of the bus, and what a busy machine adds.
const Detection = time.Second

// Converges is how long after its last write, or after a fault was healed, an eventual family may
// still answer with an older value.
func (f Family) Converges() time.Duration { return f.TTL + Detection }

// Kind says what is known of a name.
type Kind uint8

// The kinds.
const (
	Nothing Kind = iota // the zero Meta
	Value               // a copy of a value
	Absence             // a copy of the knowledge that there is no value
	Floor               // no copy: only the knowledge that older versions are superseded
)

// Meta is what the decisions need to know of a copy.
type Meta struct {
	Kind       Kind
	Version    uint64        // 0: of a name that was never written
	T0         int64         // source clock inside the read that made the copy
	FreshUntil int64         // served without a second thought until then
	Until      int64         // served at all until then
	DropAt     int64         // kept until then, for readers whom the source fails
	Took       time.Duration // how long the load took that made the copy
}

// Action says what to do with a copy.
type Action uint8

// The actions of a lookup.
const (
	Miss    Action = iota // go on to the next tier
	Serve                 // answer with the copy
	Refresh               // answer with the copy, and renew it in the background
	Confirm               // answer with the copy if the source says that its version is current
	IfError               // go on to the next tier; answer with the copy when everything fails
)

// Confirms says whether what is cached of a family may be served only as the source's current
// version.
func (p Policy) Confirms(f Family) bool { return f.Class == Strong && p.Controls.Has(ClassRouting) }

// Lookup decides about a copy found in a tier, at source time now; random is uniform in [0, 1).
func (p Policy) Lookup(f Family, m Meta, now int64, random float64) Action {
	switch {
	case m.Kind != Value && m.Kind != Absence, now >= m.DropAt, p.TooOld(f, m.T0, now):
		return Miss
	case p.Confirms(f):
		return Confirm
	case now >= m.Until, now >= m.FreshUntil && !p.Controls.Has(StaleWhileRevalidate):
		return IfError
	case now >= m.FreshUntil, p.Controls.Has(EarlyRefresh) && early(m, now, random):
		return Refresh
	}
	return Serve
}

// ServesAnyway says that a copy is to be served whatever the random number is: where it says so,
// Lookup says [Serve]. It is for those who count nanoseconds, and decides nothing of its own.
func (p *Policy) ServesAnyway(f *Family, m *Meta, now int64) bool {
	return (m.Kind == Value || m.Kind == Absence) && now+earliest*int64(m.Took) < m.FreshUntil && now < m.Until && now < m.DropAt &&
		f.Class != Strong && (f.Class != Bounded || now-m.T0 < int64(f.Within))
}

// AfterGap is what to do with a copy in a worker's memory that may have missed the message which
// would have dropped it: it is renewed. Where nothing but a long TTL would end it, no reader gets
// it before that.
func (p Policy) AfterGap(f Family, a Action) Action {
	switch {
	case a != Serve && a != Refresh:
		return a
	case f.Class == Bounded && p.Controls.Has(AgeClamp|StaleWhileRevalidate):
		return Refresh
	}
	return Miss
}

// earliest is -ln of the least 1-random there is, rounded up.
const earliest = 37

// early decides to renew a copy before its fresh life ends, the likelier the nearer that is and the
// longer a load takes, so that of many readers one begins, and not all at the end. It is XFetch
// with beta = 1 (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
// Prevention, 2015).
func early(m Meta, now int64, random float64) bool {
	took := int64(m.Took)
	if now+earliest*took < m.FreshUntil {
		return false
	}
	return now-int64(float64(took)*math.Log(1-random)) >= m.FreshUntil
}

// Soon says whether a copy is served until its fresh life ends within the given time: then somebody
// should renew it before a reader has to.
func (p Policy) Soon(m Meta, now int64, within time.Duration) bool {
	return (m.Kind == Value || m.Kind == Absence) && now < m.Until && now+int64(within) >= m.FreshUntil
}

// TooOld says whether a value that was read at source time t0 may be older than its family allows,
// for a reader that began at source time began.
func (p Policy) TooOld(f Family, t0, began int64) bool {
	return p.Controls.Has(AgeClamp) && f.Class == Bounded && began-t0 >= int64(f.Within)
}

// Share of its life for which a copy counts as fresh when stale-while-revalidate is on: what
// remains is the time in which a refresh may come late without a reader waiting for it.
const (
	freshLeast = 0.5
	freshMost  = 0.8
)

// negativeShare is the share of the TTL for which an absence is kept: what is missing is what gets
// created.
const negativeShare = 0.2

// Keeps says whether what a load found may be kept in the tiers.
func (p Policy) Keeps(k Kind) bool {
	return k == Value || k == Absence && p.Controls.Has(NegativeCaching)
}

// Admit decides how long a copy may live that a load made: found has its Kind, Version, T0 and
// Took. random is uniform in [0, 1). Jitter spreads the end of life of copies that were made
// together over 20% of the TTL, and always downwards: a TTL is a promise.
func (p Policy) Admit(f Family, found Meta, random float64) Meta {
	m, life := found, float64(f.TTL)
	if m.Kind == Absence {
		life *= negativeShare
	}
	if p.Controls.Has(Jitter) {
		life *= 1 - 0.2*random
	}
	m.Until = m.T0 + int64(life)
	m.FreshUntil, m.DropAt = m.Until, m.Until
	if p.Controls.Has(StaleIfError) && f.Class == Bounded {
		m.DropAt = m.T0 + int64(f.Within)
	}
	if p.Controls.Has(StaleWhileRevalidate) {
		share := freshMost
		if p.Controls.Has(Jitter) {
			share = freshLeast + (freshMost-freshLeast)*random
		}
		m.FreshUntil = m.T0 + int64(life*share)
	}
	return m
}

// Keep is how long a copy can be of use: for its TTL, and beyond it for readers whom the source
// fails, as long as the bound allows.
func (p Policy) Keep(f Family) time.Duration {
	if p.Controls.Has(StaleIfError) && f.Class == Bounded {
		return f.Within
	}
	return f.TTL
}

// Supersedes says whether a copy or floor of candidate may take the place of current. With equal
// versions the younger read wins, so that a refresh extends a life and a late fill does not shorten
// it.
func (p Policy) Supersedes(candidate, current Meta) bool {
	if !p.Controls.Has(VersionedStore) || current.Kind == Nothing {
		return true
	}
	if candidate.Version != current.Version {
		return candidate.Version > current.Version
	}
	return current.Kind == Floor || (candidate.Kind != Floor && candidate.T0 >= current.T0)
}

// FloorFor is the knowledge that everything older than version is superseded, kept for as long as a
// fill that began before could still be under way or a copy be alive.
func (p Policy) FloorFor(f Family, version uint64, now int64) Meta {
	return Meta{Kind: Floor, Version: version, T0: now, FreshUntil: now, Until: now, DropAt: now + int64(p.Keep(f))}
}

// Holds says whether a worker may answer for a strong family from its memory: since is the time on
// its own clock since before it asked for what it holds, and rateError bounds how wrong that
// clock's rate is. A writer waits for at least [Family.ReadLeaseWait] between announcing and
// making a change.
func (p Policy) Holds(f Family, since time.Duration, rateError float64) bool {
	return since < time.Duration(float64(f.ReadLease)*(1-rateError))
}

// ReadLeaseWait is how long a writer waits, on its own clock, for every worker's hold on the old
// value to end.
func (f Family) ReadLeaseWait(rateError float64) time.Duration {
	return time.Duration(math.Ceil(float64(f.ReadLease) * (1 + rateError)))
}

// Values of fewer bytes are stored as they are, and so are those that compression makes hardly
// smaller: what a hit saves on the way it would lose in the worker. See docs/performance.md for the
// measurement.
const (
	compressFrom  = 4096
	compressShare = 0.8
)

// Compresses says whether a value of so many bytes is to be compressed for the shared tier.
func (p Policy) Compresses(size int) bool { return p.Controls.Has(Compression) && size >= compressFrom }

// WorthIt says whether what compression made of a value is stored instead of it.
func (p Policy) WorthIt(size, compressed int) bool {
	return float64(compressed) <= compressShare*float64(size)
}
