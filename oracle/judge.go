// Package oracle judges what was true. A [Judge] gets every operation of a drill when it begins and
// when it ends, and the source's history where there is one. It finds for each read whether the
// answer was fresh, stale or neither provably, and for each write whether it survived.
//
// It knows no target, no fault, no phase and no clock: all it has are the stamps in the operations.
// It streams: memory grows with keys and writes, never with reads.
// docs/oracle.md defines every word used here and proves the definitions sound.
//
// # What the caller owes
//
// For every operation, in this order and in one goroutine: stamp Sent, call [Judge.Begin], send;
// receive, stamp Returned, call [Judge.End]. Other goroutines may run in between at any point.
// Every Begin gets its End: a deadline turns an operation without an answer into a failed read or
// an unknown write. (Seq, Sent) is unique among the operations in flight on a key. Commits and
// seals are handed over in the order in which the target sent them.
//
// A request that reads k keys is k reads, one a key, that share Seq, Sent and Returned: each is
// begun and ended by itself, and judged by itself.
//
// Without a source's log, values must be acknowledged only once they are committed at the source,
// and versions must grow in commit order. A write-behind family needs the log: there
// acknowledgements are no evidence of order.
package oracle

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Judge judges one drill. Its methods may be called from many goroutines at once, except Finish.
type Judge struct {
	drillState
	shards [shardCount]shard
	leaks  leakIndex

	familyMu sync.RWMutex
	families map[string]*family
}

// maxWaiting bounds the reads that wait to be judged (about 400 bytes each). Beyond it, reads that
// would have to wait are answered [Unjudged]. Only a source whose history stalls gets there.
const maxWaiting = 1 << 20

// New makes a judge for one drill.
func New(cfg Config) *Judge {
	j := &Judge{drillState: drillState{cfg: cfg, seed: maphash.MakeSeed()}, families: map[string]*family{}}
	j.sealed.Store(math.MinInt64)
	j.accused.init()
	for name, f := range cfg.Families {
		j.families[name] = newFamily(name, f, !f.Unclassed)
	}
	for i := range j.shards {
		j.shards[i].keys, j.shards[i].drill = map[uint64]*keyState{}, &j.drillState
	}
	return j
}

// Begin announces an operation that is about to be sent. Request and Sent are set.
func (j *Judge) Begin(op targets.Operation) {
	if j.cfg.Historian && op.Kind == targets.Read {
		return // the log decides: what is in flight does not matter
	}
	s, hash := j.shardOf(op.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := j.state(s, hash, op.Key)
	if op.Kind.Changes() {
		k.changing(&op)
	}
	k.begin(&op)
}

// End gives an operation that returned. Returned, Outcome and Reply are set.
func (j *Judge) End(op targets.Operation) {
	s, hash := j.shardOf(op.Key)
	b := buffers.Get().(*buffer)
	b.op = op
	s.mu.Lock()
	k := j.state(s, hash, op.Key)
	done := b.done[:0]
	switch {
	case op.Kind.Changes():
		k.changed(&b.op)
		k.end(&b.op)
		if op.Outcome == targets.OK {
			s.sessions.saw(k, &b.op, op.Reply.Version)
		}
	case op.Outcome == targets.OK:
		k.overlapped(&b.op)
		done = s.endRead(k, &b.op, done)
	}
	if k.inflight.Remove(op.Sent, op.Seq) {
		done = s.release(k, done)
	}
	k.forget()
	s.mu.Unlock()
	b.done = j.emitAll(done)
	buffers.Put(b)
}

// Commit gives one entry of the source's history, or, with version 0, announces that every commit
// before At has been given. An entry that is given twice counts once. It is for judges with
// [Config.Historian] only.
func (j *Judge) Commit(c targets.Commit) {
	if c.Version == 0 {
		j.seal(c.At)
		return
	}
	s, hash := j.shardOf(c.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	logModel{j.state(s, hash, c.Key)}.commit(c)
}

// seal notes that the log is complete before t and judges the reads that waited for that.
func (j *Judge) seal(t time.Duration) {
	for {
		was := j.sealed.Load()
		if int64(t) <= was {
			return
		}
		if j.sealed.CompareAndSwap(was, int64(t)) {
			break
		}
	}
	b := buffers.Get().(*buffer)
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		done := s.releaseSealed(b.done[:0])
		s.mu.Unlock()
		b.done = j.emitAll(done)
	}
	buffers.Put(b)
}

// FaultBegan announces that a fault begins at this time: eventual families promise nothing from
// then on. It must be called before the fault can show in an answer. Faults may overlap; each gets
// its [Judge.FaultHealed].
func (j *Judge) FaultBegan(at time.Duration) { j.health.began(at) }

// FaultHealed announces that a fault that had begun was healed at this time. When none is left,
// eventual families have [Family.Within] to converge. A call without its [Judge.FaultBegan] does
// nothing.
func (j *Judge) FaultHealed(at time.Duration) { j.health.healed(at) }

// shardOf gives the key's shard and hash.
func (j *Judge) shardOf(key targets.Key) (*shard, uint64) {
	h := maphash.Comparable(j.seed, key)
	return &j.shards[h%shardCount], h
}

// state gives the key's state and makes it at first sight. The shard is locked.
func (j *Judge) state(s *shard, hash uint64, key targets.Key) *keyState {
	if k := s.find(hash, key); k != nil {
		return k
	}
	k := s.add(hash, key, j.family(key.Family))
	j.leaks.noticed(key)
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
