package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/targets"
)

// Bounds of the audit. Its reads are paced by their number in flight, not by a schedule: nobody waits
// for them.
const (
	auditReaders = 32
	settleLimit  = 5 * time.Second

	auditPatience = 5 * time.Second // at least, of one read
	auditTries    = 5
	auditHopeless = auditReaders // reads without an answer, and none with one, after which no more are asked for
)

// settler is a target that can say when what was written has reached everybody.
type settler interface {
	Settle(ctx context.Context) error
}

// purger is a target whose caches can be told to drop keys.
type purger interface {
	Purge(ctx context.Context, keys []targets.Key) error
}

// writtenKeys remembers which keys were written to or deleted.
type writtenKeys struct {
	mu   sync.Mutex
	keys map[targets.Key]bool
}

func (w *writtenKeys) add(k targets.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[k] = true
}

// audit reads every written or deleted key at every instance of the target, when no more writes come and everything
// has settled. unread says in words what got no answer; "" when everything did.
func (d *drill) audit(ctx context.Context) (unread string, err error) {
	target := d.target
	if s, ok := target.(settler); ok {
		sctx, cancel := context.WithTimeout(ctx, settleLimit)
		_ = s.Settle(sctx) // a target that does not settle is audited as it is: its promises hold at all times
		cancel()
	}
	if p, ok := d.env.Service.(purger); ok { // so that what is read then comes from the source
		if err := p.Purge(ctx, slices.Collect(maps.Keys(d.written.keys))); err != nil && ctx.Err() == nil {
			d.notes = append(d.notes, "before the audit: "+err.Error())
		}
	}
	instances := []string{""}
	if t, ok := target.(targets.Instanced); ok {
		instances = t.Instances()
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(auditReaders)
	seq := d.planned // the first number that is no operation of the workload
	asked, missed, answered := len(d.written.keys)*len(instances), atomic.Int64{}, atomic.Int64{}
	for k := range d.written.keys {
		for _, instance := range instances {
			r := targets.Request{Seq: seq, Kind: targets.Read, Key: k, Instance: instance}
			seq++
			g.Go(func() error {
				switch {
				case gctx.Err() != nil:
				case answered.Load() == 0 && missed.Load() >= auditHopeless:
					missed.Add(1) // nobody is there
				case d.auditRead(gctx, d.asked, r) != nil:
					missed.Add(1)
				default:
					answered.Add(1)
				}
				return gctx.Err()
			})
		}
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	if n := missed.Load(); n > 0 {
		unread = fmt.Sprintf("%d of %d audit reads got no answer", n, asked)
	}
	return unread, nil
}

func (d *drill) auditRead(ctx context.Context, target targets.Target, r targets.Request) error {
	began := time.Now()
	for try := 1; ; try++ { // a read may be asked for again: nobody waits for it
		err := d.auditOnce(ctx, target, r)
		if err == nil || try == auditTries || ctx.Err() != nil || time.Since(began) > 2*auditPatience {
			return err
		}
	}
}

func (d *drill) auditOnce(ctx context.Context, target targets.Target, r targets.Request) error {
	op := targets.Operation{Request: r}
	op.Sent = time.Since(d.epoch)
	op.Due = op.Sent
	d.judge.Begin(op)
	own, cancel := context.WithTimeout(ctx, max(auditPatience, d.sc.Workload.Timeout))
	defer cancel()
	op.Reply, op.Err = target.Do(own, r)
	op.Returned = time.Since(d.epoch)
	if op.Err != nil {
		op.Outcome = targets.Failed
	}
	d.judge.End(op)
	return op.Err
}
