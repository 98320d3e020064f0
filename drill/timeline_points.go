package drill

import (
	"context"
	"sync"

	"github.com/cachedrill/cachedrill/report"
)

// timelineRecorder is the subscriber that keeps a drill's windows for its report.
type timelineRecorder struct {
	events   *Subscription
	timeline report.Timeline
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// recordTimeline subscribes until finish is called.
func recordTimeline(stream *Stream) *timelineRecorder {
	ctx, cancel := context.WithCancel(context.Background())
	r := &timelineRecorder{events: stream.Subscribe(), cancel: cancel}
	r.done.Go(func() {
		for {
			e, ok := r.events.Next(ctx)
			if !ok {
				return
			}
			r.keep(e)
		}
	})
	return r
}

// finish takes what is still queued, and gives the points in order of time.
func (r *timelineRecorder) finish() []report.TimelinePoint {
	r.cancel()
	r.done.Wait()
	for {
		e, ok, _ := r.events.take()
		if !ok {
			return r.timeline.Points()
		}
		r.keep(e)
	}
}

func (r *timelineRecorder) keep(e Event) {
	w, is := e.(Window)
	if !is {
		return
	}
	f := w.Total.line()
	r.timeline.Add(report.TimelinePoint{
		FromS: seconds(w.At - w.Length), ToS: seconds(w.At), Phase: w.Phase.String(),
		Rate: f.Rate, Errors: f.Errors, P50MS: f.P50MS, P95MS: f.P95MS, P99MS: f.P99MS,
		SourceQPS: f.SourceQPS, Stale: f.Stale, Violations: w.Violations,
	})
}
