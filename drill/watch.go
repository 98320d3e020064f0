package drill

import (
	"context"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
)

// watch is what runs beside a drill from its epoch to its conclusion: the source's history, the
// samples of what the target uses, the windows, and the measurement of processor time that is taken
// away.
type watch struct {
	history    *history
	usage      *usageSampler
	points     *timelineRecorder
	starvation *starvation
	timeline   []report.TimelinePoint // once stop has returned
	stop       func()                 // ends all of it and waits; may be called again
}

func startWatch(ctx context.Context, p *plan, env environment.Environment, seen *observer, events *Stream, epoch time.Time, cpu func() cpuLoss) *watch {
	can := env.Capabilities()
	if cpu == nil {
		cpu = readCPULoss
	}
	if can.VirtualTime { // which nothing takes away
		cpu = func() cpuLoss { return cpuLoss{} }
	}
	w := &watch{
		history:    &history{known: can.History, judge: seen.judge, recorder: seen.recorder},
		usage:      newUsageSampler(env, seen.recorder, epoch),
		starvation: beginStarvation(cpu, processors()),
		points:     recordTimeline(events),
	}
	env.Target().OnLoad(seen.load)
	env.Target().OnInvalidated(seen.recorder.Invalidated)

	var running sync.WaitGroup
	wctx, endWatch := context.WithCancel(ctx)
	running.Go(func() { w.usage.run(wctx) })
	running.Go(func() { seen.sampler.run(wctx, epoch) })
	// The history goes on when ctx ends: the judge takes in what was committed all the same.
	hctx, endHistory := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() { w.history.follow(hctx, env.Target().Commits(hctx)) })
	w.stop = sync.OnceFunc(func() {
		endHistory()
		endWatch()
		running.Wait()
		w.timeline = w.points.finish()
	})
	return w
}
