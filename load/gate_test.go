package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// The gate alone, event by event.
func TestGate(t *testing.T) {
	key := targets.Key{Family: "f", ID: "1"}
	write := func(seq uint64) targets.Request {
		return targets.Request{Seq: seq, Kind: targets.Write, Key: key, Token: targets.NewToken("run", seq, key)}
	}
	remove := targets.Request{Seq: 9, Kind: targets.Delete, Key: key}
	type step struct {
		enter targets.Request
		burst uint64
		want  reason
		leave targets.Operation
	}
	enter := func(r targets.Request, burst uint64, want reason) step {
		return step{enter: r, burst: burst, want: want}
	}
	leave := func(r targets.Request, o targets.Outcome) step {
		return step{leave: targets.Operation{Request: r, Outcome: o}}
	}
	shows := func(token string) step {
		return step{leave: targets.Operation{Request: targets.Request{Kind: targets.Read, Key: key}, Reply: targets.Reply{Token: token}}}
	}
	foreign := targets.NewToken("other", 1, key)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"one at a time", []step{
			enter(write(1), 0, goes), enter(write(2), 0, busy), enter(remove, 0, busy), leave(write(1), targets.OK),
			enter(remove, 0, goes), enter(write(3), 0, busy), leave(remove, targets.Failed), enter(write(4), 0, goes),
		}},
		{"unknown freezes until it is seen", []step{
			enter(write(1), 0, goes), leave(write(1), targets.Unknown), enter(write(2), 0, frozen),
			shows(targets.NewToken("run", 2, key)), shows(foreign), shows(""), enter(write(3), 0, frozen),
			shows(write(1).Token), enter(write(4), 0, goes),
		}},
		{"accepted freezes until it is seen", []step{
			enter(write(1), 0, goes), leave(write(1), targets.Accepted), shows(""), enter(write(2), 0, frozen),
			shows(write(1).Token), enter(write(4), 0, goes),
		}},
		{"an accepted delete freezes for good", []step{
			enter(remove, 0, goes), leave(remove, targets.Accepted), shows(""), enter(write(1), 0, frozen),
		}},
		{"seen while in flight", []step{
			enter(write(1), 0, goes), shows(write(1).Token), leave(write(1), targets.Unknown), enter(write(2), 0, goes),
		}},
		{"a foreign token of the same number proves nothing", []step{
			enter(write(1), 0, goes), shows(foreign), leave(write(1), targets.Unknown), enter(write(2), 0, frozen),
		}},
		{"an unknown delete freezes for good", []step{
			enter(remove, 0, goes), leave(remove, targets.Unknown), shows(""), shows(write(1).Token), enter(write(1), 0, frozen),
		}},
		{"a burst passes", []step{
			enter(write(1), 2, goes), enter(write(2), 2, goes), enter(write(4), 0, busy), enter(write(5), 6, busy), leave(write(2), targets.OK),
			enter(write(3), 2, goes), leave(write(1), targets.OK), enter(write(7), 0, busy), leave(write(3), targets.OK), enter(write(8), 0, goes),
		}},
		{"a burst does not wait", []step{
			enter(write(1), 0, goes), enter(write(2), 3, busy), enter(write(3), 3, busy), leave(write(1), targets.Unknown),
			enter(write(4), 3, frozen),
		}},
		{"each unknown write of a burst must be seen", []step{
			enter(write(1), 2, goes), enter(write(2), 2, goes), leave(write(1), targets.Unknown), leave(write(2), targets.Unknown),
			shows(write(2).Token), enter(write(3), 0, frozen), shows(write(1).Token), enter(write(4), 0, goes),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate()
			for i, s := range c.steps {
				if s.enter.Kind.Changes() {
					require.Equal(t, s.want, g.enter(&s.enter, s.burst), "step %d", i)
				} else {
					g.leave(&s.leave)
				}
			}
		})
	}
}

// Keys at rest take no memory.
func TestGateForgets(t *testing.T) {
	g := newGate()
	for n := range uint64(100) {
		r := targets.Request{Seq: n, Kind: targets.Write, Token: "x", Key: targets.Key{ID: fmt.Sprint(n)}}
		require.Equal(t, goes, g.enter(&r, 0))
		require.Len(t, g.lanes, 1)
		g.leave(&targets.Operation{Request: r})
	}
	require.Empty(t, g.lanes)
}

