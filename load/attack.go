package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/cachedrill/cachedrill/targets"
)

// Sink sees every operation twice: Begin before the target is asked (Due and Sent are set), End
// after it answered (with reply, outcome and Returned). Both are called from many goroutines at
// once and hold the operation up while they run, so they must be quick. Every Begin gets its End.
type Sink interface {
	Begin(targets.Operation)
	End(targets.Operation)
}

// DefaultTimeout is how long an operation may take when an attack doesn't say.
const DefaultTimeout = 30 * time.Second

// Attack is one load on one target.
type Attack struct {
	Target    targets.Target
	Generator *Generator
	Schedule  Schedule

	// Start is offset 0 of all times, with a monotonic reading; the zero value means when Run is
	// called. Operations that are due before Run is called are late, and that is the generator's
	// lateness.
	Start time.Time

	// MaxWorkers bounds the operations in flight; 0 is no bound. At the bound operations wait, and
	// that wait counts in their latency.
	MaxWorkers uint64

	// Timeout ends an operation through its context; 0 is DefaultTimeout.
	Timeout time.Duration

	// JudgeFrom is the offset from which on the generator's own lateness counts: operations due
	// before it (the warmup) aren't judged.
	JudgeFrom time.Duration

	Sink Sink // may be nil

	// Gate sends one change (write or delete) at a time per key, as is needed where neither
	// versions nor a history tell their order. A change is withheld, which means neither sent nor
	// queued, while another one of its key is in flight, and while one whose outcome is unknown has
	// not been seen by a read. See [Withheld]. Reads always go.
	Gate bool

	Bursts Bursts // of concurrent writes, which the gate lets pass; the zero value is none

	// Sleep waits for a due time; nil is as precisely as the system can. In a bubble of
	// testing/synctest it is time.Sleep: the precise one waits in the kernel, where virtual time
	// does not reach.
	Sleep func(time.Duration)
}

// Sent is what an attack did.
type Sent struct {
	Planned uint64 // operations in the schedule
	Sent    uint64 // operations that the target was asked for

	// Withheld operations were due and deliberately not sent. Planned is Sent and Withheld
	// together, unless the attack ended early.
	Withheld Withheld

	// Digest is the same for the same operations sent, whatever their order, run or target: a hash
	// of number, kind, key, session and region of each, in hexadecimal. What the gate withholds
	// depends on the target, and so does the digest then.
	Digest string

	// Rate is Sent per second, from offset 0 until the schedule's end or the last operation,
	// whichever was later; of a cancelled attack until it ended.
	Rate float64

	// Lateness is the generator's own: for how long operations were due and not sent while workers
	// were free to send them. A wait for a target that keeps all workers busy isn't in it, nor is
	// catching up on the backlog of such a wait, until it has taken as long as the wait itself.
	Lateness struct{ P50, P99, Max time.Duration }
	Late     uint64 // operations whose own lateness exceeded MaxLateness, as Lateness from JudgeFrom on

	// Saturated: the generator couldn't keep the schedule (P99 of its lateness over MaxLateness, or
	// not all operations sent although it was not cancelled), so what it measured is no open load,
	// and proves nothing about the target. Why says it in words.
	Saturated bool
	Why       string
}

// Run attacks until every operation of the schedule has ended; it doesn't wait for silence at the
// schedule's end. When ctx ends, no more
// operations begin, those in flight are cancelled through their contexts, and once they have ended
// Run returns ctx's error with what was sent until then. It never retries.
//
// A panic of the target becomes the operation's error, a [PanicError]. A panic of the sink ends the
// attack and is returned as the error.
func (a Attack) Run(ctx context.Context) (Sent, error) {
	if a.Target == nil || a.Generator == nil {
		return Sent{}, errors.New("attack lacks a target or a generator")
	}
	if err := a.Bursts.check(a.Generator); err != nil {
		return Sent{}, fmt.Errorf("planning bursts: %w", err)
	}
	if a.Sink == nil {
		a.Sink = noSink{}
	}
	if a.Start.IsZero() {
		a.Start = time.Now()
	}
	if a.Timeout == 0 {
		a.Timeout = DefaultTimeout
	}
	grain := time.Duration(0)
	if a.Sleep == nil {
		a.Sleep, grain = sleepPrecisely, together
	}

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log := newSendLog(a.MaxWorkers, a.JudgeFrom)
	plan := a.plan()
	hits := &transport{Attack: a, plan: plan, ctx: inner, cancel: cancel, log: log}
	if a.Gate {
		hits.gate = newGate()
	}
	pace := &pacer{Attack: a, plan: plan, ctx: inner, log: log, grain: grain}

	workers := uint64(vegeta.DefaultWorkers)
	options := []func(*vegeta.Attacker){
		vegeta.Client(&http.Client{Transport: hits}),
		vegeta.MaxBody(0),
	}
	if a.MaxWorkers > 0 {
		workers = min(workers, a.MaxWorkers)
		options = append(options, vegeta.MaxWorkers(a.MaxWorkers))
	}
	attacker := vegeta.NewAttacker(append(options, vegeta.Workers(workers))...)

	// A cancelled attack needs no vegeta.Stop: operations in flight end, so their workers become
	// free, hits that they take up now aren't operated, and the pacer, which is reached then, says
	// stop.
	for range attacker.Attack(hit, pace, 0, "") {
		// vegeta's workers wait until their results are taken; ours went to the sink.
	}

	ended := time.Since(a.Start)
	var broken *PanicError
	switch {
	case errors.As(context.Cause(inner), &broken):
		return log.sum(a.Schedule, ended, true), fmt.Errorf("running the attack: %w", broken)
	case ctx.Err() != nil:
		return log.sum(a.Schedule, ended, true), ctx.Err()
	}
	return log.sum(a.Schedule, ended, false), nil
}

// hit is vegeta's target for every hit: what is asked for is made in the transport.
func hit(t *vegeta.Target) error {
	t.Method, t.URL = http.MethodGet, "http://x"
	return nil
}

type noSink struct{}

func (noSink) Begin(targets.Operation) {}
func (noSink) End(targets.Operation)   {}
