package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/verdict"
	"github.com/cachedrill/cachedrill/scenarios"
)

// healGrace bounds the healing on the way out, when the drill's own context has ended.
const healGrace = 30 * time.Second

// timeline takes a drill through its phases on the harness's clock, and its faults through theirs.
type timeline struct {
	phases  scenarios.Phases
	faults  []faults.Planned
	site    faults.Site
	epoch   time.Time
	mark    func(measure.Phase, time.Duration)
	publish func(Event)
	struck  func(time.Duration) // gets when a fault is about to be injected; may be nil
	health  faultObserver       // may be nil
}

// faultObserver learns when faults begin and end, as [oracle.Judge] does: see
// [oracle.Judge.FaultBegan].
type faultObserver interface {
	FaultBegan(at time.Duration)
	FaultHealed(at time.Duration)
}

func (t *timeline) now() time.Duration { return time.Since(t.epoch) }

// run returns when the last fault has been healed, or ctx ended; either way it has tried to heal
// each. It marks the phases as they begin, and gives what became of each fault, in the order of the
// plan. The error says what could not be healed.
func (t *timeline) run(ctx context.Context) ([]verdict.FaultRun, error) {
	runs := make([]verdict.FaultRun, len(t.faults))
	for i, p := range t.faults {
		runs[i] = notInjected(p)
	}
	if t.until(ctx, t.phases.Warmup) != nil {
		return runs, nil
	}
	t.mark(measure.Steady, t.phases.Warmup)
	t.site = t.site.SteadyBegan(ctx)
	begin := t.phases.Warmup + t.phases.Steady
	if t.until(ctx, begin) != nil {
		return runs, nil
	}
	t.site.SteadyEnded(ctx)
	t.mark(measure.Fault, t.now())
	errs := make([]error, len(t.faults))
	var wg sync.WaitGroup
	for i, p := range t.faults {
		wg.Go(func() { runs[i], errs[i] = t.one(ctx, p, begin) })
	}
	wg.Wait()
	if ctx.Err() == nil {
		t.mark(measure.Recovery, t.now())
	}
	if at := t.phases.DipBegins(); t.phases.Dip > 0 && t.until(ctx, at) == nil {
		t.mark(measure.Dip, at)
		if t.until(ctx, at+t.phases.Dip) == nil {
			t.mark(measure.AfterDip, at+t.phases.Dip)
		}
	}
	return runs, errors.Join(errs...)
}

// notInjected is a fault whose time never came.
func notInjected(p faults.Planned) verdict.FaultRun {
	return verdict.FaultRun{Name: p.Fault.String(), Problem: "not injected: the drill was stopped", Unneeded: true}
}

// one injects a fault at its time, keeps it for as long as it lasts, heals it on every way out, and
// watches on for as long as the plan says.
func (t *timeline) one(ctx context.Context, p faults.Planned, begin time.Duration) (run verdict.FaultRun, unhealed error) {
	run = verdict.FaultRun{Name: p.Fault.String()}
	if err := t.until(ctx, begin+p.At); err != nil {
		return notInjected(p), nil
	}
	if t.health != nil && faults.Perturbs(p.Fault) {
		t.health.FaultBegan(t.now())
		defer func() {
			if unhealed == nil {
				t.health.FaultHealed(t.now())
			}
		}()
	}
	if t.struck != nil {
		t.struck(t.now())
	}
	injected, err := p.Fault.Inject(ctx, t.site)
	if err != nil {
		run.Problem = "not injected: " + strings.TrimPrefix(err.Error(), run.Name+": ")
		t.publish(FaultFailed{At: t.now(), Fault: run.Name, Problem: run.Problem})
		return run, nil
	}
	run.Injected = min(t.now(), injected.Began.Sub(t.epoch))
	t.publish(FaultInjected{At: run.Injected, Fault: run.Name})
	if injected.Evidence != "" {
		t.publish(FaultProven{At: t.now(), Fault: run.Name, Evidence: injected.Evidence})
	}
	healed := false
	heal := func() {
		if healed {
			return
		}
		healed = true
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), healGrace)
		defer cancel()
		evidence, err := injected.Heal(own)
		if err != nil {
			run.Problem = "not healed: " + strings.TrimPrefix(err.Error(), run.Name+": ")
			unhealed = fmt.Errorf("%s could not be healed: %w", run.Name, err)
			t.publish(FaultFailed{At: t.now(), Fault: run.Name, Problem: run.Problem})
			return
		}
		run.Healed, run.Evidence = t.now(), evidence
		if evidence == "" && injected.Unproven != nil {
			run.Unproven = injected.Unproven()
		}
		t.publish(FaultHealed{At: run.Healed, Fault: run.Name})
		if evidence != injected.Evidence && evidence != "" {
			t.publish(FaultProven{At: run.Healed, Fault: run.Name, Evidence: evidence})
		}
	}
	defer heal()
	watch := run.Injected + p.Observe
	if injected.Hold > 0 {
		_ = t.until(ctx, run.Injected+injected.Hold)
		heal()
	} else if p.Observe == 0 { // over at once, and the plan names no time to watch
		watch = max(begin+t.phases.Fault, run.Injected+leastWatch)
	}
	_ = t.until(ctx, watch)
	return run, unhealed
}

// leastWatch is for how long the effect of a fault that is over at once is watched at least.
const leastWatch = time.Second

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
