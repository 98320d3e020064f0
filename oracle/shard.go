package oracle

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

const shardCount = 64 // a power of two

// shard holds the keys whose hash falls to it, and what is counted of them.
type shard struct {
	mu       sync.Mutex
	keys     map[uint64]*keyState // by hash; keys with the same hash are chained
	waiting  queue                // with a historian: reads that wait for a seal
	spare    spare
	sessions sessions
	counts   counts
	_        [64]byte // keep neighbours' locks on other cache lines
}

// counts are the counters that ordinary operations move; accusations are counted in the ledger.
type counts struct {
	writes, acknowledged, unknown       int
	rejected                            int // writes that the target promised to be without effect
	unjudged, sessions                  int
	canStale, canViolate                int
	leaks, corruptions, sessionsChecked int
	lostChecked, rollbacksChecked       int
}

func (c *counts) add(o *counts) {
	c.writes += o.writes
	c.acknowledged += o.acknowledged
	c.unknown += o.unknown
	c.rejected += o.rejected
	c.unjudged += o.unjudged
	c.sessions += o.sessions
	c.canStale += o.canStale
	c.canViolate += o.canViolate
	c.leaks += o.leaks
	c.corruptions += o.corruptions
	c.sessionsChecked += o.sessionsChecked
	c.lostChecked += o.lostChecked
	c.rollbacksChecked += o.rollbacksChecked
}

// family is a kind of key and what was learned about it.
type family struct {
	Family
	name    string
	classed bool // the configuration gave it a class

	// told says that an answer of this family carried a token, so that one without is a damaged one.
	told   atomic.Bool
	blanks tray // answers without a token; accused at the end if told
}

func newFamily(name string, f Family, classed bool) *family {
	n := &family{Family: f, name: name, classed: classed}
	n.blanks.init()
	return n
}

// class is the family's class as labels show it; empty when it has none.
func (f *family) class() string {
	if !f.classed {
		return ""
	}
	return f.Class.String()
}

// keyState is what is known of one key. The lock of its shard guards it.
type keyState struct {
	key      targets.Key
	hash     uint64
	chain    *keyState
	family   *family
	siblings bool

	history history
	open    []write     // writes in flight, and ended ones whose version is not known
	failed  []rejection // writes that the target promised to be without effect, by seq
	flight  flight      // operations in flight; without a historian only
	waiting queue       // reads that wait for others to end; without a historian only
	spans   []span      // versions that were read proven-stale, by version
	// witnesses is the reads that are the earliest evidence of a version, by version; without a historian only.
	witnesses map[uint64]Event

	unplaced int  // writes in open that have ended
	pruned   bool // some were forgotten: in gaps of the history they can have superseded anything
	// foreign: another run wrote here. rewritten: the source contradicted its own history. tainted: what is known
	// of a version came from a read that another answer contradicts. crowded: too many unresolved writes.
	// Each makes the key's reads unjudged from then on.
	foreign, rewritten, tainted, crowded bool

	audited time.Duration // when the last read past the caches began; [before] at first
	// sourced is when the last read began that was loaded from the source, though not past the caches, and was fresh: what had
	// been written by then was not lost. A stale one proves nothing: it may have joined a load that was under way.
	sourced time.Duration

	told     time.Duration // the earliest Sent among the operations that told a version; [never] if none did
	register *register     // while the key may have to be judged without versions
	absent   *absences     // of strong families without a historian
	stale    bool          // a read from a cache was proven stale
	overfull bool          // writes of unknown version were forgotten while it did not matter
}

// trusted says whether what is known of the key's versions can be believed.
func (k *keyState) trusted() bool { return !k.foreign && !k.rewritten && !k.tainted }

// shardOf gives the key's shard and hash.
func (j *Judge) shardOf(key targets.Key) (*shard, uint64) {
	h := maphash.Comparable(j.seed, key)
	return &j.shards[h%shardCount], h
}

// state gives the key's state and makes it at first sight. The shard is locked.
func (j *Judge) state(s *shard, hash uint64, key targets.Key) *keyState {
	first := s.keys[hash]
	for k := first; k != nil; k = k.chain {
		if k.key == key {
			return k
		}
	}
	k := &keyState{key: key, hash: hash, chain: first, family: j.family(key.Family), audited: before, sourced: before, told: never}
	k.history.shown = before
	if j.cfg.Siblings != nil {
		k.siblings = j.cfg.Siblings(key)
	}
	s.keys[hash] = k
	j.mixups.noticed(key)
	return k
}

func (j *Judge) family(name string) *family {
	j.familyMu.RLock()
	f := j.families[name]
	j.familyMu.RUnlock()
	if f != nil {
		return f
	}
	j.familyMu.Lock()
	defer j.familyMu.Unlock()
	if f = j.families[name]; f == nil {
		f = newFamily(name, Family{}, false)
		j.families[name] = f
	}
	return f
}

// each calls visit for every key with its shard locked.
func (j *Judge) each(visit func(*shard, *keyState)) {
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		for _, k := range s.keys {
			for ; k != nil; k = k.chain {
				visit(s, k)
			}
		}
		s.mu.Unlock()
	}
}
