package scenarios

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/report"
)

// healGrace bounds the healing on the way out, when the drill's own context has ended.
const healGrace = 30 * time.Second

// timeline takes a drill through its phases on the harness's clock, and its faults through theirs.
type timeline struct {
	phases Phases
	faults []faults.Planned
	site   faults.Site
	epoch  time.Time
	mark   func(report.Phase, time.Duration)
	note   func(string)          // what a person watching should read
	record func(report.FaultRun) // one fault, when it is over
}

func (t *timeline) now() time.Duration { return time.Since(t.epoch) }

// run returns when the last fault has been healed, or ctx ended; either way nothing stays injected. It
// marks the phases as they begin.
func (t *timeline) run(ctx context.Context) {
	if t.until(ctx, t.phases.Warmup) != nil {
		return
	}
	t.mark(report.Steady, t.phases.Warmup)
	begin := t.phases.Warmup + t.phases.Steady
	if t.until(ctx, begin) != nil {
		return
	}
	t.mark(report.Fault, t.now())
	var wg sync.WaitGroup
	for _, p := range t.faults {
		wg.Go(func() { t.record(t.one(ctx, p, begin)) })
	}
	wg.Wait()
	if ctx.Err() == nil {
		t.mark(report.Recovery, t.now())
	}
}

// one injects a fault at its time, keeps it, and heals it on every way out.
func (t *timeline) one(ctx context.Context, p faults.Planned, begin time.Duration) (run report.FaultRun) {
	run = report.FaultRun{Name: p.Fault.String()}
	if err := t.until(ctx, begin+p.At); err != nil {
		run.Problem = "not injected: the drill was stopped"
		return run
	}
	injected, err := p.Fault.Inject(ctx, t.site)
	run.Injected = t.now()
	if err != nil {
		run.Problem = "not injected: " + strings.TrimPrefix(err.Error(), run.Name+": ")
		t.note(run.Name + ": " + run.Problem)
		return run
	}
	run.Injected = min(run.Injected, injected.Began.Sub(t.epoch))
	if injected.Evidence != "" {
		t.note(run.Name + ": " + injected.Evidence)
	}
	defer func() {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), healGrace)
		defer cancel()
		evidence, err := injected.Heal(own)
		run.Healed = t.now()
		run.Evidence = evidence
		if err != nil {
			run.Problem = "not healed: " + strings.TrimPrefix(err.Error(), run.Name+": ")
			t.note(run.Name + ": " + run.Problem)
			return
		}
		t.note(run.Name + ": healed")
	}()
	keep := max(injected.Hold, p.Observe)
	until := run.Injected + keep
	if keep == 0 { // instantaneous, and nobody said for how long to watch
		until = begin + t.phases.Fault
	}
	_ = t.until(ctx, until)
	return run
}

// until waits for an offset on the harness's clock.
func (t *timeline) until(ctx context.Context, at time.Duration) error {
	timer := time.NewTimer(time.Until(t.epoch.Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
