package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// PanicError is the error of an operation, or of an attack, that panicked.
type PanicError struct {
	Who   string // "target", "sink" or "generator"
	Seq   uint64 // the operation
	Value any    // what was thrown
	Stack []byte // of the goroutine that threw it
}

func (p *PanicError) Error() string {
	return fmt.Sprintf("%s panicked in operation %d: %v", p.Who, p.Seq, p.Value)
}

// transport is where vegeta's hits become operations: it is the http.RoundTripper of its client,
// and nothing of HTTP but vegeta's numbering of hits comes this far.
//
// Hit n is sent no earlier than operation n is due, though hits aren't tied to ticks of the pacer:
// vegeta numbers a hit when a worker takes it up, and when the number n is given, n+1 ticks have
// been.
type transport struct {
	Attack
	plan   plan
	gate   *gate // nil: everything goes
	ctx    context.Context
	cancel context.CancelCauseFunc
	log    *sendLog
}

// done answers every hit. It is shared: neither vegeta nor http.Client writes to a response that
// has a body.
var done = &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}

// RoundTrip runs one operation. It never fails towards vegeta, which would only make a string of
// it.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(r.Header["X-Vegeta-Seq"][0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the number of a hit: %w", err)
	}
	if t.ctx.Err() == nil {
		t.operate(seq)
	}
	return done, nil
}

func (t *transport) operate(seq uint64) {
	who := "generator"
	defer func() {
		if v := recover(); v != nil {
			t.cancel(&PanicError{Who: who, Seq: seq, Value: v, Stack: debug.Stack()})
		}
	}()
	op, burst, hush := t.plan.operation(seq)
	if hush {
		t.log.withhold(quiet)
		return
	}
	if why := t.gate.enter(&op.Request, burst); why != goes {
		t.log.withhold(why)
		return
	}
	hash := hashRequest(&op.Request)
	who = "sink"

	op.Sent = time.Since(t.Start)
	t.log.begin(hash, seq, op.Due, op.Sent)
	t.Sink.Begin(op)

	asked := time.Since(t.Start)
	t.log.asked(asked)
	op.Reply, op.Err = t.ask(op.Request)
	op.Returned = time.Since(t.Start)
	t.log.answered(op.Returned)

	op.Outcome = outcome(op.Kind, op.Reply, op.Err)
	t.Sink.End(op)
	t.gate.leave(&op) // after the sink, which thus sees changes of a key in order
}

// ask calls the target under the operation's deadline.
func (t *transport) ask(r targets.Request) (reply targets.Reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Who: "target", Seq: r.Seq, Value: v, Stack: debug.Stack()}
		}
	}()
	ctx, cancel := context.WithTimeout(t.ctx, t.Timeout)
	defer cancel()
	return t.Target.Do(ctx, r)
}

func outcome(kind targets.Kind, reply targets.Reply, err error) targets.Outcome {
	switch {
	case err == nil && kind.Changes() && reply.Accepted:
		return targets.Accepted
	case err == nil:
		return targets.OK
	case kind == targets.Read || errors.Is(err, targets.ErrNotApplied):
		return targets.Failed
	}
	return targets.Unknown
}
