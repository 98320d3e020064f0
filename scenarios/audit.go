package scenarios

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/targets"
)

// Bounds of the audit. Its reads are paced by their number in flight, not by a schedule: nobody waits
// for them.
const (
	auditReaders = 32
	settleLimit  = 5 * time.Second
)

// settler is a target that can say when what was written has reached everybody.
type settler interface {
	Settle(ctx context.Context) error
}

// writtenKeys remembers which keys were written to.
type writtenKeys struct {
	mu   sync.Mutex
	keys map[targets.Key]bool
}

func (w *writtenKeys) add(k targets.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[k] = true
}

// audit reads every written key at every door of the target, when no more writes come and everything
// has settled. first is the number of the first operation that is not the workload's.
func audit(ctx context.Context, target targets.Target, keys map[targets.Key]bool, sink load.Sink, epoch time.Time, first uint64, patience time.Duration) error {
	if s, ok := target.(settler); ok {
		sctx, cancel := context.WithTimeout(ctx, settleLimit)
		_ = s.Settle(sctx) // a target that does not settle is audited as it is: its promises hold at all times
		cancel()
	}
	doors := []string{""}
	if d, ok := target.(targets.Doored); ok {
		doors = d.Doors()
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(auditReaders)
	seq := first
	for k := range keys {
		for _, door := range doors {
			r := targets.Request{Seq: seq, Kind: targets.Read, Key: k, Door: door}
			seq++
			g.Go(func() error {
				if gctx.Err() != nil {
					return gctx.Err()
				}
				auditRead(gctx, target, r, sink, epoch, patience)
				return nil
			})
		}
	}
	return g.Wait()
}

func auditRead(ctx context.Context, target targets.Target, r targets.Request, sink load.Sink, epoch time.Time, patience time.Duration) {
	op := targets.Operation{Request: r}
	op.Sent = time.Since(epoch)
	op.Due = op.Sent
	sink.Begin(op)
	own, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	op.Reply, op.Err = target.Do(own, r)
	op.Returned = time.Since(epoch)
	if op.Err != nil {
		op.Outcome = targets.Failed
	}
	sink.End(op)
}
