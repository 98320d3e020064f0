package drill

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/targets"
)

// history hands the source's commits to the judge.
type history struct {
	known    bool // the target has one
	judge    *oracle.Judge
	recorder *measure.Recorder
	sealed   atomic.Int64 // the offset up to which every commit is known
}

// follow returns when the commits end, as they do when the context that they were asked with ends.
func (h *history) follow(_ context.Context, commits <-chan targets.Commit) {
	for c := range commits {
		h.judge.Commit(c)
		h.recorder.Commit(c)
		if c.Version == 0 {
			h.sealed.Store(int64(c.At))
		}
	}
}

// await waits until the judge knows the history up to an offset.
func (h *history) await(ctx context.Context, at time.Duration) error {
	if !h.known {
		return nil
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Duration(h.sealed.Load()) < at {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
