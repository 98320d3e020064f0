package reference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

// weather is how a link behaves at a time. What is late lands whether or not its sender still
// waits.
type weather struct {
	lost  float64 // share of messages that never arrive, and as many replies
	twice float64 // share that arrive again, up to a second later
	late  float64 // share that take up to a second
	cut   bool
}

// link is a network link, or a client's many connections over one.
type link struct {
	mu  sync.Mutex
	rng *rand.Rand
	now weather
}

func (l *link) set(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = w
}

// fate is what becomes of one request and its reply.
type fate struct {
	lost, deaf         bool
	there, back, again time.Duration // again 0: once
}

func (l *link) fate() fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	upTo := func(d time.Duration) time.Duration { return time.Duration(l.rng.Int64N(int64(d))) + 1 }
	f := fate{there: upTo(400 * time.Microsecond), back: upTo(400 * time.Microsecond)}
	f.lost = l.now.cut || l.rng.Float64() < l.now.lost
	f.deaf = l.rng.Float64() < l.now.lost
	if l.rng.Float64() < l.now.late {
		f.there += upTo(time.Second)
	}
	if l.rng.Float64() < l.now.twice {
		f.again = upTo(time.Second)
	}
	return f
}

// pauser stops a process between its steps.
type pauser struct {
	mu sync.Mutex
	up chan struct{} // nil: it runs
}

func (p *pauser) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up == nil {
		p.up = make(chan struct{})
	}
}

func (p *pauser) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up != nil {
		close(p.up)
		p.up = nil
	}
}

func (p *pauser) pass() {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	if up != nil {
		<-up
	}
}

// way is how one process reaches one server.
type way struct {
	link     *link
	process  *pauser
	landing  *sync.WaitGroup // what is under way
	patience time.Duration
}

var errSilence = errors.New("no answer came")

// travel has step done at the other end, and gives its answer.
func travel[T any](ctx context.Context, w way, step func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	w.process.pass()
	defer w.process.pass()
	f := w.link.fate()
	answer := make(chan result, 1)
	if !f.lost {
		w.landing.Go(func() {
			time.Sleep(f.there)
			v, err := step()
			if !f.deaf {
				time.Sleep(f.back)
				answer <- result{v, err}
			}
			if f.again > 0 {
				time.Sleep(f.again)
				_, _ = step()
			}
		})
	}
	limit := time.NewTimer(w.patience)
	defer limit.Stop()
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case <-limit.C:
		return *new(T), errSilence
	}
}

// farStore is a store at the end of a way.
type farStore struct {
	store.Store
	way way
}

type found struct {
	value []byte
	ok    bool
}

func (s farStore) Get(ctx context.Context, k string) ([]byte, bool, error) {
	f, err := travel(ctx, s.way, func() (f found, err error) {
		f.value, f.ok, err = s.Store.Get(context.Background(), k)
		return f, err
	})
	return f.value, f.ok, err
}

func (s farStore) Set(ctx context.Context, k string, v []byte, ttl time.Duration) error {
	_, err := travel(ctx, s.way, func() (struct{}, error) { return struct{}{}, s.Store.Set(context.Background(), k, v, ttl) })
	return err
}

func (s farStore) Delete(ctx context.Context, keys ...string) error {
	_, err := travel(ctx, s.way, func() (struct{}, error) { return struct{}{}, s.Store.Delete(context.Background(), keys...) })
	return err
}

func (s farStore) Run(ctx context.Context, script *store.Script, keys []string, args ...string) ([]string, error) {
	return travel(ctx, s.way, func() ([]string, error) { return s.Store.Run(context.Background(), script, keys, args...) })
}

func (s farStore) Identity(ctx context.Context) (string, error) {
	return travel(ctx, s.way, func() (string, error) { return s.Store.Identity(context.Background()) })
}

// Subscribe gives a listener whose messages come in order, if they come.
func (s farStore) Subscribe(ctx context.Context, channel string) (store.Subscription, error) {
	sub, err := s.Store.Subscribe(ctx, channel)
	if err != nil {
		return nil, err
	}
	far := &farSubscription{Subscription: sub, out: make(chan string, 4096), over: make(chan struct{})}
	go func() {
		defer close(far.over)
		defer close(far.out)
		for m := range sub.Messages() {
			f := s.way.link.fate()
			if f.lost {
				continue
			}
			time.Sleep(f.there)
			s.way.process.pass()
			far.out <- m
		}
	}()
	return far, nil
}

type farSubscription struct {
	store.Subscription
	out  chan string
	over chan struct{}
}

func (s *farSubscription) Messages() <-chan string { return s.out }

func (s *farSubscription) Close() error {
	err := s.Subscription.Close()
	<-s.over
	return err
}

// farSource is the source at the end of a way. What fails on the way fails without saying whether
// it had an effect.
type farSource struct {
	*source.Model
	way way
}

func (s farSource) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return travel(ctx, s.way, func() (source.Record, error) { return s.Model.Load(context.Background(), n, by) })
}

func (s farSource) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return travel(ctx, s.way, func() (source.Record, error) { return s.Model.Version(context.Background(), n, by) })
}

// once makes a change that the network repeats only once: sources know a change by its token.
func once[T any](step func() (T, error)) func() (T, error) {
	return sync.OnceValues(step)
}

func (s farSource) Store(ctx context.Context, n key.Name, v []byte, token string, by source.Caller) (source.Record, error) {
	return travel(ctx, s.way, once(func() (source.Record, error) { return s.Model.Store(context.Background(), n, v, token, by) }))
}

func (s farSource) Delete(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return travel(ctx, s.way, once(func() (source.Record, error) { return s.Model.Delete(context.Background(), n, by) }))
}

func (s farSource) Fence(ctx context.Context, n key.Name, fence string, take bool, by source.Caller) error {
	_, err := travel(ctx, s.way, func() (struct{}, error) {
		return struct{}{}, s.Model.Fence(context.Background(), n, fence, take, by)
	})
	return err
}

func (s farSource) Own(_ context.Context, realm, owner string, take bool) error {
	return s.Model.Own(context.Background(), realm, owner, take)
}

func (s farSource) Apply(ctx context.Context, c source.Change, by source.Caller) (bool, error) {
	return travel(ctx, s.way, func() (bool, error) { return s.Model.Apply(context.Background(), c, by) })
}

// farWriter is the owner of what is written behind, at the end of a way.
type farWriter struct {
	owner func() *writebehind.Writer
	way   way
}

func (f farWriter) Put(ctx context.Context, n key.Name, v []byte, token string) (source.Record, error) {
	return travel(ctx, f.way, once(func() (source.Record, error) { return f.owner().Put(context.Background(), n, v, token) }))
}

func (f farWriter) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return travel(ctx, f.way, once(func() (source.Record, error) { return f.owner().Delete(context.Background(), n) }))
}

// farPeer is another region's relay at the end of a way.
type farPeer struct {
	relay func() *invalidation.Relay
	way   way
}

type pulled struct {
	next   uint64
	events []invalidation.Event
}

func (p farPeer) Close() {}

func (p farPeer) Pull(ctx context.Context, after uint64) (uint64, []invalidation.Event, error) {
	got, err := travel(ctx, p.way, func() (r pulled, err error) {
		own, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		r.next, r.events, err = p.relay().Pull(own, after)
		return r, err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("asking a peer: %w", err)
	}
	return got.next, got.events, nil
}
