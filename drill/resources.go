package drill

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/targets"
)

// Between two looks at what is used, and how long one may take.
const (
	lookEvery    = 100 * time.Millisecond
	lookPatience = 500 * time.Millisecond
)

// accountant looks at what a drill's target uses, and at what its caches count.
type accountant struct {
	recorder *report.Recorder
	epoch    time.Time
	memory   map[string]environment.Gauge
	border   targets.EgressCounter      // nil: it does not tell
	teller   targets.CacheStatsReporter // likewise

	// Set by one goroutine at a time, in the order of phases.
	began, ended []targets.CacheStats
	recovered    bool // ended is set
}

func newAccountant(d *drill) *accountant {
	a := &accountant{recorder: d.recorder, epoch: d.epoch, memory: d.env.Memory}
	a.border, _ = d.target.(targets.EgressCounter)
	a.teller, _ = d.target.(targets.CacheStatsReporter)
	return a
}

// run looks until ctx ends.
func (a *accountant) run(ctx context.Context) {
	var all sync.WaitGroup
	for region, ask := range a.memory {
		all.Go(func() { a.watch(ctx, region, ask) })
	}
	if a.border != nil {
		all.Go(func() { every(ctx, func() bool { return a.crossing() }) })
	}
	all.Wait()
}

// every does something again and again, until ctx ends or it says that it was the last time.
func every(ctx context.Context, do func() (again bool)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for do() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *accountant) watch(ctx context.Context, region string, ask environment.Gauge) {
	every(ctx, func() bool {
		own, cancel := context.WithTimeout(ctx, lookPatience)
		defer cancel()
		used, peak, err := ask(own)
		if ctx.Err() != nil {
			return false
		}
		m := targets.Memory{Region: region, At: time.Since(a.epoch), Used: used, Peak: peak}
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

// crossing notes what has crossed regions; false when the target does not tell.
func (a *accountant) crossing() bool {
	if a.border == nil {
		return false
	}
	bytes, why := a.border.CrossRegionBytes()
	if why != "" {
		return false
	}
	a.recorder.CrossRegion(targets.CrossRegionSample{At: time.Since(a.epoch), Bytes: bytes})
	return true
}

// mark is told when a phase begins.
func (a *accountant) mark(p report.Phase) {
	a.crossing()
	switch {
	case a.teller == nil:
	case p == report.Steady:
		a.began = a.teller.CacheStats()
	case p > report.Recovery && !a.recovered:
		a.ended, a.recovered = a.teller.CacheStats(), true
	}
}

// untold says why it is not known what crosses regions.
func (a *accountant) untold() string {
	if a.border == nil {
		return "the target does not tell what crosses regions"
	}
	_, why := a.border.CrossRegionBytes()
	return why
}
