package drill

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// observer takes in every operation of a drill: it is the sink of the load, and hands what it gets
// to the judge, the recorder and the sampler.
type observer struct {
	judge    *oracle.Judge
	recorder *measure.Recorder
	sampler  *sampler
	written  writtenKeys
	legible  *legibility  // nil where no answer can be unreadable
	halted   atomic.Bool  // what is in flight is being cut off
	cutOff   atomic.Int64 // operations that were
}

func newObserver(p *plan, sc scenarios.Scenario, can environment.Capabilities, events *Stream) *observer {
	families, classes := p.promises()
	siblings := p.siblings()
	o := &observer{
		recorder: measure.NewRecorder(measure.RecorderConfig{Objectives: sc.Objectives, Classes: classes}),
		sampler:  newSampler(sc.Phases, events),
		written:  writtenKeys{keys: map[targets.Key]lastChange{}},
	}
	o.judge = oracle.New(oracle.Config{
		Run: p.run, Families: families, Historian: can.History, ForeignWriters: sc.ForeignWriters || !can.Versions, Shared: sc.SharedKeys,
		Siblings: func(k targets.Key) bool { return siblings[k.Family] },
		Judged:   o.judged,
	})
	if !can.History { // a target that tells its history never garbles
		o.legible = newLegibility()
	}
	return o
}

// Begin implements [load.Sink].
func (o *observer) Begin(op targets.Operation) {
	if op.Kind.Changes() {
		o.written.add(op.Key)
	}
	o.judge.Begin(op)
}

// End implements [load.Sink].
func (o *observer) End(op targets.Operation) {
	if op.Kind.Changes() && op.Outcome == targets.OK {
		o.written.acknowledged(&op)
	}
	o.judge.End(op)
	o.legible.end(&op)
	if op.Err != nil && o.halted.Load() {
		o.cutOff.Add(1) // by the harness
		return
	}
	o.recorder.Observe(op)
	o.sampler.observe(&op)
}

// load takes in a load of the source.
func (o *observer) load(l targets.Load) {
	o.recorder.Load(l)
	if !l.Audit {
		o.sampler.load(l)
	}
}

// judged takes in a judgement of a read.
func (o *observer) judged(j oracle.Judgement) {
	o.recorder.Judged(j)
	o.sampler.judge(j)
}

// begin takes in the beginning of a phase.
func (o *observer) begin(p measure.Phase, at time.Duration) {
	o.recorder.Mark(p, at)
	o.sampler.begin(p, at)
}

// writtenKeys are the keys that were written to or deleted.
type writtenKeys struct {
	mu   sync.Mutex
	keys map[targets.Key]lastChange
}

// lastChange is the change of a key that was sent last, of those that were acknowledged.
type lastChange struct {
	sent  time.Duration
	token string // empty: a deletion, or none
	acked bool
}

func (w *writtenKeys) add(k targets.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.keys[k]; !ok {
		w.keys[k] = lastChange{}
	}
}

// acknowledged takes note of a change that was answered as made.
func (w *writtenKeys) acknowledged(op *targets.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.keys[op.Key]; !last.acked || op.Sent > last.sent {
		w.keys[op.Key] = lastChange{op.Sent, op.Token, true}
	}
}

// shows says whether an answer shows the last change of a key that was acknowledged.
func (w *writtenKeys) shows(k targets.Key, r targets.Reply) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.keys[k]
	return !last.acked || r.Token == last.token && r.Absent == (last.token == "")
}
