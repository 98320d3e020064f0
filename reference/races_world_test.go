package reference

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// stop is a place where the next caller waits until the test lets it go on.
type stop struct {
	reached chan struct{} // closed when somebody is there
	on      chan error    // closed, or what he fails with
	queue   bool          // before a command only: he fails at once, and the command is under way in the network
	land    func()        // then: lets it arrive
}

func (s *stop) await()         { <-s.reached }
func (s *stop) pass()          { close(s.on) }
func (s *stop) fail(err error) { s.on <- err; close(s.on) }

// stops are the places on the way to one tier and back.
type stops struct {
	mu sync.Mutex
	at map[string][]*stop // by "before load", "after store", ...
}

// place makes the next one stop who comes there.
func (s *stops) place(where string) *stop { return s.put(where, &stop{}) }

// queue keeps the next command of a kind in the network: who sent it hears nothing, until it lands.
func (s *stops) queue(what string) *stop { return s.put("before "+what, &stop{queue: true}) }

func (s *stops) put(where string, p *stop) *stop {
	p.reached, p.on = make(chan struct{}), make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string][]*stop{}
	}
	s.at[where] = append(s.at[where], p)
	return p
}

func (s *stops) next(where string) *stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.at[where]
	if len(all) == 0 {
		return nil
	}
	s.at[where] = all[1:]
	return all[0]
}

