// Package drill runs scenarios: it takes each through its phases against its target, and concludes.
package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// Options say how to run a scenario.
type Options struct {
	environment.Options // of the environment that is made when Place is nil; its seed is the operations' too

	Sham   bool    // put the sham of every fault in its place
	Events *Stream // gets what happens in the drill, and is closed at its end; may be nil

	// BlackBox judges the target by its answers alone, as a stranger's service: changes of one key are then sent
	// one at a time, for nothing else tells their order.
	BlackBox bool

	Journal *undo.Journal // of what to undo, should this process end before it has healed; may be nil
	Audit   *undo.Audit   // of what was done; may be nil

	// Place makes the place of the drill; nil is a Redis per region, network proxies, and HTTP.
	Place func(context.Context, scenarios.Scenario, environment.Options) (*environment.Place, error)
}

// Result is a drill that came to an end.
type Result struct {
	Scenario  report.Scenario
	Intervals report.Intervals // latency second by second
}

// Run drills the scenario's target once. An error means that the harness could not do its work, or
// that ctx ended, in which case it wraps ctx's error; a missed objective is data. Either way nothing
// stays injected or running, unless there is a [environment.CleanupError] in it.
func Run(ctx context.Context, sc scenarios.Scenario, opt Options) (res Result, err error) {
	if opt.Place == nil {
		opt.Place = environment.Reference
		if sc.Outside != nil {
			opt.Place = environment.HTTP
		}
	}
	if opt.Events == nil {
		opt.Events = NewStream()
	}
	defer opt.Events.Close()
	if opt.Run == "" {
		opt.Run = fmt.Sprintf("%08x", rand.Uint32())
	}
	env, err := opt.Place(ctx, sc, opt.Options)
	if err != nil {
		return res, fmt.Errorf("%s: %w", sc.Name, err)
	}
	defer func() { err = errors.Join(err, environment.Cleanup(env.Close())) }()
	d, err := prepare(ctx, sc, opt, env)
	if err != nil {
		return res, fmt.Errorf("%s: %w", sc.Name, err)
	}
	if res, err = d.run(ctx); err != nil {
		return res, fmt.Errorf("%s: %w", sc.Name, err)
	}
	return res, nil
}

// drill is one run of a scenario, and the sink of its operations.
type drill struct {
	sc        scenarios.Scenario
	opt       Options
	env       *environment.Place
	subject   scenarios.Subject
	notes     []string // what a reader of the report should know
	target    targets.Target
	asked     targets.Target    // the same, for operations
	history   targets.Historian // nil of a black box
	generator *load.Generator
	schedule  load.Schedule
	judge     *oracle.Judge
	recorder  *report.Recorder
	sampler   *sampler
	points    *timelineRecorder // what the report shows of the course of the drill
	account   *accountant
	written   writtenKeys
	epoch     time.Time
	started   time.Time // wall clock of the epoch
	sealed    atomic.Int64
	planned   uint64
	halt      *haltRules
	runs      []report.FaultRun // what became of each fault, once the load has ended
}

// prepare fills source and caches, and sets up what watches the drill.
func prepare(ctx context.Context, sc scenarios.Scenario, opt Options, env *environment.Place) (*drill, error) {
	d := &drill{sc: sc, opt: opt, env: env, subject: sc.Subject(), target: env.Service, written: writtenKeys{keys: map[targets.Key]bool{}}}
	if opt.BlackBox {
		d.target = stranger{env.Service}
	}
	if env.Target != nil {
		d.target = env.Target
	}
	d.history, _ = d.target.(targets.Historian)
	d.asked = d.target
	if d.history == nil {
		d.asked = &versioned{Target: d.target}
	}
	run := opt.Run
	var err error
	d.generator, err = load.NewGenerator(load.Workload{
		Seed: opt.Seed, Run: run, Mixes: sc.Workload.Mixes, Regions: d.subject.RegionNames(), Sessions: sc.Workload.Sessions,
	})
	if err != nil {
		return nil, fmt.Errorf("making the workload: %w", err)
	}
	if d.schedule, err = load.NewSchedule(sc.Workload.Steps, sc.Phases.Total()); err != nil {
		return nil, fmt.Errorf("making the schedule: %w", err)
	}
	d.planned = d.schedule.Count()
	classes := map[string]string{}
	families := map[string]oracle.Family{}
	siblings := map[string]bool{}
	for _, m := range sc.Workload.Mixes {
		if p, class, ok := d.subject.Promise(m.Family); ok {
			classes[m.Family], families[m.Family] = class, p
		}
		if err := d.fill(ctx, d.generator.Seeded(m.Family)); err != nil {
			return nil, err
		}
		siblings[m.Family] = m.Keys > 1 && max(len(m.Tenants), len(m.Locales), len(m.Currencies)) > 1
	}
	d.recorder = report.NewRecorder(report.RecorderConfig{Objectives: sc.Objectives, Classes: classes})
	d.sampler = newSampler(sc.Phases, opt.Events)
	d.halt = newHaltRules(sc, opt.Events)
	d.judge = oracle.New(oracle.Config{
		Run: run, Families: families, Historian: d.history != nil,
		ForeignWriters: sc.Outside != nil || opt.BlackBox || sc.Given != nil && sc.Given.ForeignWriters, Shared: sc.Outside != nil && sc.Outside.Safety.Shared,
		Siblings: func(k targets.Key) bool { return siblings[k.Family] },
		Judged: func(j oracle.Judgement) {
			d.recorder.Judged(j)
			d.sampler.judge(j)
		},
	})
	return d, nil
}

