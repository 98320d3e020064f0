package measure

import (
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// RecorderConfig says what a [Recorder] has to count apart.
type RecorderConfig struct {
	Objectives []slo.PhaseObjective
	Classes    map[string]string // the consistency class of each family, for label class
}

// Recorder counts what happened in one drill. Observe, Judged, Load, Commit, Invalidated, Memory,
// CrossRegion and Mark may be called concurrently; everything else after they ended.
//
// What comes in is buffered in eight shards and reaches one aggregate in batches, so that a caller
// rarely waits. Memory grows with the labels that objectives use, the seconds of the drill and the
// loaded keys, and with commits; never with the number of reads.
type Recorder struct {
	objectives []slo.PhaseObjective

	ops        buffers[targets.Operation]
	judgements buffers[oracle.Judgement]
	loads      buffers[targets.Load]

	drops invalidationLog
	used  resources

	mu       sync.Mutex
	finished bool // Finish was called
	agg      aggregate
}

// NewRecorder starts counting, in [Warmup] from offset 0.
func NewRecorder(c RecorderConfig) *Recorder {
	return &Recorder{objectives: c.Objectives, agg: newAggregate(c)}
}

// Mark begins phase p at offset at, or as soon after it as is possible (see below); the report
// shows when. Phases go forward, each once; skipping some is fine, going back panics.
//
// Planned boundaries are announced ahead. The end of a fault is only known once its heal was
// observed, and operations that were due since then may have been counted as part of the fault
// already. They stay there: the boundary moves behind the latest due time counted so far, which is
// later than at by no more than this call is. So every operation is on one side of the boundary
// that the report shows, however late and in whatever order it arrives, and nothing has to be held
// back.
func (r *Recorder) Mark(p Phase, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agg.times.mark(p, at)
}

// Struck takes in that a fault is about to be injected, at this offset: operations that were due in
// steady and return after it belong to the fault phase. The first one counts. It is called after
// the fault phase was marked, and before the fault can show in an answer.
func (r *Recorder) Struck(at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agg.times.struck = min(r.agg.times.struck, at)
}

// Observe counts an operation of the workload that ended: Returned is set. Audit reads and
// operations of the harness itself are not given here.
func (r *Recorder) Observe(op targets.Operation) {
	if full := r.ops.add(op.Seq, op, op.Returned); full != nil {
		r.foldOps(full)
	}
}

// Load counts a read that reached the source. Loads of the audit are no part of the workload and
// are left out.
func (r *Recorder) Load(l targets.Load) {
	if l.Audit {
		return
	}
	if full := r.loads.add(uint64(l.Arrived)>>10, l, l.Done); full != nil {
		r.foldLoads(full)
	}
}

// Commit takes in an entry of the source's history, for invalidation lag from inside. Seals are
// left out.
func (r *Recorder) Commit(c targets.Commit) {
	if c.Version > 0 {
		r.drops.commit(c)
	}
}

// Invalidated takes in that one tier of one region or worker holds nothing older than a version any
// more. It may come before the [Recorder.Commit] that it is about.
func (r *Recorder) Invalidated(d targets.Invalidated) { r.drops.drop(d) }

// Memory takes in the memory that a Redis uses, or why it is not known.
func (r *Recorder) Memory(m targets.Memory) { r.used.addMemory(m) }

// CrossRegion takes in what had crossed regions at some time.
func (r *Recorder) CrossRegion(c targets.CrossRegionSample) { r.used.addCrossRegion(c) }

// Judged counts the oracle's judgement of a read. It fits [oracle.Config.Judged].
func (r *Recorder) Judged(j oracle.Judgement) {
	if full := r.judgements.add(j.Op.Seq, j, j.Op.Returned); full != nil {
		r.foldJudgements(full)
	}
}

func (r *Recorder) foldOps(batch []targets.Operation) {
	r.mu.Lock()
	for i := range batch {
		r.agg.observe(&batch[i])
	}
	r.mu.Unlock()
	r.ops.recycle(batch)
}

func (r *Recorder) foldJudgements(batch []oracle.Judgement) {
	r.mu.Lock()
	for i := range batch {
		r.agg.judged(&batch[i])
	}
	r.mu.Unlock()
	r.judgements.recycle(batch)
}

func (r *Recorder) foldLoads(batch []targets.Load) {
	r.mu.Lock()
	for i := range batch {
		if !r.finished {
			r.agg.load(&batch[i])
		}
	}
	r.mu.Unlock()
	r.loads.recycle(batch)
}

// Finish counts what is still buffered, takes the oracle's findings, and ends the last phase at
// offset end. Loads that arrive later are dropped: a cache that refreshes in the background may go
// on for a while. Nothing else may be recorded after it.
func (r *Recorder) Finish(f oracle.Findings, end time.Duration) {
	r.ops.drain(r.foldOps)
	r.judgements.drain(r.foldJudgements)
	r.loads.drain(r.foldLoads)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	r.agg.found = f
	r.agg.inside = r.drops.lags()
	r.agg.used = r.used.finished()
	r.agg.times.end = max(end, r.agg.times.start[r.agg.times.now])
}

// Intervals gives the latency second by second, after Finish. tag is the drill's name, started the
// wall clock at offset 0.
func (r *Recorder) Intervals(tag string, started time.Time) Intervals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Intervals{Tag: tag, Started: started, Seconds: r.agg.seconds.finish()}
}