func (s *stops) visit(ctx context.Context, where string) error {
	p := s.next(where)
	if p == nil {
		return nil
	}
	close(p.reached)
	select {
	case err := <-p.on:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crossed does a step between its two stops.
func crossed[T any](ctx context.Context, s *stops, what string, do func(context.Context) (T, error)) (T, error) {
	var none T
	if p := s.next("before " + what); p != nil {
		if p.queue {
			p.land = func() { _, _ = do(context.WithoutCancel(ctx)) }
			close(p.reached)
			return none, errSilence
		}
		close(p.reached)
		select {
		case err := <-p.on:
			if err != nil {
				return none, err
			}
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	v, err := do(ctx)
	if stopped := s.visit(ctx, "after "+what); stopped != nil {
		return none, stopped
	}
	return v, err
}

// takenAway are the parts that a race does without; see raceParts.
type takenAway map[string]bool

// raceStore is one worker's way to Redis.
type raceStore struct {
	store.Store
	stops
	away takenAway
}

func (s *raceStore) Get(ctx context.Context, k string) (v []byte, ok bool, err error) {
	f, err := crossed(ctx, &s.stops, "get", func(ctx context.Context) (f found, err error) {
		f.value, f.ok, err = s.Store.Get(ctx, k)
		return f, err
	})
	return f.value, f.ok, err
}

func (s *raceStore) Set(ctx context.Context, k string, v []byte, ttl time.Duration) error {
	_, err := crossed(ctx, &s.stops, "store", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Store.Set(ctx, k, v, ttl) })
	return err
}

var raceCommands = map[*store.Script]string{
	l2.StoreScript: "store", l2.LeaseScript: "fill-lease", l2.ReleaseScript: "release", l2.SupersedeScript: "supersede", bus.HeartbeatScript: "beat",
}

func (s *raceStore) Run(ctx context.Context, sent *store.Script, keys []string, args ...string) ([]string, error) {
	return crossed(ctx, &s.stops, raceCommands[sent], func(ctx context.Context) ([]string, error) {
		switch {
		case sent == l2.StoreScript:
			out, err := s.Store.Run(ctx, storeWithout(s.away), keys, args...)
			if s.away["refusal-heeded"] && err == nil {
				out = script.Done
			}
			return out, err
		case sent == l2.ReleaseScript && s.away["own-release"]:
			return script.Done, s.Store.Delete(ctx, keys...)
		case sent == l2.LeaseScript && s.away["lease-outlives-load"]:
			args[1] = script.Millis(30 * time.Millisecond)
		case sent == l2.SupersedeScript && s.away["one-step"] && args[2] != "":
			if _, err := s.Store.Run(ctx, sent, []string{"nothing", "no lease", keys[2], keys[3]}, args...); err != nil {
				return nil, err
			}
			if err := s.visit(ctx, "published"); err != nil {
				return nil, err
			}
			args[2] = "" // publishes nothing
		case sent == l2.SupersedeScript && s.away["lease-void"]:
			lease, leased, err := s.Store.Get(ctx, keys[1])
			if err != nil || !leased {
				break
			}
			out, err := s.Store.Run(ctx, sent, keys, args...)
			return out, errors.Join(err, s.Store.Set(ctx, keys[1], lease, leaseTTL))
		}
		return s.Store.Run(ctx, sent, keys, args...)
	})
}

// storeWithout is the script that stores a fill, without some of what it looks at.
func storeWithout(away takenAway) *store.Script {
	if !away["token-compare"] && !away["version-compare"] {
		return l2.StoreScript
	}
	return store.NewScript("", func(tx *store.Tx, keys, args []string) []string {
		if args[2] != "" {
			if have, ok := tx.Get(keys[1]); !away["token-compare"] && (!ok || have != args[2]) {
				return script.Refused
			}
			tx.Delete(keys[1])
		}
		if have, ok := tx.Get(keys[0]); ok && !away["version-compare"] && entry.Ours(have, entry.HeadFresh) && have[entry.HeadVersion:entry.HeadT0] > args[0][entry.HeadVersion:entry.HeadT0] {
			return script.Refused
		}
		tx.Set(keys[0], args[0], script.ParseMillis(args[1]))
		return script.Done
	})
}

// sourceRead is a read at a source: of a value, or of a version.
type sourceRead func(context.Context, key.Name, source.Caller) (source.Record, error)

// raceSource is one worker's way to the source.
type raceSource struct {
	*source.Model
	stops
	away  takenAway
	loads *atomic.Int64 // of all workers

	mu     sync.Mutex
	flying map[string]*asked
}

type asked struct {
	over chan struct{}
	rec  source.Record
	err  error
}

func (s *raceSource) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	s.loads.Add(1)
	return s.ask(ctx, "load", n, by, s.Model.Load)
}

func (s *raceSource) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return s.ask(ctx, "version", n, by, s.Model.Version)
}

func (s *raceSource) ask(ctx context.Context, what string, n key.Name, by source.Caller, read sourceRead) (source.Record, error) {
	if !s.away["later-rounds"] {
		return s.read(ctx, what, n, by, read)
	}
	// Each caller joins the read that is under way, whenever that began.
	name := fmt.Sprint(what, n)
	s.mu.Lock()
	a := s.flying[name]
	if lead := a == nil; lead {
		a = &asked{over: make(chan struct{})}
		s.flying[name] = a
		s.mu.Unlock()
		a.rec, a.err = s.read(ctx, what, n, by, read)
		s.mu.Lock()
		delete(s.flying, name)
		close(a.over)
	}
	s.mu.Unlock()
	<-a.over
	return a.rec, a.err
}

func (s *raceSource) read(ctx context.Context, what string, n key.Name, by source.Caller, read sourceRead) (source.Record, error) {
	rec, err := crossed(ctx, &s.stops, what, func(ctx context.Context) (source.Record, error) { return read(ctx, n, by) })
	if s.away["version-with-value"] && what == "load" && err == nil {
		rec.Version = s.Model.Peek(n).Version
	}
	if s.away["fence-seen"] {
		rec.Fenced = false
	}
	return rec, err
}

func (s *raceSource) Store(ctx context.Context, n key.Name, v []byte, token string, by source.Caller) (source.Record, error) {
	return crossed(ctx, &s.stops, "commit", func(ctx context.Context) (source.Record, error) {
		rec, err := s.Model.Store(ctx, n, v, token, by)
		if s.away["fence-id"] && errors.Is(err, source.ErrFenced) {
			by.Fence = ""
			return s.Model.Store(ctx, n, v, token, by)
		}
		return rec, err
	})
}

// ears is the wire between a worker and Redis.
type ears struct{ deaf atomic.Bool }

func (e *ears) Carry(ctx context.Context) error { return ctx.Err() }
func (e *ears) Hears(any) bool                  { return !e.deaf.Load() }

// The families of the races. Nothing but what is heard ends a copy of a lasting one soon.
var (
	raceLasting = Family{Schema: key.Schema{Family: "lasting", Version: 1}, Contract: policy.Family{Class: policy.Eventual, TTL: time.Hour}}
	raceSoon    = Family{Schema: key.Schema{Family: "soon", Version: 1},
		Contract: policy.Family{Class: policy.Bounded, Within: 100 * time.Millisecond, TTL: 100 * time.Millisecond}}
	raceStrong = Family{Schema: key.Schema{Family: "strong", Version: 1}, Contract: policy.Family{Class: policy.Strong, TTL: time.Hour}}
	raceLeased = Family{Schema: key.Schema{Family: "leased", Version: 1},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Hour, ReadLease: 100 * time.Millisecond}}
	raceWritten = Family{Schema: key.Schema{Family: "written", Version: 1}, Contract: policy.Family{Class: policy.Eventual, TTL: time.Hour, Writes: policy.Through}}
	raceHeld    = Family{Schema: key.Schema{Family: "held", Version: 1},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Hour, ReadLease: 100 * time.Millisecond, Writes: policy.Through}}
	raceFamilies = []Family{raceLasting, raceSoon, raceStrong, raceLeased, raceWritten, raceHeld}

	lasting = key.Name{Family: "lasting", ID: "1"}
	soon    = key.Name{Family: "soon", ID: "1"}
	strong  = key.Name{Family: "strong", ID: "1"}
	leased  = key.Name{Family: "leased", ID: "1"}
	created = key.Name{Family: "lasting", ID: "created"}
	written = key.Name{Family: "written", ID: "1"}
	held1   = key.Name{Family: "held", ID: "1"}
)