// register is a target that answers late, times out, refuses, and applies lost writes late or
// never.
type register struct {
	mu     sync.Mutex
	rand   *rand.Rand
	values map[targets.Key]string
}

func (*register) Close() error { return nil }

func (r *register) draw() (wait time.Duration, fate float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.rand.ExpFloat64() * float64(4*ms)), r.rand.Float64()
}

func (r *register) set(q targets.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[q.Key] = q.Token
}

func (r *register) Do(_ context.Context, q targets.Request) (targets.Reply, error) {
	wait, fate := r.draw()
	time.Sleep(wait)
	switch {
	case !q.Kind.Changes():
		r.mu.Lock()
		defer r.mu.Unlock()
		token := r.values[q.Key]
		return targets.Reply{Token: token, Absent: token == ""}, nil
	case fate < 0.05:
		return targets.Reply{}, errors.New("lost before it took effect")
	case fate < 0.10:
		time.AfterFunc(20*ms, func() { r.set(q) })
		return targets.Reply{}, errors.New("lost, and takes effect later")
	case fate < 0.15:
		return targets.Reply{}, targets.ErrNotApplied
	}
	r.set(q)
	return targets.Reply{Token: q.Token}, nil
}

// watch checks from the outside what a gate promises, in the order in which the sink sees
// operations.
type watch struct {
	*record
	bursts func(seq uint64) uint64
	mu     sync.Mutex
	flying map[targets.Key][]targets.Operation
	doubt  map[targets.Key][]string
	reads  uint64
	raced  int // bursts' writes that did overlap
}

func (w *watch) Begin(op targets.Operation) {
	w.record.Begin(op)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !op.Kind.Changes() {
		w.reads++
		return
	}
	for _, o := range w.flying[op.Key] {
		if b := w.bursts(op.Seq); b == 0 || b != w.bursts(o.Seq) {
			w.t.Errorf("%v of %v, operation %d, began while operation %d was in flight", op.Kind, op.Key, op.Seq, o.Seq)
		}
		w.raced++
	}
	if d := w.doubt[op.Key]; len(d) > 0 {
		w.t.Errorf("operation %d began while %q was in doubt", op.Seq, d)
	}
	w.flying[op.Key] = append(w.flying[op.Key], op)
}

func (w *watch) End(op targets.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.End(op)
	if !op.Kind.Changes() {
		w.doubt[op.Key] = slices.DeleteFunc(w.doubt[op.Key], func(token string) bool { return token != "" && token == op.Reply.Token })
		return
	}
	w.flying[op.Key] = slices.DeleteFunc(w.flying[op.Key], func(o targets.Operation) bool { return o.Seq == op.Seq })
	if op.Outcome == targets.Unknown {
		w.doubt[op.Key] = append(w.doubt[op.Key], op.Token)
	}
}

func burstOf(p plan) func(uint64) uint64 {
	return func(n uint64) uint64 {
		_, burst, _ := p.operation(n)
		return burst
	}
}

