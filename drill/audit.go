package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/preflight"
	"github.com/cachedrill/cachedrill/internal/patience"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// Bounds of the audit. Its reads are paced by their number in flight, not by a schedule: no client
// waits for them.
const (
	auditReaders = 32
	settleLimit  = 5 * time.Second

	auditPatience = 5 * time.Second // at least, of one read
	auditTries    = 5

	steadyAtOnce = 2 * time.Second // for looks past the caches that were never seen to lag
	lookAgain    = 50 * time.Millisecond

	auditHopeless = auditReaders // reads without an answer, and none with one, after which no more are asked for
)

// audited is what came of the audit.
type audited struct {
	unread string // what got no answer, in words; "" when everything did
	notes  []string
}

// audit reads every written or deleted key at every instance of the target, when no more writes
// come and everything has settled.
func audit(ctx context.Context, p *plan, target environment.Target, habits preflight.Habits, seen *observer, epoch time.Time) (found audited, err error) {
	sctx, cancel := context.WithTimeout(ctx, settleLimit)
	_ = target.Settle(sctx) // a target that does not settle is audited as it is: its promises hold at all times
	cancel()
	keys := seen.written.keys
	if err := target.Purge(ctx, slices.Collect(maps.Keys(keys))); err != nil && ctx.Err() == nil { // so that what is read then comes from the source
		found.notes = append(found.notes, "before the audit: "+err.Error())
	}
	instances := target.Instances()
	pace := &patience.Pace{}
	if t, ok := p.scenario.Target.(*scenarios.HTTPTarget); ok {
		pace.Most = t.Service.Patience
	}
	r := auditor{pace: pace, target: target, judge: seen.judge, epoch: epoch, patience: max(auditPatience, p.scenario.Workload.Timeout)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(auditReaders)
	r.written, r.steadyBy = &seen.written, time.Now().Add(steadyWithin(habits))
	r.caughtUp = time.Now().Add(2 * habits.Lag())
	seq := p.schedule.Count() // the first number that is no operation of the workload
	asked, missed, answered := len(keys)*len(instances), atomic.Int64{}, atomic.Int64{}
	for k := range keys {
		for _, instance := range instances {
			if instance == targets.SourceInstance && habits.Blind(k.Family) {
				asked--
				continue
			}
			request := targets.Request{Seq: seq, Kind: targets.Read, Key: k, Instance: instance}
			seq++
			g.Go(func() error {
				switch {
				case gctx.Err() != nil:
				case answered.Load() == 0 && missed.Load() >= auditHopeless:
					missed.Add(1) // there is no answer to be had
				case r.read(gctx, request) != nil:
					missed.Add(1)
				default:
					answered.Add(1)
				}
				return gctx.Err()
			})
		}
	}
	if err := g.Wait(); err != nil {
		return found, err
	}
	if note := pace.Note("the audit"); note != "" {
		found.notes = append(found.notes, note)
	}
	if n := missed.Load(); n > 0 {
		found.unread = fmt.Sprintf("%d of %d audit reads got no answer", n, asked)
	}
	return found, nil
}

// auditor makes the reads of an audit.
type auditor struct {
	target   environment.Target
	judge    *oracle.Judge
	epoch    time.Time
	patience time.Duration // of one try
	pace     *patience.Pace
	written  *writtenKeys
	steadyBy time.Time // until when a look past the caches may lag behind acknowledgements
	caughtUp time.Time // when a copy that looks past the caches read has caught up, at the latest
}

// steadyWithin is how long looks past the caches may take to show what was acknowledged: a copy
// behind the source has lost nothing before it has caught up.
func steadyWithin(habits preflight.Habits) time.Duration {
	if lag := habits.Lag(); lag > 0 {
		return max(habits.Settle, 2*lag)
	}
	return min(habits.Settle, steadyAtOnce)
}

// await looks past the caches until they show the last change that was acknowledged, or until they
// have had the time for it. None of these looks is judged: the one that follows is.
func (a auditor) await(ctx context.Context, r targets.Request) {
	for {
		var reply targets.Reply
		err := a.pace.Do(ctx, func() (err error) {
			own, cancel := context.WithTimeout(ctx, a.patience)
			defer cancel()
			reply, err = a.target.Do(own, r)
			return err
		})
		if err == nil && a.written.shows(r.Key, reply) && !time.Now().Before(a.caughtUp) || ctx.Err() != nil || time.Now().After(a.steadyBy) {
			return
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
		}
	}
}

// read asks again when there is no answer: no client waits for it.
func (a auditor) read(ctx context.Context, r targets.Request) error {
	if r.Instance == targets.SourceInstance && time.Now().Before(a.steadyBy) {
		a.await(ctx, r)
	}
	began := time.Now()
	for try := 1; ; try++ {
		err := a.pace.Do(ctx, func() error { return a.once(ctx, r) })
		if err == nil || try == auditTries || ctx.Err() != nil || time.Since(began)-a.pace.Waited() > 2*auditPatience {
			return err
		}
	}
}

func (a auditor) once(ctx context.Context, r targets.Request) error {
	op := targets.Operation{Request: r}
	op.Sent = time.Since(a.epoch)
	op.Due = op.Sent
	a.judge.Begin(op)
	own, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	op.Reply, op.Err = a.target.Do(own, r)
	op.Returned = time.Since(a.epoch)
	if op.Err != nil {
		op.Outcome = targets.Failed
	}
	a.judge.End(op)
	return op.Err
}
