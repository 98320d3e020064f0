package drill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/verdict"
)

// loaded is what came of the load and the faults.
type loaded struct {
	sent   load.Sent
	faults []verdict.FaultRun // in the order of the plan
	halted *measure.Halted    // nil: it took as long as planned
}

// attack sends the load and runs the faults beside it, until both have ended.
func attack(ctx context.Context, p *plan, env environment.Environment, target environment.Target, seen *observer, begin func(measure.Phase, time.Duration), events *Stream, epoch time.Time) (found loaded, err error) {
	sc, can := p.scenario, env.Capabilities()
	attackCtx, stopAttack := context.WithCancel(ctx)
	rules := newHaltRules(sc.Halt, events)
	rules.start(attackCtx, func() {
		seen.halted.Store(true)
		stopAttack()
	})
	defer func() {
		stopAttack() // which ends the rules
		rules.wait()
	}()

	line := &timeline{phases: sc.Phases, faults: p.faults, site: env.Site(), epoch: epoch,
		mark: begin, publish: events.publish, struck: seen.recorder.Struck, health: seen.judge}
	events.publish(PhaseBegan{Phase: measure.Warmup, Length: sc.Phases.Warmup})
	var unhealed error
	var faulting sync.WaitGroup
	faulting.Go(func() { found.faults, unhealed = line.run(attackCtx) })
	attack := load.Attack{
		Target: target, Gate: !can.History, Generator: p.generator, Schedule: p.schedule, Start: epoch,
		Timeout: sc.Workload.Timeout, JudgeFrom: sc.Phases.Warmup, Sink: seen, Bursts: sc.Workload.Bursts,
	}
	if can.VirtualTime {
		attack.Sleep = time.Sleep
	}
	found.sent, err = attack.Run(attackCtx)
	if err != nil {
		stopAttack()
	}
	faulting.Wait()
	if why := rules.halted(); why != "" {
		found.halted = &measure.Halted{Why: why, Ahead: p.ahead(found.sent, seen.cutOff.Load())}
		if ctx.Err() == nil {
			err = nil
		}
	}
	return found, errors.Join(err, environment.Cleanup(unhealed))
}