// raceWorld is a region of three workers, its Redis and its relay, in virtual time: nothing happens
// by itself, and everybody can be stopped at every step. Version k of a name has the value "vk".
type raceWorld struct {
	t       *testing.T
	away    takenAway
	policy  policy.Policy
	model   *source.Model
	loads   atomic.Int64
	redis   *store.Memory
	direct  store.Store
	workers []*raceWorker
	relay   *Invalidator
	bus     *raceStore
}

type raceWorker struct {
	*Cache
	redis  *raceStore
	source *raceSource
	ears   *ears
}

func newRaceWorld(t *testing.T, names ...string) *raceWorld {
	w := &raceWorld{t: t, away: takenAway{}, policy: policy.Recommended(), redis: store.NewMemory()}
	for _, name := range names {
		if isPart(name) {
			w.away[name] = true
		} else {
			w.without(name)
		}
	}
	if w.away["later-rounds"] { // who joins is decided at the source instead
		w.without("single-flight")
	}
	start := time.Now()
	var err error
	w.model, err = source.NewModel(source.ModelConfig{Servers: 100, Now: func() int64 { return base + int64(time.Since(start)) }})
	require.NoError(t, err)
	t.Cleanup(w.model.Close)
	for _, n := range []key.Name{lasting, soon, strong, leased, written, held1} {
		w.model.Seed(n, []byte("v1"), "s")
	}
	w.direct = w.redis.Client(straight{}, store.Patience{})
	for range 3 {
		k := &raceWorker{ears: &ears{}}
		k.redis = &raceStore{Store: w.redis.Client(k.ears, store.Patience{}), away: w.away}
		k.source = &raceSource{Model: w.model, away: w.away, loads: &w.loads, flying: map[string]*asked{}}
		k.Cache, err = New(t.Context(), Config{Region: "eu", Policy: w.policy, Families: raceFamilies, Source: k.source, Shared: k.redis,
			Clock: func() time.Duration { return time.Since(start) + time.Hour }})
		require.NoError(t, err)
		t.Cleanup(k.Close)
		w.workers = append(w.workers, k)
	}
	w.bus = &raceStore{Store: w.redis.Client(straight{}, store.Patience{}), away: w.away}
	w.relay = NewInvalidator(w.policy, raceFamilies, w.bus)
	w.beat()
	return w
}

func (w *raceWorld) without(control string) {
	var err error
	w.policy, err = w.policy.Without(control)
	require.NoError(w.t, err)
}

// settle lets everybody go on until each waits for something that only the test does.
func (w *raceWorld) settle() { synctest.Wait() }

type raceAnswer struct {
	Answer
	err error
}

// get reads at a worker.
func (w *raceWorld) get(worker int, n key.Name) Answer {
	a, err := w.workers[worker].Get(w.t.Context(), n)
	require.NoError(w.t, err)
	return a
}

func (w *raceWorld) goGet(worker int, n key.Name) <-chan raceAnswer {
	out := make(chan raceAnswer, 1)
	go func() {
		a, err := w.workers[worker].Get(w.t.Context(), n)
		out <- raceAnswer{a, err}
	}()
	return out
}

// slowGet begins a read that misses, and whose load has read at the source when this returns, but
// not yet answered.
func (w *raceWorld) slowGet(worker int, n key.Name) (*stop, <-chan raceAnswer) {
	s := w.workers[worker].source.place("after load")
	out := w.goGet(worker, n)
	s.await()
	return s, out
}

// finish lets a slow load end, and gives its reader's answer.
func (w *raceWorld) finish(s *stop, out <-chan raceAnswer) Answer {
	s.pass()
	a := <-out
	require.NoError(w.t, a.err)
	w.settle()
	return a.Answer
}

// put writes the next version at a worker.
func (w *raceWorld) put(worker int, n key.Name) {
	_, err := w.write(worker, n)
	require.NoError(w.t, err)
}

func (w *raceWorld) write(worker int, n key.Name) (source.Record, error) {
	return w.workers[worker].Put(w.t.Context(), n, w.nextValue(n), "w")
}

