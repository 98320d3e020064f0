package drill

import (
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/targets"
)

// conclude puts what was seen into a verdict.
func (d *drill) conclude(sent load.Sent, unread string, end time.Duration) Result {
	_, counted := d.target.(targets.LoadCounter)
	means, _ := d.target.(interface{ MeansOnly() bool })
	unkeyed, _ := d.target.(interface{ Unkeyed() bool })
	widths, _ := d.target.(interface{ Widths() bool })
	if d.env.Said != nil {
		d.notes = append(d.notes, d.env.Said()...)
	}
	d.recorder.Finish(d.judge.Finish(), end)
	s := report.Evaluate(d.recorder, report.Drill{
		Name: d.sc.Name, Description: d.sc.Why, Target: d.describeTarget(), Policy: d.opt.Policy.Name,
		Operations: report.Operations{Planned: int64(sent.Planned), Sent: int64(sent.Sent),
			Withheld: int64(sent.Withheld.Total()), Digest: sent.Digest},
		Generator: report.GeneratorResult{
			Rate: d.sc.Workload.Rate(),
			LatenessMS: report.Lateness{
				P50: millis(sent.Lateness.P50), P99: millis(sent.Lateness.P99), Max: millis(sent.Lateness.Max),
			},
			Saturated: sent.Saturated, Why: sent.Why,
		},
		Disturbed:              disturbed(sent),
		Broken:                 d.broken(),
		AuditBlind:             unread,
		UnlimitedWorkers:       true, // [drill.drive] sets no bound
		Faults:                 d.runs,
		LoadsCounted:           counted,
		LoadsUnkeyed:           unkeyed != nil && unkeyed.Unkeyed(),
		LoadsMeansOnly:         means != nil && means.MeansOnly(),
		LoadsUnlabelled:        unkeyed != nil,
		WidthsTold:             widths != nil && widths.Widths(),
		Traces:                 d.traces(),
		Interrupted:            d.halt.halted(),
		Unreadable:             d.unreadable(sent),
		Notes:                  d.notes,
		Prices:                 d.sc.Prices,
		Began:                  d.account.began,
		Ended:                  d.account.ended,
		CrossRegionUnavailable: d.account.untold(),
	})
	s.Timeline = d.points.finish()
	d.publishVerdict(s, end)
	return Result{Scenario: s, Intervals: d.recorder.Intervals(d.sc.Name, d.started)}
}

// publishVerdict publishes the accusations that only the end shows, and the verdict.
func (d *drill) publishVerdict(s report.Scenario, end time.Duration) {
	for _, a := range s.Accusations {
		if a.Kind != "stale" && !d.sampler.accused[a.Text] { // a stale read that its class allows accuses nothing
			at := time.Duration(a.AtS * float64(time.Second))
			d.opt.Events.publish(Accused{At: at, Kind: a.Kind, Text: a.Text})
		}
	}
	d.opt.Events.publish(Ended{At: end, Outcome: s.Outcome, Why: s.Why})
}

func (d *drill) broken() string {
	if d.env.Broken == nil {
		return ""
	}
	return d.env.Broken()
}

func (d *drill) traces() []report.Trace {
	if d.env.Traces == nil {
		return nil
	}
	return d.env.Traces(d.epoch)
}

// disturbance is the generator's own lateness from which on the machine may have slowed the target down
// as well: nothing that shares it runs more on time than the pacer, which waits in the kernel.
const disturbance = 10 * time.Millisecond

func disturbed(sent load.Sent) string {
	if sent.Lateness.P99 <= disturbance {
		return ""
	}
	return fmt.Sprintf("operations were sent up to %v late (p99) while workers were free", sent.Lateness.P99.Round(time.Millisecond))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// describeTarget says what was drilled, for the report: "reference: eu 2, us 2 workers".
func (d *drill) describeTarget() string {
	if d.sc.Outside != nil {
		return d.sc.Outside.String()
	}
	if d.sc.Given != nil {
		return d.sc.Given.Title
	}
	var parts []string
	for _, r := range d.sc.Target.Regions {
		parts = append(parts, fmt.Sprintf("%s %d", r.Name, r.Workers))
	}
	return "reference: workers " + strings.Join(parts, ", ")
}

// unreadableShare is how many answers that nobody understands make a drill no test of what it is about.
const unreadableShare = 0.01

func (d *drill) unreadable(sent load.Sent) string {
	if d.env.Unreadable == nil {
		return ""
	}
	n, first := d.env.Unreadable()
	if n == 0 || float64(n) < unreadableShare*float64(sent.Sent) {
		return ""
	}
	return fmt.Sprintf("%d answers said ok and could not be understood (the first: %s)", n, first)
}
