// Package drill runs one drill of a scenario in an environment: it prepares, sends load while
// faults come and go, audits what was written, and concludes. Everything that happens on the way is
// a typed [Event].
package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/scenarios"
)

// Options say how to run a scenario.
type Options struct {
	Seed   uint64  // of the operations: the same seed sends the same ones
	Policy string  // the name in the report
	Sham   bool    // inject the sham of every fault: everything happens but the perturbation
	Events *Stream // gets what happens, and is closed at the drill's end; nil: a stream without subscribers

	// Qualify asks after the premises also where that is not the rule: in virtual time, where many
	// drills are made.
	Qualify bool

	cpuLoss func() cpuLoss // nil: this machine's
}

// Result is a drill that came to an end.
type Result struct {
	Scenario  report.Drill
	Intervals measure.Intervals // latency second by second
}

// Run drills the scenario's target once, in an environment that was made for it and that the caller
// closes. An error means that the harness could not do its work, or that ctx ended, in which case
// it wraps ctx's error; a missed objective is data. Either way nothing stays injected, unless there
// is an [environment.CleanupError] in the error.
func Run(ctx context.Context, sc scenarios.Scenario, env environment.Environment, opt Options) (Result, error) {
	if opt.Events == nil {
		opt.Events = NewStream()
	}
	defer opt.Events.Close()
	res, err := run(ctx, sc, env, opt)
	if err != nil {
		return res, fmt.Errorf("%s: %w", sc.Name, err)
	}
	return res, nil
}

// RunIn makes an environment, runs the scenario in it, and closes it.
func RunIn(ctx context.Context, sc scenarios.Scenario, open environment.Open, where environment.Options, opt Options) (res Result, err error) {
	env, err := open(ctx, sc, where)
	if err != nil {
		if opt.Events != nil {
			opt.Events.Close()
		}
		return res, fmt.Errorf("%s: %w", sc.Name, err)
	}
	defer func() { err = errors.Join(err, environment.Cleanup(env.Close())) }()
	return Run(ctx, sc, env, opt)
}

// run takes a drill through its stages. Each gets what it needs and returns what it found.
func run(ctx context.Context, sc scenarios.Scenario, env environment.Environment, opt Options) (res Result, err error) {
	p, err := newPlan(sc, opt, env.Run())
	if err != nil {
		return res, err
	}
	seen := newObserver(p, sc, env.Capabilities(), opt.Events)

	prepared, err := env.Prepare(ctx, p.seeded())
	if err != nil {
		return res, err
	}
	habits, err := qualify(ctx, p, env, opt)
	if err != nil {
		return res, err
	}
	target := habits.Watch(habits.Careful(env.Target()))
	epoch := env.Start()
	watch := startWatch(ctx, p, env, seen, opt.Events, epoch, opt.cpuLoss)
	defer watch.stop()

	begin := func(p measure.Phase, at time.Duration) {
		seen.begin(p, at)
		watch.usage.begin(p)
	}
	found := findings{notes: slices.Concat(prepared.Notes, habits.Notes), started: epoch}
	if found.load, err = attack(ctx, p, env, target, seen, begin, opt.Events, epoch); err != nil {
		return res, err
	}
	found.starved = watch.starvation.starved()
	if found.load.halted != nil {
		found.audit.unread = "the drill was halted"
	} else {
		// The load ended as planned, however long its last operations took; the recorder keeps each
		// operation in the phase of its due time.
		begin(measure.Audit, min(time.Since(epoch), sc.Phases.Total()))
		if found.audit, err = audit(ctx, p, target, habits, seen, epoch); err != nil {
			return res, err
		}
		if err := watch.history.await(ctx, time.Since(epoch)); err != nil {
			return res, err
		}
	}
	watch.stop() // the judge is finished after every other call has returned
	found.end, found.premises = time.Since(epoch), target.Premises(habits.Premises, epoch)
	found.usage = watch.usage.sampled()
	res = conclude(p, opt, env, seen, found)
	res.Scenario.Timeline = watch.timeline
	publishVerdict(opt.Events, seen, res.Scenario, found.end)
	return res, nil
}
