// Package oracle says what was true. A [Judge] is told of every operation of a drill when it begins
// and when it ends, and of the source's history where there is one, and says of each read whether
// what it answered was fresh, stale or neither provably, and of each write whether it survived.
//
// It knows no target, no fault, no phase and no clock: all it has are the stamps in the operations.
// It streams: memory grows with keys and writes, never with reads.
// docs/oracle.md defines every word used here and proves the definitions sound.
//
// # What the caller owes
//
// For every operation, in this order and in one goroutine: stamp Sent, call [Judge.Begin], send;
// receive, stamp Returned, call [Judge.End]. Other goroutines may run in between at any point. Every
// Begin gets its End: a deadline turns an operation without an answer into a failed read or an
// unknown write. (Seq, Sent) is unique among the operations in flight on a key. Commits and seals are handed
// over in the order in which the target sent them.
//
// A request that reads k keys is k reads, one a key, that share Seq, Sent and Returned: each is begun
// and ended by itself, and judged by itself.
//
// The families' values must be acknowledged only once they are committed at the source, and a family's
// versions must grow in commit order. Write-behind families break the first half: they are out of scope.
package oracle

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Class is what a family promises about its reads.
type Class uint8

// The consistency classes.
const (
	Bounded  Class = iota // no read is staler than [Family.Within]
	Strong                // no read is stale; without versions: and some order of the writes explains all reads
	Eventual              // no read is staler than [Family.Within], once the world has been healthy for longer than that
)

// String gives the class as labels show it.
func (c Class) String() string {
	switch c {
	case Bounded:
		return "bounded"
	case Strong:
		return "strong"
	case Eventual:
		return "eventual"
	}
	return "invalid"
}

// Family is what the judge must know of a kind of key.
type Family struct {
	Class  Class
	Within time.Duration // the bound D of a bounded family, the C of an eventual one; ignored for strong ones
	// Unclassed families promise nothing: their reads are judged, and no answer is a violation.
	Unclassed bool
	// Horizon is how long a cache could plausibly keep a copy: the TTL. Only opportunities depend on it.
	// 0 means never: no read of the family counts as one that could have been stale.
	Horizon time.Duration
}

// bound is the staleness up to which a read of the family keeps its promise.
func (f Family) bound() time.Duration {
	if f.Class == Strong {
		return 0
	}
	return f.Within
}

// Config is what a judge is told before the first operation.
type Config struct {
	Run      string            // the run part of this run's tokens; see [targets.NewToken]
	Families map[string]Family // a family that is not here is judged, but has no class to violate

	// Historian says that the source's history arrives through [Judge.Commit], with seals. Commits are then
	// the only evidence of order and time, and a read waits for a seal at or after its return.
	Historian bool

	// ForeignWriters says that others may have written the keys, before the drill or during it: a value that bears no mark of this
	// run is somebody else's then, and makes its key unjudged, rather than a torn one.
	ForeignWriters bool

	// Shared says that others may also delete them: then no absence proves anything.
	Shared bool

	// Siblings says whether other keys exist that a mix-up could confuse the key with; only opportunities
	// for leaks depend on it. nil: never. It is called once a key, with a lock held: it must be
	// quick and must not call the judge.
	Siblings func(targets.Key) bool

	// Judged gets every read that ended OK, once, in the goroutine that called End, Commit or Finish,
	// possibly later than its End. Calls are concurrent; no lock of the judge is held. May be nil.
	Judged func(Judgement)
}

// Judge judges one drill. Its methods may be called from many goroutines at once, except Finish.
type Judge struct {
	cfg     Config
	seed    maphash.Seed
	shards  [shardCount]shard
	ledger  ledger
	mixups  mixups
	calm    calm
	sealed  atomic.Int64 // every commit before it is known; math.MinInt64 at first
	waiting atomic.Int64 // reads that wait to be judged

	familyMu sync.RWMutex
	families map[string]*family
}

// maxWaiting bounds the reads that wait to be judged (about 400 bytes each). Beyond it, reads that
// would have to wait are answered [Unjudged]. Only a source whose history stalls gets there.
const maxWaiting = 1 << 20

// New makes a judge for one drill.
func New(cfg Config) *Judge {
	j := &Judge{cfg: cfg, seed: maphash.MakeSeed(), families: map[string]*family{}}
	j.sealed.Store(math.MinInt64)
	j.ledger.init()
	for name, f := range cfg.Families {
		j.families[name] = newFamily(name, f, !f.Unclassed)
	}
	for i := range j.shards {
		j.shards[i].keys = map[uint64]*keyState{}
	}
	return j
}

// Begin tells of an operation that is about to be sent. Request and Sent are set.
func (j *Judge) Begin(op targets.Operation) {
	if j.cfg.Historian && op.Kind == targets.Read {
		return // the log decides: what is in flight does not matter
	}
	s, hash := j.shardOf(op.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := j.state(s, hash, op.Key)
	if op.Kind.Changes() {
		s.counts.writes++
		k.open = append(k.open, write{seq: op.Seq, token: j.digest(op.Token), sent: op.Sent, deleted: op.Kind == targets.Delete})
		if !j.cfg.Historian {
			if r := k.unordered(op.Sent); r != nil {
				r.add(op.Seq, op.Sent, op.Kind == targets.Delete)
			}
		}
	}
	if !j.cfg.Historian {
		k.flight.add(op.Sent, op.Seq)
	}
}

// End tells of an operation that returned. Returned, Outcome and Reply are set.
func (j *Judge) End(op targets.Operation) {
	s, hash := j.shardOf(op.Key)
	buffer := verdicts.Get().(*[]verdict)
	done := (*buffer)[:0]
	s.mu.Lock()
	k := j.state(s, hash, op.Key)
	switch {
	case op.Kind.Changes():
		j.endWrite(s, k, &op)
	case op.Outcome != targets.OK:
	case j.cfg.Historian:
		done = j.endReadLogged(s, k, &op, done)
	default:
		done = j.endRead(s, k, &op, done)
	}
	if !j.cfg.Historian && k.flight.remove(op.Sent, op.Seq) {
		done = j.release(s, k, done)
	}
	k.forget()
	s.mu.Unlock()
	*buffer = j.pronounceAll(done)
	verdicts.Put(buffer)
}

// Commit tells of one entry of the source's history, or, with version 0, that every commit before At
// has been told. An entry that is told twice counts once. It is for judges with [Config.Historian] only.
func (j *Judge) Commit(c targets.Commit) {
	if c.Version == 0 {
		j.seal(c.At)
		return
	}
	s, hash := j.shardOf(c.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.commit(j.state(s, hash, c.Key), c)
}
