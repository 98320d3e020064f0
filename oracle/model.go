package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// model is one kind of evidence about the order of a key's writes, and the rules by which reads are
// judged with it. There are three, from the strongest to the weakest:
//
//   - [logModel]: the source's log has every commit with its time;
//   - [versionModel]: acknowledgements and answers carry versions that grow in commit order;
//   - [valueModel]: only values are known, and their order is known where one write was sent after
//     there was evidence of the other.
//
// Each has a section of docs/oracle.md with the proof that it accuses no correct cache. The shard
// of the key is locked during all calls.
type model interface {
	// begin notes an operation that is about to be sent.
	begin(op *targets.Operation)
	// end notes how a write ended.
	end(op *targets.Operation)
	// match finds which write stored what a read answered, and notes what the answer proves.
	match(op *targets.Operation) match

	// unjudged gives the reason why no read of the key can be judged; empty if they can.
	unjudged() string
	// compare decides between fresh, stale and indeterminate, and bounds the staleness.
	compare(m match, d *verdict)
	// audit counts writes as lost, or rolled back, that an answer from past the caches misses.
	audit(m match, d *verdict)
	// stale notes a read that was proven stale, and gives the evidence of that if it is wanted.
	stale(m match, d *verdict, wanted bool)
	// superseded reports whether the latest write proven to precede t is proven not to precede
	// t-within, and superseded something that a cache could hold.
	superseded(t, within time.Duration) bool

	// conclude counts the writes that were looked for at the source, at the end of the drill.
	conclude()
	// explained accuses a key of a strong family if no order of its writes explains all of its
	// reads, though none by itself is proven stale. It reports whether that could be decided.
	explained() (decided bool)
}

// model gives the model by which a read is judged, as far as is known by now. A key without a log
// is judged by values until the first operation that carries a version, and by versions from then
// on.
func (k *keyState) model(op *targets.Operation) model {
	r := &op.Reply
	switch {
	case k.drill.cfg.Historian:
		return logModel{k}
	case r.Version == 0 && op.Returned < k.versionedFrom && (k.values != nil || k.versionedFrom == never) && (r.Absent || r.Token != ""):
		return valueModel{k}
	}
	return versionModel{k}
}

// begin notes an operation that is about to be sent. Without a log, versions may come later: both
// other models learn of the writes until one does.
func (k *keyState) begin(op *targets.Operation) {
	if k.drill.cfg.Historian {
		logModel{k}.begin(op)
		return
	}
	if op.Kind.Changes() {
		versionModel{k}.begin(op)
	}
	valueModel{k}.begin(op)
	k.inflight.Add(op.Sent, op.Seq)
}

// end notes how a write ended.
func (k *keyState) end(op *targets.Operation) {
	if k.drill.cfg.Historian {
		logModel{k}.end(op)
		return
	}
	if op.Outcome == targets.OK && op.Reply.Version != 0 {
		k.versioned(op)
	}
	valueModel{k}.end(op)
	versionModel{k}.end(op)
}

// versioned notes that an operation carried a version of the key.
func (k *keyState) versioned(op *targets.Operation) {
	if op.Sent >= k.versionedFrom {
		return
	}
	k.versionedFrom = op.Sent
	if k.open.overfull {
		k.crowded = true
	}
}

// forget lets go of the values once every read to come is judged by versions.
func (k *keyState) forget() {
	if k.values != nil && k.versionedFrom != never && k.inflight.Oldest() >= k.versionedFrom &&
		(k.waiting.first == nil || k.waiting.first.op.Returned >= k.versionedFrom) {
		k.values = nil
	}
}

// whole gives the model of the key's whole history, at the end of the drill.
func (k *keyState) whole() model {
	switch {
	case k.drill.cfg.Historian:
		return logModel{k}
	case k.values != nil && k.versionedFrom == never:
		return valueModel{k}
	}
	return versionModel{k}
}