func (w *raceWorld) goPut(worker int, n key.Name) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := w.write(worker, n)
		out <- err
	}()
	return out
}

// slowPut begins a write-through that has committed when this returns, and not yet left its value
// in Redis.
func (w *raceWorld) slowPut(worker int, n key.Name) (*stop, <-chan error) {
	s := w.workers[worker].redis.place("before store")
	acked := w.goPut(worker, n)
	s.await()
	return s, acked
}

// landed lets a slow write-through end.
func (w *raceWorld) landed(s *stop, acked <-chan error) {
	s.pass()
	require.NoError(w.t, <-acked)
	w.settle()
}

func (w *raceWorld) nextValue(n key.Name) []byte { return []byte(fmt.Sprint("v", w.version(n)+1)) }

// version is the one that is current.
func (w *raceWorld) version(n key.Name) uint64 { return w.model.Peek(n).Version }

// commit writes the next version somewhere else: in another region.
func (w *raceWorld) commit(n key.Name) { w.model.Seed(n, w.nextValue(n), "w") }

// event has the relay tell the region of the current version; everybody who can hear has heard it
// after that.
func (w *raceWorld) event(n key.Name) {
	require.NoError(w.t, w.apply(n))
	w.settle()
}

func (w *raceWorld) apply(n key.Name) error {
	now := w.model.Peek(n)
	return w.relay.Apply(w.t.Context(), n, now.Version, now.T0)
}

// beat has the relay tell how many events there were.
func (w *raceWorld) beat() {
	bus.Heartbeat(w.t.Context(), w.bus, redisTimeout)
	w.settle()
}

func (w *raceWorld) keyOf(n key.Name) string {
	o, err := w.workers[0].op(n)
	require.NoError(w.t, err)
	return o.key
}

// evict takes what there is of a name out of Redis.
func (w *raceWorld) evict(n key.Name) { w.redis.Expire(w.keyOf(n)) }

// restart starts Redis anew, and empty.
func (w *raceWorld) restart() { w.redis.Stop(); w.redis.Start() }

// inRedis is what Redis has of a name.
func (w *raceWorld) inRedis(n key.Name) policy.Meta {
	raw, ok, err := w.direct.Get(w.t.Context(), w.keyOf(n))
	require.NoError(w.t, err)
	if !ok {
		return policy.Meta{}
	}
	e, err := entry.Decode(raw)
	require.NoError(w.t, err)
	return e.Meta
}

// inMemory is what a worker has of a name.
func (w *raceWorld) inMemory(worker int, n key.Name) policy.Meta {
	held, ok := w.workers[worker].l1.Get(w.keyOf(n))
	if !ok {
		return policy.Meta{}
	}
	return held.Meta
}

// stamp changes what a worker has of a name, as a cache would have made it without a part.
func (w *raceWorld) stamp(part string, worker int, n key.Name, change func(*Cache, *l1.Copy)) {
	if !w.away[part] {
		return
	}
	c := w.workers[worker].Cache
	held, ok := c.l1.Get(w.keyOf(n))
	if !ok {
		return
	}
	fresh := &l1.Copy{Entry: held.Entry, Name: held.Name, Gaps: held.Gaps, Asked: held.Asked}
	change(c, fresh)
	c.l1.Replace(w.keyOf(n), fresh)
}

// stale says whether a worker answers, after everybody has heard everything, with another version
// than the current one, or with a value that is not that version's.
func (w *raceWorld) stale(n key.Name) bool {
	w.settle()
	broke := false
	for i := range w.workers {
		a := w.get(i, n)
		broke = broke || a.Version != w.version(n) || w.torn(a)
	}
	return broke
}

// torn says whether an answer's value is not that of its version.
func (w *raceWorld) torn(a Answer) bool {
	return !a.Absent && string(a.Value) != fmt.Sprint("v", a.Version)
}

// purge has an operator purge a family.
func (w *raceWorld) purge(family string) {
	audit, err := purge.OpenAudit(filepath.Join(w.t.TempDir(), "purges.jsonl"))
	require.NoError(w.t, err)
	defer audit.Close()
	p, err := purge.New(purge.Config{Region: "eu", Policy: w.policy, Families: PurgeFamilies(raceFamilies), Shared: w.bus, Audit: audit})
	require.NoError(w.t, err)
	_, err = p.Purge(w.t.Context(), purge.Order{Selector: purge.Selector{Family: family}, Who: "ines", Why: "test"})
	require.NoError(w.t, err)
	w.settle()
	if w.away["purges-kept"] {
		for _, k := range w.workers {
			k.l1.ForgetPurges()
		}
	}
}
