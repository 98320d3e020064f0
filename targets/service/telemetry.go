package service

import (
	"context"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// telemetry reports what happens inside the service to the harness, in the harness's words and on
// its clock.
type telemetry struct {
	began         time.Time     // 0 of the source's clock
	shift         time.Duration // from the source's clock to the harness's offsets
	families      []reference.Family
	onLoad        func(targets.Load)
	onInvalidated func(targets.Invalidated)
	written       sync.Map // from a cache's key to the [targets.Key] that was written to
}

// now is the source's clock.
func (t *telemetry) now() int64 { return int64(time.Since(t.began)) }

// SetEpoch sets the instant that is offset 0 of the times in commits, loads and invalidations. It
// is exact: both clocks are the harness's own monotonic one, since the source runs in this process.
// Call it before the first commit or load is asked for.
func (t *telemetry) SetEpoch(epoch time.Time) { t.shift = t.began.Sub(epoch) }

func (t *telemetry) offset(clock int64) time.Duration { return time.Duration(clock) + t.shift }

// OnLoad implements [targets.LoadCounter].
func (t *telemetry) OnLoad(f func(targets.Load)) { t.onLoad = f }

func (t *telemetry) loaded(l source.Load) {
	if t.onLoad == nil {
		return
	}
	t.onLoad(targets.Load{
		Key: targets.Key(l.Name), Region: l.Caller.Region, Audit: l.Caller.Audit,
		Arrived: t.offset(l.Arrived), Done: t.offset(l.Done), Version: l.Version, Check: l.Check, Width: l.Width,
		Queued: time.Duration(l.Queued), Attempt: l.Caller.Attempt, Abandoned: l.Abandoned,
	})
}

// OnInvalidated implements [targets.InvalidationReporter].
func (t *telemetry) OnInvalidated(f func(targets.Invalidated)) { t.onInvalidated = f }

func (t *telemetry) invalidated(i reference.Invalidated, tier, region, worker string) {
	if t.onInvalidated == nil {
		return
	}
	if k, ok := t.written.Load(i.Key); ok {
		t.onInvalidated(targets.Invalidated{Key: k.(targets.Key), Tier: tier, Region: region, Worker: worker,
			Version: i.Version, At: t.offset(t.now())})
	}
}

// remember gives the cache's key of a name, and notes which name it stands for.
func (t *telemetry) remember(n key.Name) string {
	for _, f := range t.families {
		if f.Schema.Family == n.Family {
			if k, err := f.Schema.Build(n); err == nil {
				t.written.Store(k, targets.Key(n))
				return k
			}
		}
	}
	return ""
}

// sealEvery is the time between two seals of the history while nothing is committed.
const sealEvery = 5 * time.Millisecond

// commits sends the history of a source, with seals, until ctx ends.
func (t *telemetry) commits(ctx context.Context, from *source.Model) <-chan targets.Commit {
	out := make(chan targets.Commit, 256)
	go func() {
		defer close(out)
		tick := time.NewTicker(sealEvery)
		defer tick.Stop()
		at := uint64(0)
		for {
			entries, now := from.Seal(at)
			for _, e := range entries {
				at = e.Index
				c := targets.Commit{Key: targets.Key(e.Name), Version: e.Version, Token: e.Token, Deleted: e.Deleted, At: t.offset(e.At)}
				select {
				case out <- c:
				case <-ctx.Done():
					return
				}
			}
			select {
			case out <- targets.Commit{At: t.offset(now)}:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
