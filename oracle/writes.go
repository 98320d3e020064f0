package oracle

import (
	"slices"
	"sort"
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// write is a write whose version is not known.
type write struct {
	seq      uint64
	token    uint64 // its digest
	sent     time.Duration
	returned time.Duration // of its acknowledgement
	claimed  uint64        // as which version it was acknowledged, while the log has not shown it
	version  uint64        // under which a read or the log showed it while it was in flight; 0: none did
	state    history.Fate
	deleted  bool // it is a deletion, and has no token
}

// operation is the write as far as it is remembered: its token can be made again, see
// [targets.NewToken].
func (w *write) operation(key targets.Key) targets.Operation {
	kind := targets.Write
	if w.deleted {
		kind = targets.Delete
	}
	return targets.Operation{
		Request:  targets.Request{Seq: w.seq, Kind: kind, Key: key},
		Sent:     max(w.sent, 0),
		Returned: w.returned,
	}
}

// rejection is a write that the target promised to be without effect.
type rejection struct {
	seq      uint64
	sent     time.Duration
	returned time.Duration // when the promise was made
}

// openWrites is a key's writes in flight, those that ended although their version is not known, and
// those that the target promised to be without effect.
type openWrites struct {
	all      []write
	rejected []rejection // by seq
	ended    int         // of all
	pruned   bool        // some were forgotten: in gaps of the history they can have superseded anything
	overfull bool        // some were forgotten while the key was judged by values
	// forgotten says that a deletion was forgotten because there were too many, and deletion when
	// the earliest was sent.
	forgotten bool
	deletion  time.Duration
}

func (o *openWrites) add(seq, token uint64, op *targets.Operation) {
	o.all = append(o.all, write{seq: seq, token: token, sent: op.Sent, deleted: op.Kind == targets.Delete})
}

// bySeq gives the index of an open write.
func (o *openWrites) bySeq(seq uint64) (int, bool) {
	for i := len(o.all) - 1; i >= 0; i-- {
		if o.all[i].seq == seq {
			return i, true
		}
	}
	return 0, false
}

// byToken gives the index of the open write that stores the value with this digest.
func (o *openWrites) byToken(token uint64) (int, bool) {
	for i := range o.all {
		if o.all[i].token == token && !o.all[i].deleted {
			return i, true
		}
	}
	return 0, false
}

// close forgets an open write.
func (o *openWrites) close(i int) {
	if o.all[i].state != history.InFlight {
		o.ended--
	}
	o.all = append(o.all[:i], o.all[i+1:]...)
}

// ends notes that an open write ended and that its version is not known.
func (o *openWrites) ends(i int, state history.Fate, returned time.Duration) {
	o.all[i].state, o.all[i].returned = state, returned
	o.ended++
}

// reject notes that the target promised a write to be without effect.
func (o *openWrites) reject(r rejection) {
	o.rejected = slices.Insert(o.rejected, o.rejection(r.seq), r)
}

// rejection gives the index of a rejected write, or where it belongs.
func (o *openWrites) rejection(seq uint64) int {
	return sort.Search(len(o.rejected), func(i int) bool { return o.rejected[i].seq >= seq })
}

// takeRejected gives the rejected write seq and forgets it: it is accused once.
func (o *openWrites) takeRejected(seq uint64) (rejection, bool) {
	at := o.rejection(seq)
	if at == len(o.rejected) || o.rejected[at].seq != seq {
		return rejection{}, false
	}
	r := o.rejected[at]
	o.rejected = append(o.rejected[:at], o.rejected[at+1:]...)
	return r, true
}

// opened gives the index of the open write that ended.
func (k *keyState) opened(op *targets.Operation) int {
	if i, ok := k.open.bySeq(op.Seq); ok {
		return i
	}
	k.open.add(op.Seq, k.drill.digest(op.Token), op) // the caller left Begin out
	k.counts.writes++
	return len(k.open.all) - 1
}

// keepOpen keeps a write that ended although its version is not known, unless there are too many.
func (k *keyState) keepOpen(i int, state history.Fate, returned time.Duration) {
	o := &k.open
	o.ends(i, state, returned)
	if o.ended > history.MaxUnresolved {
		k.prune()
	}
	if o.ended > history.MaxUnresolved {
		if k.versionedFrom == never {
			o.overfull = true // the value model knows them
		} else {
			k.crowded = true
		}
		if w := &o.all[i]; w.deleted && (!o.forgotten || w.sent < o.deletion) {
			o.forgotten, o.deletion = true, w.sent
		}
		o.close(i)
	}
}

// prune forgets acknowledged writes that no read to come can have missed: those that precede a
// version which all reads that are not judged yet either answered, or are stale by, or follow.
func (k *keyState) prune() {
	oldest := k.inflight.Oldest()
	for w := k.waiting.first; w != nil; w = w.next {
		oldest = min(oldest, w.op.Sent)
	}
	last := k.history.SupersededBy(oldest)
	if last < 0 {
		return
	}
	for i := len(k.open.all) - 1; i >= 0; i-- {
		if w := &k.open.all[i]; w.state == history.Unversioned && w.returned < k.history.All[last].Low {
			k.open.close(i)
			k.open.pruned = true
		}
	}
}
