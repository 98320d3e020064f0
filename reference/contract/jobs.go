package contract

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Warmer is what jobs need of a cache; [reference.Cache] is one.
type Warmer interface {
	// Warm makes sure that the cache holds a name. With renew it loads it even where a copy is
	// still good.
	Warm(ctx context.Context, n key.Name, renew bool) error
}

// Runner runs the jobs of a contract: warm-ups once, refreshes again and again, each within its
// budget.
type Runner struct {
	Contract Contract
	Cache    Warmer
	Names    func(Job) iter.Seq[key.Name] // what a job is about, the most wanted first: a budget may end it early
	Alert    func(Run)                    // called for each run that failed; called concurrently, must not block
}

// Run is one run of a job.
type Run struct {
	Job     Job
	Began   time.Time
	Took    time.Duration
	Loaded  int
	Failed  int
	Problem string // why somebody must hear of it; empty when all went well
}

// String says in one line what came of a run.
func (r Run) String() string {
	s := fmt.Sprintf("%s %s of %s: %d loaded in %v", r.Job.Kind, r.Job.Name, r.Job.Family, r.Loaded, r.Took.Round(time.Millisecond))
	if r.Problem != "" {
		s += ": " + r.Problem
	}
	return s
}

// atOnce bounds the loads of one run that are under way at a time.
const atOnce = 16

// Run runs the contract's jobs until ctx ends and every run has ended with it. Refreshes wait a
// period before their first run: a cache that starts empty is a warm-up's business.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, j := range r.Contract.Jobs {
		all.Go(func() {
			if j.Kind == WarmUp {
				r.report(ctx, r.Once(ctx, j))
				return
			}
			tick := time.NewTicker(j.Every)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					r.report(ctx, r.Once(ctx, j))
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

func (r *Runner) report(ctx context.Context, run Run) {
	if run.Problem != "" && ctx.Err() == nil { // a run that was stopped has no problem
		r.Alert(run)
	}
}

// Once runs a job now, and waits for it. It starts at most the budget's loads a second, and none
// when the budget's time is over or ctx has ended.
func (r *Runner) Once(ctx context.Context, j Job) Run {
	run := Run{Job: j, Began: time.Now()}
	within, cancel := context.WithTimeout(ctx, j.For)
	defer cancel()
	var loaded, failed atomic.Int64
	var first atomic.Pointer[error]
	var loads errgroup.Group
	loads.SetLimit(atOnce)
	var cut atomic.Bool
	started := 0
	for n := range r.Names(j) {
		due := run.Began.Add(time.Duration(float64(started) / j.Rate * float64(time.Second)))
		if !waitUntil(within, due) {
			cut.Store(true)
			break
		}
		started++
		loads.Go(func() error {
			err := r.Cache.Warm(within, n, j.Kind == Refresh)
			switch {
			case err == nil:
				loaded.Add(1)
			case within.Err() != nil: // not the load failed: its time was over
				cut.Store(true)
			default:
				failed.Add(1)
				first.CompareAndSwap(nil, &err)
			}
			return nil
		})
	}
	_ = loads.Wait() // the loads' errors are counted
	run.Took, run.Loaded, run.Failed = time.Since(run.Began), int(loaded.Load()), int(failed.Load())
	switch {
	case run.Failed > 0:
		run.Problem = fmt.Sprintf("%d failed, the first with: %v", run.Failed, *first.Load())
	case cut.Load():
		run.Problem = fmt.Sprintf("the budget of %g loads/s for %v ended it before it was through", j.Rate, j.For)
	}
	return run
}

// waitUntil waits for an instant, and says whether the context lived to see it.
func waitUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