// fill gives the source what there is at the beginning, and the caches their copies.
func (d *drill) fill(ctx context.Context, keys []targets.Key) error {
	if err := d.env.Service.Seed(ctx, keys, d.opt.Run); err != nil {
		return fmt.Errorf("seeding the source: %w", err)
	}
	said, err := d.env.Service.Prewarm(ctx, keys)
	if err != nil {
		return fmt.Errorf("prewarming: %w", err)
	}
	if said != "" {
		d.notes = append(d.notes, said)
	}
	return nil
}

// Begin and End take in the operations of the workload.
func (d *drill) Begin(op targets.Operation) {
	if op.Kind.Changes() {
		d.written.add(op.Key)
	}
	d.judge.Begin(op)
}

// End implements [load.Sink].
func (d *drill) End(op targets.Operation) {
	d.judge.End(op)
	d.recorder.Observe(op)
	d.sampler.observe(&op)
}

// lead is the time between the end of the preparations and the first operation.
const lead = 50 * time.Millisecond

func (d *drill) run(ctx context.Context) (Result, error) {
	d.epoch = time.Now().Add(lead)
	d.started = d.epoch
	d.env.Service.SetEpoch(d.epoch)
	if t, ok := d.target.(targets.LoadCounter); ok {
		t.OnLoad(func(l targets.Load) {
			d.recorder.Load(l)
			if !l.Audit {
				d.sampler.load(l)
			}
		})
	}

	if t, ok := d.target.(targets.InvalidationReporter); ok {
		t.OnInvalidated(d.recorder.Invalidated)
	}

	wctx, endWindows := context.WithCancel(context.WithoutCancel(ctx))
	var windows, follower, accounting sync.WaitGroup
	d.account = newAccountant(d)
	actx, endAccount := context.WithCancel(ctx)
	accounting.Go(func() { d.account.run(actx) })
	hctx, endHistory := context.WithCancel(context.WithoutCancel(ctx))
	if d.history != nil {
		follower.Go(func() { d.follow(hctx) })
	}
	d.points = recordTimeline(d.opt.Events)
	windows.Go(func() { d.sampler.run(wctx, d.epoch) })
	defer func() {
		endWindows()
		endHistory()
		endAccount()
		follower.Wait()
		accounting.Wait()
		windows.Wait()
		d.points.finish()
	}()

	sent, err := d.drive(ctx)
	if err != nil {
		return Result{}, err
	}
	if d.halt.halted() != "" {
		endWindows()
		windows.Wait()
		return d.conclude(sent, "the drill was halted", time.Since(d.epoch)), nil
	}
	// The load ended as planned, however long its last operations took; the recorder keeps each
	// operation in the phase of its due time.
	d.mark(report.Audit, min(time.Since(d.epoch), d.sc.Phases.Total()))
	unread, err := d.audit(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := d.awaitSeal(ctx, time.Since(d.epoch)); err != nil {
		return Result{}, err
	}
	endHistory()
	endAccount()
	endWindows()
	follower.Wait() // the judge is finished after every other call has returned
	accounting.Wait()
	windows.Wait()
	return d.conclude(sent, unread, time.Since(d.epoch)), nil
}

// drive sends the load and runs the faults beside it, until both have ended.
func (d *drill) drive(ctx context.Context) (load.Sent, error) {
	attackCtx, stopAttack := context.WithCancel(ctx)
	d.halt.start(attackCtx, stopAttack)
	defer func() {
		stopAttack() // which ends who might halt
		d.halt.wait()
	}()
	d.env.Site.Journal, d.env.Site.Audit = d.opt.Journal, d.opt.Audit
	d.env.Site.Now = func() time.Duration { return time.Since(d.epoch) }
	line := &timeline{phases: d.sc.Phases, faults: d.faults(), site: d.env.Site, epoch: d.epoch,
		mark: d.mark, publish: d.opt.Events.publish, truth: d.judge}
	var unhealed error
	var faulting sync.WaitGroup
	faulting.Go(func() { d.runs, unhealed = line.run(attackCtx) })
	sent, err := load.Attack{
		Target: d.asked, Gate: d.history == nil, Generator: d.generator, Schedule: d.schedule, Start: d.epoch,
		Timeout: d.sc.Workload.Timeout, JudgeFrom: d.sc.Phases.Warmup, Sink: d,
		Sleep: d.env.Sleep, Bursts: d.sc.Workload.Bursts,
	}.Run(attackCtx)
	if err != nil {
		stopAttack()
	}
	faulting.Wait()
	if d.halt.halted() != "" && ctx.Err() == nil {
		err = nil
	}
	if err != nil || unhealed != nil {
		return sent, errors.Join(err, environment.Cleanup(unhealed))
	}
	return sent, nil
}

func (d *drill) faults() []faults.Planned {
	out := slices.Clone(d.sc.Faults)
	for i := range out {
		if d.opt.Sham {
			out[i].Fault = faults.Sham(out[i].Fault)
		}
	}
	return out
}

func (d *drill) mark(p report.Phase, at time.Duration) {
	d.recorder.Mark(p, at)
	d.sampler.begin(p, at)
	d.account.mark(p)
}

// follow hands the source's history to the judge.
func (d *drill) follow(ctx context.Context) {
	for c := range d.history.Commits(ctx) {
		d.judge.Commit(c)
		d.recorder.Commit(c)
		if c.Version == 0 {
			d.sealed.Store(int64(c.At))
		}
	}
}

// awaitSeal waits until the judge knows the history up to at.
func (d *drill) awaitSeal(ctx context.Context, at time.Duration) error {
	if d.history == nil {
		return nil
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Duration(d.sealed.Load()) < at {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
