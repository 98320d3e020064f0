package drill

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/targets"
)

// Between two samples, and how long one may take.
const (
	sampleEvery    = 100 * time.Millisecond
	samplePatience = 500 * time.Millisecond
)

// usageSampler samples what a drill's target uses, and what its caches count.
type usageSampler struct {
	recorder *measure.Recorder
	env      environment.Environment
	can      environment.Capabilities
	epoch    time.Time

	// Set by one goroutine at a time, in the order of phases.
	taken     usage
	recovered bool // taken.ended is set
}

// usage is what caches had counted when steady began and when recovery ended, and why it is not
// known what crosses regions; "" when it is.
type usage struct {
	began, ended      []targets.CacheStats
	egressUnavailable string
}

func newUsageSampler(env environment.Environment, recorder *measure.Recorder, epoch time.Time) *usageSampler {
	return &usageSampler{recorder: recorder, env: env, can: env.Capabilities(), epoch: epoch}
}

// run samples until ctx ends.
func (a *usageSampler) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, redis := range a.can.Memory {
		all.Go(func() { a.memory(ctx, redis) })
	}
	if a.can.EgressUnavailable == "" {
		all.Go(func() { every(ctx, a.crossing) })
	}
	all.Wait()
}

// every does something again and again, until ctx ends or it reports that it was the last time.
func every(ctx context.Context, do func() (again bool)) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for do() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *usageSampler) memory(ctx context.Context, redis string) {
	every(ctx, func() bool {
		own, cancel := context.WithTimeout(ctx, samplePatience)
		defer cancel()
		used, peak, err := a.env.UsedMemory(own, redis)
		if ctx.Err() != nil {
			return false
		}
		m := targets.Memory{Region: redis, At: time.Since(a.epoch), Used: used, Peak: peak}
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // nothing runs there
			m.Down = true
		case err != nil:
			m.Problem = err.Error()
		}
		a.recorder.Memory(m)
		return !errors.Is(err, errors.ErrUnsupported)
	})
}

// crossing records the bytes that have crossed regions; false when they are no longer counted.
func (a *usageSampler) crossing() bool {
	bytes, why := a.env.Target().CrossRegionBytes()
	if why != "" {
		return false
	}
	a.recorder.CrossRegion(targets.CrossRegionSample{At: time.Since(a.epoch), Bytes: bytes})
	return true
}

// begin takes stock at the beginning of a phase.
func (a *usageSampler) begin(p measure.Phase) {
	a.crossing()
	switch {
	case p == measure.Steady:
		a.taken.began = a.env.Target().CacheStats()
	case p > measure.Recovery && !a.recovered:
		a.taken.ended, a.recovered = a.env.Target().CacheStats(), true
	}
}

// sampled gives the stock that was taken, when run has returned.
func (a *usageSampler) sampled() usage {
	_, a.taken.egressUnavailable = a.env.Target().CrossRegionBytes()
	return a.taken
}
