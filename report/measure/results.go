package measure

import (
	"time"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
)

// Circumstances are what must be known of a drill, besides what was recorded, to measure.
type Circumstances struct {
	Loads slo.LoadDetail
	// UnlimitedWorkers says that no operation ever waited for a free worker: then what lies between
	// its due time and its sending is the generator's own lateness, which proves nothing against
	// the target. At a limit of workers it may be waiting for a stalled target, which is the
	// target's latency; operations carry no stamp that tells the two apart.
	UnlimitedWorkers bool
	Prices           *cost.Prices // nil: nothing has a price
	// CrossRegionUnavailable is why it is not known what crosses regions; empty when it is.
	CrossRegionUnavailable string
	Corroborations         []Corroboration // what explains most first
	Halted                 *Halted         // nil: the drill took as long as planned
}

// Halted is a drill that was ended before its time.
type Halted struct {
	Why   string              // "halted at 12.5s: errors > 50% for 5s"
	Ahead map[slo.Group]int64 // operations that were still planned in the phases of a group
}

// Corroboration is what another observer than the target saw of the cause of something that a
// metric shows.
type Corroboration struct {
	Metric string
	At     time.Duration
	Text   string // one line
}

// Results are what was measured in a drill that has ended.
type Results struct {
	agg        *aggregate
	objectives []slo.PhaseObjective
	about      Circumstances
}

// Results gives what was measured, after [Recorder.Finish]. Nothing is recorded any more.
func (r *Recorder) Results(c Circumstances) *Results {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agg.recovered.excuse, r.agg.recoveredAfter.excuse = c.UnlimitedWorkers, c.UnlimitedWorkers
	return &Results{agg: &r.agg, objectives: r.objectives, about: c}
}

// Objectives are the ones that the recorder counted for.
func (r *Results) Objectives() []slo.PhaseObjective { return r.objectives }

// Oracle is what the oracle found.
func (r *Results) Oracle() *oracle.Findings { return &r.agg.found }

// For gives the measurements for an objective in a group.
func (r *Results) For(g slo.Group, o slo.Objective) slo.Measurements {
	return r.over(g, phasesOf(g, o.Safety()), o.Selection())
}

// Includes says of the oracle's accusations whether their operations are among those that an
// objective of a group is about.
func (r *Results) Includes(g slo.Group, o slo.Objective) func(*oracle.Accusation) bool {
	v := &view{Results: r, phases: phasesOf(g, o.Safety()), labels: o.Selection()}
	return v.includes
}

// Region gives the measurements of one region from steady to recovery. Of operations there are all
// regions' together, unless an objective counted them apart.
func (r *Results) Region(name string) slo.Measurements {
	return r.over(slo.GroupAlways, phasesOf(slo.GroupAlways, false), slo.Labels{Region: name})
}

// Phase gives the measurements of one phase, and when it began and ended; ok is false when the
// drill never reached it.
func (r *Results) Phase(p Phase) (m slo.Measurements, start, end time.Duration, ok bool) {
	start, end, ok = r.agg.times.span(p)
	if !ok {
		return nil, 0, 0, false
	}
	return r.over("", []Phase{p}, slo.Labels{}), start, end, true
}
