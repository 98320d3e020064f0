package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

// A schedule is everything that happens in one small world: two regions of two workers, a few names
// of every class, a hundred operations in two seconds, and whatever can go wrong, all drawn from
// one seed.
const (
	chaosOps   = 120
	chaosTime  = 2 * time.Second
	chaosNames = 2  // of each family
	chaosFocus = 60 // per cent of the operations are on one name
)

type chaosWorker struct {
	pauser
	region *chaosRegion
	rate   float64
	redis  *link
	source *link

	mu    sync.Mutex
	cache *Cache
}

type chaosRegion struct {
	name    string
	redis   *store.Memory
	workers []*chaosWorker
	bus     *link // of the relay to Redis
	peers   *link // of the relay to the others

	mu       sync.Mutex
	relay    *invalidation.Relay
	relaying context.CancelFunc
	ended    chan struct{}
}

type chaos struct {
	seed     uint64
	policy   policy.Policy
	rng      *rand.Rand // of the plan, made before anything runs
	start    time.Time
	rate     float64 // of the source's clock
	model    *source.Model
	families []Family
	regions  []*chaosRegion
	landing  sync.WaitGroup
	disk     *journal.Memory
	patience time.Duration // of writers with each other
	owning   pauser        // the process that owns what is written behind
	ownerOn  *link         // from it to the source
	plan     []string      // what goes wrong, for people

	loaded sync.Map // loadedVersion: what any load has found

	mu     sync.Mutex
	owner  *writebehind.Writer
	reads  []chaosRead
	writes []chaosWrite
}

type loadedVersion struct {
	name    key.Name
	version uint64
}

type chaosRead struct {
	name       key.Name
	worker     string
	from, to   time.Duration
	answer     Answer
	afterwards bool // everything was healed, and had time
}

type chaosWrite struct {
	name     key.Name
	token    string
	from, to time.Duration
	version  uint64
}

// base keeps the source's clock away from 0.
const base = int64(24 * time.Hour)

// at gives the true time of a reading of the source's clock, within a nanosecond.
func (w *chaos) at(clock int64) time.Duration {
	return time.Duration(float64(clock-base) / (1 + w.rate))
}

func newChaos(t *testing.T, p policy.Policy, seed uint64) *chaos {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &chaos{seed: seed, policy: p, rng: rng, start: time.Now(), rate: (rng.Float64() - 0.5) * 0.8e-3}
	ms := func(least, most int) time.Duration {
		return time.Duration(least+rng.IntN(most-least+1)) * time.Millisecond
	}
	within := ms(40, 250)
	paths := rand.New(rand.NewPCG(seed, 7)) // a generator of its own: the rest of a schedule is the same on every path
	add := func(name string, c policy.Family) {
		if through := paths.IntN(2) == 0; through && c.Writes == policy.Aside {
			c.Writes = policy.Through
		}
		w.families = append(w.families, Family{Schema: key.Schema{Family: name, Version: 1}, Contract: c})
	}
	add("bounded", policy.Family{Class: policy.Bounded, Within: within, TTL: max(20*time.Millisecond, within*time.Duration(1+rng.IntN(10))/10)})
	add("strong", policy.Family{Class: policy.Strong, TTL: ms(50, 500)})
	add("leased", policy.Family{Class: policy.Strong, TTL: 500 * time.Millisecond, ReadLease: ms(10, 120)})
	add("eventual", policy.Family{Class: policy.Eventual, TTL: ms(50, 400)})
	add("behind", policy.Family{Class: policy.Eventual, TTL: ms(50, 400), Writes: policy.WriteBehind})
	add("lasting", policy.Family{Class: policy.Eventual, TTL: time.Hour}) // nothing but what is heard makes it converge
	var err error
	w.model, err = source.NewModel(source.ModelConfig{
		Servers: 50, ServiceTime: ms(1, 30) * time.Duration(1+rng.IntN(2)*4), WriteTime: ms(1, 10), Seed: seed,
		Now: func() int64 { return base + int64(float64(time.Since(w.start))*(1+w.rate)) },
		OnLoad: func(l source.Load) {
			if !l.Check {
				w.loaded.Store(loadedVersion{l.Name, l.Version}, true)
			}
		},
	})
	require.NoError(t, err)
	w.patience = ms(0, 100)
	w.disk, w.ownerOn = journal.NewMemory(), w.link()
	for _, name := range []string{"eu", "us"} {
		r := &chaosRegion{name: name, redis: store.NewMemory(), bus: w.link(), peers: w.link()}
		for range 2 {
			r.workers = append(r.workers, &chaosWorker{region: r, rate: (rng.Float64() - 0.5) * 0.8e-3, redis: w.link(), source: w.link()})
		}
		w.regions = append(w.regions, r)
	}
	return w
}

