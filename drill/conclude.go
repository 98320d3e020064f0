package drill

import (
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/report/verdict"
	"github.com/cachedrill/cachedrill/scenarios"
)

// findings are what the stages of a drill found, besides what the observer took in.
type findings struct {
	notes    []string
	premises []report.Premise
	started  time.Time // wall clock of the epoch
	load     loaded
	audit    audited
	usage    usage
	starved  string        // why the machine was starved; "" when it was not
	end      time.Duration // offset of the drill's end
}

// conclude puts what was found into a verdict.
func conclude(p *plan, opt Options, env environment.Environment, seen *observer, found findings) Result {
	sc, sent, loads := p.scenario, found.load.sent, env.Capabilities().Loads
	own := env.Observations()
	proven := seen.judge.Finish()
	seen.judge.Beside(&proven)
	seen.legible.accuse(&proven, found.load.faults, p.classes())
	seen.recorder.Finish(proven, found.end)
	s := verdict.Evaluate(seen.recorder, verdict.Input{
		Name: sc.Name, Description: sc.Why, Target: sc.Target.String(), Policy: opt.Policy,
		Operations: report.Operations{Planned: int64(sent.Planned), Sent: int64(sent.Sent),
			Withheld: int64(sent.Withheld.Total()), Digest: sent.Digest},
		Generator: verdict.Generator{
			GeneratorResult: report.GeneratorResult{
				Rate: sc.Workload.Rate(),
				LatenessMS: report.Lateness{
					P50: millis(sent.Lateness.P50), P99: millis(sent.Lateness.P99), Max: millis(sent.Lateness.Max),
				},
				Saturated: sent.Saturated, Why: sent.Why,
			},
			UnlimitedWorkers: true, // [attack] sets no bound
		},
		Faults: found.load.faults,
		Loads:  loads,
		Resources: verdict.Resources{
			Prices: sc.Prices, Began: found.usage.began, Ended: found.usage.ended,
			CrossRegionUnavailable: found.usage.egressUnavailable,
		},
		Reasons: verdict.Reasons{
			Halted: found.load.halted, Garbled: unreadable(sc, own, sent), Broken: own.Failure,
			Starved: found.starved, Disturbed: disturbed(sent), AuditBlind: found.audit.unread,
		},
		Corroborations: own.Corroborations, Premises: found.premises,
		Notes:   slices.Concat(found.notes, sc.UnshownClasses(), found.audit.notes, own.Notes),
		Unshown: sc.Unshown,
	})
	return Result{Scenario: s, Intervals: seen.recorder.Intervals(sc.Name, found.started)}
}

// disturbance is the generator's own lateness from which on the machine may have slowed the target
// down as well: nothing that shares it runs more on time than the pacer, which waits in the kernel.
const disturbance = 10 * time.Millisecond

func disturbed(sent load.Sent) string {
	if sent.Lateness.P99 <= disturbance {
		return ""
	}
	return fmt.Sprintf("operations were sent up to %v late (p99) while workers were free", sent.Lateness.P99.Round(time.Millisecond))
}

// unreadableShare is how many answers that can't be understood make a drill no test of what it is
// about.
const unreadableShare = 0.01

// unreadable says why the answers can't be understood; a suite with an objective about that knows
// of it.
func unreadable(sc scenarios.Scenario, own environment.Observations, sent load.Sent) string {
	expected := slices.ContainsFunc(sc.Objectives, func(o slo.PhaseObjective) bool { return o.Objective.Metric == "unreadable" })
	if expected || own.Garbled == 0 || float64(own.Garbled) < unreadableShare*float64(sent.Sent) {
		return ""
	}
	return fmt.Sprintf("%d answers had a good status and could not be understood (the first: %s)", own.Garbled, own.FirstGarbled)
}

// publishVerdict publishes the accusations that only the end shows, and the verdict.
func publishVerdict(events *Stream, seen *observer, s report.Drill, end time.Duration) {
	for _, a := range s.Accusations {
		if !seen.sampler.accused[a.Text] {
			at := time.Duration(a.AtS * float64(time.Second))
			events.publish(Accused{At: at, Kind: a.Kind, Text: a.Text})
		}
	}
	events.publish(Ended{At: end, Outcome: s.Outcome, Why: s.Why})
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