func TestGatedAttack(t *testing.T) {
	var all Sent
	raced := 0
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			a := Attack{
				Target: &register{rand: rand.New(rand.NewPCG(seed, 1)), values: map[targets.Key]string{}},
				Generator: generator(t, Workload{Seed: seed, Run: "run", Mixes: []Mix{
					{Family: "f", Share: 0.7, Keys: 40, Zipf: 1, Writes: 0.3, Deletes: 0.05},
					{Family: "g", Share: 0.3, Keys: 5, Writes: 0.2},
				}}),
				Schedule: constant(t, 2000, time.Second), MaxWorkers: seed % 3 * 5, Gate: true, Sleep: time.Sleep,
				Bursts: Bursts{Every: 100 * ms, Size: 2 + int(seed%2), Quiet: 40 * ms},
			}
			p := a.plan()
			w := &watch{record: newRecord(t), bursts: burstOf(p), flying: map[targets.Key][]targets.Operation{}, doubt: map[targets.Key][]string{}}
			a.Sink = w
			sent, err := a.Run(t.Context())
			require.NoError(t, err, "seed %d", seed)
			w.whole()
			require.Len(t, w.ended, int(sent.Sent))
			require.Equal(t, sent.Planned, sent.Sent+sent.Withheld.Total(), "seed %d", seed)
			require.False(t, sent.Saturated, "seed %d: %s", seed, sent.Why)

			var reads, hushed uint64
			var d digest
			for n := range sent.Planned {
				planned, quiet := a.Operation(n)
				if !planned.Kind.Changes() {
					reads++
				}
				if quiet {
					hushed++
				}
				if op, ok := w.ended[n]; ok {
					require.False(t, quiet)
					require.Equal(t, planned.Request, op.Request)
					d.add(hashRequest(&op.Request))
					if a.MaxWorkers == 0 {
						require.Equal(t, op.Due, op.Sent, "seed %d: nothing is queued", seed)
					}
				}
			}
			require.Equal(t, reads, w.reads, "seed %d: reads always go", seed)
			require.Equal(t, hushed, sent.Withheld.Quiet, "seed %d", seed)
			require.Equal(t, d.String(), sent.Digest, "seed %d", seed)
			all.Withheld.Busy += sent.Withheld.Busy
			all.Withheld.Frozen += sent.Withheld.Frozen
			all.Withheld.Quiet += sent.Withheld.Quiet
			raced += w.raced
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	require.NotZero(t, all.Withheld.Busy)
	require.NotZero(t, all.Withheld.Frozen)
	require.NotZero(t, all.Withheld.Quiet)
	require.Greater(t, raced, 100, "bursts do collide")
	t.Logf("withheld %+v, raced %d", all.Withheld, raced)
}

// A gate that withholds nearly every write of a busy key: that isn't a generator which lags behind,
// nor are its workers busy in the target.
func TestWithheldIsNotLate(t *testing.T) {
	for _, workers := range []uint64{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			slow := does(func(ctx context.Context, r targets.Request) (targets.Reply, error) {
				time.Sleep(500 * ms)
				return targets.Reply{}, nil
			})
			s := constant(t, 1000, 5*time.Second)
			sent, err := Attack{
				Target: slow, Schedule: s, MaxWorkers: workers, Gate: true, Sleep: time.Sleep,
				Generator: generator(t, Workload{Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Writes: 1}}}),
			}.Run(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 10, sent.Sent)
			require.Equal(t, Withheld{Busy: 4990}, sent.Withheld)
			require.False(t, sent.Saturated, sent.Why)
			require.Zero(t, sent.Lateness.Max)
		})
	}
}

// A worker whose operation was withheld is free again: handing over to it is no wait for the
// target.
func TestWithheldFreesItsWorker(t *testing.T) {
	log := newSendLog(1, 0)
	log.offer(0, 0)
	log.withhold(busy)
	log.offer(1, 0)
	require.False(t, log.waits.open)
	log.offer(2, 0)
	require.True(t, log.waits.open)
}

// On a real clock, for the race detector.
func TestGateForReal(t *testing.T) {
	a := Attack{
		Target:    &register{rand: rand.New(rand.NewPCG(1, 1)), values: map[targets.Key]string{}},
		Generator: generator(t, Workload{Run: "run", Mixes: []Mix{{Family: "f", Share: 1, Keys: 10, Writes: 0.5, Deletes: 0.1}}}),
		Schedule:  constant(t, 5000, 300*ms), Gate: true, Bursts: Bursts{Every: 50 * ms, Size: 3, Quiet: 20 * ms},
	}
	p := a.plan()
	w := &watch{record: newRecord(t), bursts: burstOf(p), flying: map[targets.Key][]targets.Operation{}, doubt: map[targets.Key][]string{}}
	a.Sink = w
	sent, err := a.Run(t.Context())
	require.NoError(t, err)
	w.whole()
	require.Equal(t, sent.Planned, sent.Sent+sent.Withheld.Total())
	require.NotZero(t, sent.Withheld.Total())
}