func (w *chaos) link() *link { return &link{rng: rand.New(rand.NewPCG(w.rng.Uint64(), 2))} }

func (w *chaos) direct(r *chaosRegion) store.Store {
	return r.redis.Client(straight{}, store.Patience{})
}

// begin starts a worker, with nothing in its memory.
func (w *chaos) begin(t *testing.T, c *chaosWorker) {
	cache, err := New(t.Context(), Config{
		WriteBehind: farWriter{w.ownerNow, way{c.source, &c.pauser, &w.landing, 10 * time.Second}},
		Region:      c.region.name, Policy: w.policy, Families: w.families, L1Size: 64,
		Source: farSource{w.model, way{c.source, &c.pauser, &w.landing, 10 * time.Second}},
		Shared: farStore{w.direct(c.region), way{c.redis, &c.pauser, &w.landing, redisTimeout}},
		Clock:  func() time.Duration { return time.Duration(float64(time.Since(w.start))*(1+c.rate)) + time.Hour },
	})
	if err != nil {
		t.Fatal(err)
	}
	cache.strong.fencePatience = w.patience
	c.mu.Lock()
	c.cache = cache
	c.mu.Unlock()
}

// own starts the process that owns what is written behind, with what its journal has.
func (w *chaos) own(t *testing.T) {
	b, err := writebehind.Open(t.Context(), writebehind.Config{Realm: "all", Files: w.disk, Region: "eu", Policy: w.policy,
		Source: farSource{w.model, way{w.ownerOn, &w.owning, &w.landing, 10 * time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.owner = b
	w.mu.Unlock()
}

func (w *chaos) ownerNow() *writebehind.Writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.owner
}

func (c *chaosWorker) now() *Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache
}

// relayOn starts a region's relay, which begins with the first commit there ever was.
func (w *chaos) relayOn(r *chaosRegion) {
	runs := &pauser{}
	into := NewInvalidator(w.policy, w.families, farStore{w.direct(r), way{r.bus, runs, &w.landing, redisTimeout}})
	relay := invalidation.NewRelay(invalidation.Config{
		Region: r.name, Log: w.model.Log(), Now: func() int64 { return base + int64(time.Since(w.start)) },
		Deliver: func(ctx context.Context, e invalidation.Event) error { return into.Apply(ctx, e.Name, e.Version, e.At) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.mu.Lock()
	r.relay, r.relaying, r.ended = relay, cancel, make(chan struct{})
	ended := r.ended
	r.mu.Unlock()
	peers := map[string]invalidation.Peer{}
	for _, p := range w.regions {
		if p != r {
			peers[p.name] = farPeer{func() *invalidation.Relay { p.mu.Lock(); defer p.mu.Unlock(); return p.relay },
				way{r.peers, runs, &w.landing, 600 * time.Millisecond}}
		}
	}
	go func() {
		defer close(ended)
		var both sync.WaitGroup
		both.Go(func() { into.Heartbeat(ctx) })
		both.Go(func() { _ = relay.Run(ctx, peers) })
		both.Wait()
	}()
}

func (r *chaosRegion) relayOff() {
	r.mu.Lock()
	cancel, ended := r.relaying, r.ended
	r.mu.Unlock()
	cancel()
	<-ended
}

// fault draws one thing that goes wrong, and for how long; it gives what begins and ends it.
func (w *chaos) fault(t *testing.T) (what string, inject, heal func()) {
	r := w.regions[w.rng.IntN(len(w.regions))]
	c := r.workers[w.rng.IntN(len(r.workers))]
	bad := weather{lost: w.rng.Float64() * 0.4, twice: w.rng.Float64() * 0.4, late: w.rng.Float64() * 0.4, cut: w.rng.IntN(4) == 0}
	on := func(name string, l *link) (string, func(), func()) {
		return fmt.Sprintf("%s of %s: %+v", name, r.name, bad), func() { l.set(bad) }, func() { l.set(weather{}) }
	}
	none := func() {}
	switch w.rng.IntN(15) {
	case 0, 11:
		return on("worker to redis", c.redis)
	case 12:
		return on("owner to source", w.ownerOn)
	case 13:
		return "owner stands still", w.owning.pause, w.owning.resume
	case 14:
		return "owner dies and comes back", func() { _ = w.ownerNow().Close(); w.own(t) }, none
	case 1:
		return on("worker to source", c.source)
	case 2:
		return on("relay to redis", r.bus)
	case 3:
		return on("relay to peers", r.peers)
	case 4:
		return "redis of " + r.name + " is away and comes back empty", r.redis.Stop, r.redis.Start
	case 5:
		return "redis of " + r.name + " forgets everything", func() { r.redis.Stop(); r.redis.Start() }, none
	case 6:
		keep := w.rng.Uint64()
		return "redis of " + r.name + " evicts half", func() {
			keys := r.redis.Keys()
			slices.Sort(keys)
			pick := rand.New(rand.NewPCG(keep, 3))
			r.redis.Expire(slices.DeleteFunc(keys, func(string) bool { return pick.IntN(2) == 0 })...)
		}, none
	case 7:
		by := time.Duration(w.rng.IntN(2000)-1000) * time.Millisecond
		return fmt.Sprintf("redis of %s steps its clock by %v", r.name, by), func() { r.redis.Step(by) }, none
	case 8:
		return "worker of " + r.name + " stands still", c.pause, c.resume
	case 9:
		return "worker of " + r.name + " dies and comes back", func() { c.now().Close(); w.begin(t, c) }, none
	}
	return "relay of " + r.name + " dies and comes back", r.relayOff, func() { w.relayOn(r) }
}

// run lets the schedule happen.
func (w *chaos) run(t *testing.T) {
	w.own(t)
	for _, r := range w.regions {
		w.relayOn(r)
	}
	for _, r := range w.regions {
		for _, c := range r.workers {
			w.begin(t, c)
		}
	}
	var all sync.WaitGroup
	after := func(d time.Duration, do func()) {
		all.Go(func() { time.Sleep(d); do() })
	}
	busy := map[string]bool{} // one fault of a kind at a time: they would heal each other
	for range w.rng.IntN(6) {
		what, inject, heal := w.fault(t)
		from := time.Duration(w.rng.Int64N(int64(chaosTime * 3 / 5)))
		lasts := time.Duration(w.rng.Int64N(int64(chaosTime*9/10 - from)))
		if kind := what[:min(22, len(what))]; !busy[kind] {
			busy[kind] = true
			w.plan = append(w.plan, fmt.Sprintf("%v to %v: %s", from, from+lasts, what))
			after(from, func() { inject(); time.Sleep(lasts); heal() })
		}
	}
	name := func() key.Name {
		f := w.families[w.rng.IntN(len(w.families))].Schema.Family
		return key.Name{Family: f, ID: fmt.Sprint(w.rng.IntN(chaosNames))}
	}
	focus := name()
	for i := range chaosOps {
		n := name()
		if w.rng.IntN(100) < chaosFocus {
			n = focus
		}
		r := w.regions[w.rng.IntN(len(w.regions))]
		c := r.workers[w.rng.IntN(len(r.workers))]
		at := time.Duration(w.rng.Int64N(int64(chaosTime)))
		patience := time.Duration(50+w.rng.IntN(1200)) * time.Millisecond
		switch x := w.rng.IntN(100); {
		case x < 70:
			after(at, func() { w.read(c, n, patience, false) })
		case x < 95:
			after(at, func() { w.write(c, n, fmt.Sprint("token ", i), patience) })
		default:
			after(at, func() { w.write(c, n, "", patience) })
		}
	}
	all.Wait()
	time.Sleep(2 * time.Second) // what was late has landed
	if err := w.ownerNow().Drained(t.Context()); err != nil {
		t.Error(err)
	}
	time.Sleep(policy.Detection + 500*time.Millisecond) // the longest TTL is less
	var last sync.WaitGroup
	for _, f := range w.families {
		for id := range chaosNames {
			for _, r := range w.regions {
				for _, c := range r.workers {
					last.Go(func() { w.read(c, key.Name{Family: f.Schema.Family, ID: fmt.Sprint(id)}, time.Minute, true) })
				}
			}
		}
	}
	last.Wait()
	for _, r := range w.regions {
		r.relayOff()
		for _, c := range r.workers {
			c.now().Close()
		}
	}
	if err := w.ownerNow().Close(); err != nil {
		t.Error(err)
	}
	w.landing.Wait()
	w.model.Close()
}

func (w *chaos) read(c *chaosWorker, n key.Name, patience time.Duration, afterwards bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := chaosRead{name: n, worker: c.region.name, from: time.Since(w.start), afterwards: afterwards}
	a, err := c.now().Get(ctx, n)
	if err != nil && !afterwards {
		return
	}
	r.to, r.answer = time.Since(w.start), a
	if err != nil {
		r.answer.Value = []byte(err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads = append(w.reads, r)
}

// write stores a value that is its token; "" deletes.
func (w *chaos) write(c *chaosWorker, n key.Name, token string, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := chaosWrite{name: n, token: token, from: time.Since(w.start)}
	var rec source.Record
	var err error
	if token == "" {
		rec, err = c.now().Delete(ctx, n)
	} else {
		rec, err = c.now().Put(ctx, n, []byte(token), token)
	}
	if err != nil {
		return
	}
	o.to, o.version = time.Since(w.start), rec.Version
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, o)
}

// verdict says what broke its promise, by the class of the promise. It knows every commit and its
// time, so that it is exact.
func (w *chaos) verdict() map[string][]string {
	const rounding = 2 * time.Nanosecond
	commits := map[key.Name][]source.Entry{}
	entries, _ := w.model.Log().After(0, 0)
	for _, e := range entries {
		commits[e.Name] = append(commits[e.Name], e)
	}
	out := map[string][]string{}
	family := map[string]policy.Family{}
	for _, f := range w.families {
		family[f.Schema.Family] = f.Contract
	}
	// find gives the commit of a version, and the one after it; of version 0, what was there before
	// all.
	find := func(n key.Name, version uint64) (at, next *source.Entry) {
		for i := range commits[n] {
			switch e := &commits[n][i]; {
			case e.Version == version:
				at = e
			case e.Version > version:
				return at, e
			}
		}
		return at, nil
	}
	for _, o := range w.writes {
		e, _ := find(o.name, o.version)
		if e == nil || e.Token != o.token || e.Deleted != (o.token == "") {
			out["lost write"] = append(out["lost write"], fmt.Sprintf("%+v", o))
		} else if at := w.at(e.At); family[o.name.Family].Writes != policy.WriteBehind && (at < o.from-rounding || at > o.to+rounding) {
			out["lost write"] = append(out["lost write"], fmt.Sprintf("%+v was committed at %v", o, at))
		}
	}
	for _, r := range w.reads {
		v := r.answer.Version
		e, next := find(r.name, v)
		accuse := func(class, format string, args ...any) {
			out[class] = append(out[class], fmt.Sprintf("%s %v..%v in %s from %s: version %d %q: ", r.name, r.from, r.to, r.worker, r.answer.Tier, v, r.answer.Value)+
				fmt.Sprintf(format, args...))
		}
		switch {
		case v > 0 && e == nil:
			accuse("corruption", "never committed")
			continue
		case v == 0 && !r.answer.Absent, v > 0 && e.Deleted != r.answer.Absent, v > 0 && e.Token != string(r.answer.Value):
			accuse("corruption", "not what was committed")
			continue
		case v > 0 && w.at(e.At) > r.to+rounding:
			accuse("corruption", "committed later, at %v", w.at(e.At))
			continue
		case next == nil:
			continue
		}
		superseded, f := w.at(next.At), family[r.name.Family]
		age := r.from - superseded
		switch {
		case f.Class == policy.Strong && age > rounding:
			accuse(r.name.Family, "superseded at %v", superseded)
		case f.Class == policy.Bounded && float64(age) > float64(f.Within)*(1+2*sourceclock.RateError):
			accuse("bounded", "superseded at %v, more than %v before", superseded, f.Within)
		case f.Class == policy.Eventual && r.afterwards:
			accuse(r.name.Family, "superseded at %v", superseded)
		}
	}
	return out
}

func (w *chaos) story() string {
	s := fmt.Sprintf("seed %d\n", w.seed)
	for _, f := range w.families {
		s += fmt.Sprintf("  %s: %+v\n", f.Schema.Family, f.Contract)
	}
	for _, p := range w.plan {
		s += "  " + p + "\n"
	}
	entries, _ := w.model.Log().After(0, 0)
	for _, e := range entries {
		s += fmt.Sprintf("  %v %s version %d %q\n", w.at(e.At), e.Name, e.Version, e.Token)
	}
	return s
}

// chaosOf runs one schedule.
func chaosOf(t *testing.T, p policy.Policy, seed uint64) (w *chaos, broken map[string][]string) {
	synctest.Test(t, func(t *testing.T) {
		w = newChaos(t, p, seed)
		w.run(t)
		broken = w.verdict()
	})
	return w, broken
}

// schedules is how many are tried: a few hundred, or as many as CACHEDRILL_SCHEDULES says.
// CACHEDRILL_SCHEDULE names one.
func schedules(t *testing.T) (first, n uint64) {
	if one := os.Getenv("CACHEDRILL_SCHEDULE"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		require.NoError(t, err)
		return seed, 1
	}
	if many := os.Getenv("CACHEDRILL_SCHEDULES"); many != "" {
		n, err := strconv.ParseUint(many, 10, 32)
		require.NoError(t, err)
		return 0, n
	}
	if raced {
		return 0, 15
	}
	return 0, 200
}

// Whatever is lost, late, repeated, stopped, forgotten, evicted, paused or restarted: strong
// families stay linearizable, bounded ones within their bound, eventual ones converge, and no
// acknowledged write is lost.
func TestChaos(t *testing.T) {
	first, n := schedules(t)
	shards := uint64(runtime.GOMAXPROCS(0))
	var seen tally
	t.Run("schedules", func(t *testing.T) {
		for shard := range min(shards, n) {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for seed := first + shard; seed < first+n; seed += shards {
					w, broken := chaosOf(t, policy.Recommended(), seed)
					require.Empty(t, broken, "CACHEDRILL_SCHEDULE=%d repeats it\n%s", seed, w.story())
					seen.add(w)
				}
			})
		}
	})
	t.Logf("%d schedules: %s", n, seen.String())
	if n >= 100 {
		for class, of := range seen.superseded {
			require.Positive(t, of, "no read of %s could have been wrong", class)
		}
		for _, path := range []string{
			"strong aside", "strong through", "leased aside", "leased through", "bounded aside", "bounded through",
			"eventual aside", "eventual through", "lasting aside", "lasting through", "behind behind",
		} {
			require.Positive(t, seen.paths[path], "no acknowledged write of %s", path)
		}
		require.Positive(t, seen.left, "no reader was answered with what a writer had left")
	}
}

// tally counts what there was to see.
type tally struct {
	mu            sync.Mutex
	reads, writes int
	superseded    map[string]int // reads of names that had been changed less than half a second before, by family
	paths         map[string]int // acknowledged writes, by family and write path
	left          int            // reads of versions that were never loaded
}

func (s *tally) add(w *chaos) {
	commits := map[key.Name][]time.Duration{}
	entries, _ := w.model.Log().After(0, 0)
	for _, e := range entries {
		commits[e.Name] = append(commits[e.Name], w.at(e.At))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.superseded == nil {
		s.superseded = map[string]int{}
		for _, f := range w.families {
			s.superseded[f.Schema.Family] = 0
		}
	}
	if s.paths == nil {
		s.paths = map[string]int{}
	}
	path := map[string]string{}
	for _, f := range w.families {
		path[f.Schema.Family] = f.Contract.Writes.String()
	}
	for _, o := range w.writes {
		s.paths[o.name.Family+" "+path[o.name.Family]]++
	}
	for _, r := range w.reads {
		if _, loaded := w.loaded.Load(loadedVersion{r.name, r.answer.Version}); !loaded && r.answer.Version > 0 {
			s.left++
		}
	}
	s.reads, s.writes = s.reads+len(w.reads), s.writes+len(w.writes)
	for _, r := range w.reads {
		if slices.ContainsFunc(commits[r.name], func(at time.Duration) bool { return at < r.from && at > r.from-500*time.Millisecond }) {
			s.superseded[r.name.Family]++
		}
	}
}

func (s *tally) String() string {
	return fmt.Sprintf("%d reads and %d acknowledged writes; reads within half a second after a change: %v; acknowledged by path: %v; reads of what a writer left and nobody loaded: %d",
		s.reads, s.writes, s.superseded, s.paths, s.left)
}

// Each control that a promise rests on is missed when it is removed with its backups.
func TestChaosFindsWhatIsMissing(t *testing.T) {
	if raced {
		t.Skip("it takes more schedules than the race detector has time for; the same runs without it")
	}
	const budget = 2000
	for _, c := range []struct {
		without []string
		breaks  string // the family
	}{
		{[]string{"class-routing"}, "strong"},
		{[]string{"class-routing"}, "leased"},
		{[]string{"fence"}, "leased"},
		{[]string{"age-clamp"}, "bounded"},
		{[]string{"versioned-store", "fill-lease"}, "lasting"},
		{[]string{"bus"}, "lasting"},
		{[]string{"gap-detection"}, "lasting"},
		{[]string{"journal"}, "lost write"},
	} {
		t.Run(strings.Join(c.without, "+")+" "+c.breaks, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(budget) {
				if _, broken := chaosOf(t, without(t, c.without...), seed); len(broken[c.breaks]) > 0 {
					t.Logf("schedule %d: %s", seed, broken[c.breaks][0])
					return
				}
			}
			t.Errorf("nothing is missed in %d schedules", budget)
		})
	}
}
