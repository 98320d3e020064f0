package zoo

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// textbook is a cache as teams write it themselves: a map in memory, entries in Redis behind a lock
// while they load, a message on a channel after a write. Without bugs it is a correct one, and part
// of the other zoo; each broken specimen is this one with a single mistake.
type textbook struct {
	cfg      reference.Config
	bugs     bugs
	families map[string]reference.Family
	clock    clock

	mu      sync.Mutex
	memory  map[string]entry
	flights map[string]*flights

	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	queue   queue // of the write-behind quirk
}

// Times of the textbook cache.
const (
	patience  = 1500 * time.Millisecond // of a reader for a load, its own or another's
	lockTTL   = 2 * time.Second         // longer than a load may take
	shortLock = 30 * time.Millisecond   // shorter than many do
	lockPoll  = 5 * time.Millisecond
	lockWait  = 200 * time.Millisecond // then a reader that has no lock loads without one
	besides   = 200 * time.Millisecond // for telling Redis of a write that stands anyway
	channel   = "zoo:superseded"
	manyTTLs  = 10 // by how much a TTL is too long that relies on messages
)

func newTextbook(ctx context.Context, cfg reference.Config, q bugs) (*textbook, error) {
	c := &textbook{cfg: cfg, bugs: q, families: map[string]reference.Family{}, memory: map[string]entry{}, flights: map[string]*flights{}}
	for _, f := range cfg.Families {
		c.families[f.Schema.Family] = f
	}
	asked := time.Now()
	read, err := cfg.Source.Clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the source for its clock: %w", err)
	}
	c.clock = clock{read, asked}
	c.life, c.end = context.WithCancel(context.Background())
	if !q.deaf {
		sub, err := cfg.Shared.Subscribe(ctx, channel)
		if err != nil {
			c.end()
			return nil, err
		}
		c.running.Go(func() { c.listen(sub) })
	}
	if q.writeBehind {
		c.running.Go(c.flush)
	}
	return c, nil
}

// clock is an upper bound on the source's clock; see package reference.
type clock struct {
	read  int64 // the source's clock
	asked time.Time
}

func (c clock) at(t time.Time) int64 { return c.read + int64(t.Sub(c.asked)) }

func (c *textbook) now() int64 { return c.clock.at(time.Now()) }

// Close implements [service.Cache].
func (c *textbook) Close() {
	c.end()
	c.running.Wait()
}

func (c *textbook) listen(sub store.Subscription) {
	defer sub.Close()
	for {
		select {
		case m, ok := <-sub.Messages():
			if !ok {
				return
			}
			version, k, _ := strings.Cut(m, " ")
			c.forget(k, fromHex(version))
		case <-c.life.Done():
			return
		}
	}
}

// resolve gives a name's contract and its key in the caches.
func (c *textbook) resolve(n key.Name) (reference.Family, string, error) {
	f, ok := c.families[n.Family]
	if !ok {
		return f, "", fmt.Errorf("%w %q", reference.ErrFamily, n.Family)
	}
	if c.bugs.tenantBlind && n.Tenant != "" {
		n.Tenant = "any"
	}
	k, err := f.Schema.Build(n)
	return f, k, err
}

// ttl is how long copies of a family live.
func (c *textbook) ttl(f reference.Family) time.Duration {
	if c.bugs.longTTL {
		return manyTTLs * f.Contract.TTL
	}
	return f.Contract.TTL
}

// usable says whether a reader that began at source time began may have the copy.
func (c *textbook) usable(f reference.Family, e entry, began int64) bool {
	return c.bugs.noClamp || began-e.t0 < int64(f.Contract.Within)
}

// missed says whether a copy that is there is taken for none.
func (c *textbook) missed(e entry) bool { return c.bugs.falsy && !e.absent && emptyText(e.value) }

// Get implements [service.Cache].
func (c *textbook) Get(ctx context.Context, n key.Name) (reference.Answer, error) {
	f, k, err := c.resolve(n)
	if err != nil {
		return reference.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f.Contract.Class == policy.Strong {
		return c.strong(ctx, k, n)
	}
	if e, ok := c.remembered(k); ok && c.usable(f, e, c.now()) && !c.missed(e) {
		return e.answer(reference.TierL1), nil
	}
	for came := time.Now(); ; {
		began := c.now()
		e, ok, err := c.stored(ctx, k)
		if err != nil || time.Since(came) > lockWait {
			return c.load(ctx, n)
		}
		if ok && c.usable(f, e, began) && !c.missed(e) {
			c.remember(k, f, e)
			return e.answer(reference.TierL2), nil
		}
		a, done, err := c.fill(ctx, k, n, f)
		if done || err != nil {
			return a, err
		}
		if err := pause(ctx, lockPoll); err != nil {
			return reference.Answer{}, fmt.Errorf("waiting for somebody else to load %s: %w", k, err)
		}
	}
}

// stored reads the entry in Redis. The quirk that never voids a negative entry keeps those apart.
func (c *textbook) stored(ctx context.Context, k string) (entry, bool, error) {
	if c.bugs.negativeForever {
		raw, ok, err := c.cfg.Shared.Get(ctx, "none:"+k)
		if err != nil || ok {
			return entry{absent: true, t0: c.now()}, ok && len(raw) > 0, err
		}
	}
	raw, ok, err := c.cfg.Shared.Get(ctx, k)
	if err != nil || !ok {
		return entry{}, false, err
	}
	e, ok := decode(string(raw))
	return e, ok && !e.floor, nil
}

// fill loads under the key's lock. done is false when somebody else has it.
func (c *textbook) fill(ctx context.Context, k string, n key.Name, f reference.Family) (a reference.Answer, done bool, err error) {
	lock, mine, life := "lock:"+k, rand.Text(), lockTTL
	if c.bugs.lockThief {
		life = shortLock
	}
	got, err := c.cfg.Shared.Add(ctx, lock, []byte(mine), life)
	if err != nil {
		a, err := c.load(ctx, n)
		return a, true, err
	}
	if !got {
		return a, false, nil
	}
	defer c.unlock(lock, mine)
	r, err := c.cfg.Source.Load(ctx, n, source.Caller{Region: c.cfg.Region})
	if err != nil {
		return a, true, err
	}
	e := entryOf(r)
	if c.bugs.lateVersion {
		if again, err := c.cfg.Source.Load(ctx, n, source.Caller{Region: c.cfg.Region, Audit: true}); err == nil {
			e.version = again.Version
		}
	}
	c.keep(ctx, k, f, e)
	return e.answer(reference.TierSource), true, nil
}

// unlock gives a lock back, and only its own: by then it may have expired and be somebody else's.
func (c *textbook) unlock(lock, mine string) {
	ctx, cancel := context.WithTimeout(c.life, besides)
	defer cancel()
	if c.bugs.lockThief {
		_ = c.cfg.Shared.Delete(ctx, lock)
		return
	}
	_, _ = c.cfg.Shared.Run(ctx, unlockScript, []string{lock}, mine) // else it ends by its TTL
}

// keep stores what was loaded, unless something newer is there.
func (c *textbook) keep(ctx context.Context, k string, f reference.Family, e entry) {
	ttl := c.ttl(f)
	if !c.bugs.noClamp {
		ttl -= time.Duration(c.now() - e.t0)
	}
	if ttl < time.Millisecond {
		return
	}
	switch {
	case c.bugs.negativeForever && e.absent:
		_ = c.cfg.Shared.Set(ctx, "none:"+k, []byte("1"), time.Hour)
		return
	case c.bugs.slowFill:
		_ = c.cfg.Shared.Set(ctx, k, []byte(e.encode()), ttl)
	default:
		_, _ = c.cfg.Shared.Run(ctx, newerScript, []string{k}, e.encode(), fmt.Sprint(ttl.Milliseconds()))
	}
	c.remember(k, f, e)
}

// load reads past the caches.
func (c *textbook) load(ctx context.Context, n key.Name) (reference.Answer, error) {
	r, err := c.cfg.Source.Load(ctx, n, source.Caller{Region: c.cfg.Region})
	if err != nil {
		return reference.Answer{}, err
	}
	return entryOf(r).answer(reference.TierSource), nil
}

// GetBypass implements [service.Cache].
func (c *textbook) GetBypass(ctx context.Context, n key.Name, audit bool) (reference.Answer, error) {
	r, err := c.cfg.Source.Load(ctx, n, source.Caller{Region: c.cfg.Region, Audit: audit})
	if err != nil {
		return reference.Answer{}, err
	}
	return entryOf(r).answer(reference.TierBypass), nil
}

// remembered gives the copy in memory.
func (c *textbook) remembered(k string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.memory[k]
	return e, ok && !e.floor && c.now() < e.dropAt
}

// remember keeps a copy in memory, unless something newer is there.
func (c *textbook) remember(k string, f reference.Family, e entry) {
	e.dropAt = e.t0 + int64(c.ttl(f))
	if c.bugs.noClamp {
		e.dropAt = c.now() + int64(c.ttl(f)) // as if it were new
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.memory[k]; ok && !e.replaces(old) && !c.bugs.slowFill {
		return
	}
	c.memory[k] = e
}

// forget leaves only the knowledge that older versions are superseded.
func (c *textbook) forget(k string, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bugs.slowFill || c.bugs.deleteFirst {
		delete(c.memory, k)
	} else if floor := (entry{version: version, floor: true}); floor.replaces(c.memory[k]) {
		c.memory[k] = floor
	}
	if c.cfg.OnInvalidated != nil {
		c.cfg.OnInvalidated(reference.Invalidated{Key: k, Version: version})
	}
}

// Prewarm implements [service.Cache].
func (c *textbook) Prewarm(ctx context.Context, names []key.Name, position func(i int) float64) error {
	var items []store.Item
	for i, n := range names {
		f, k, err := c.resolve(n)
		if err != nil || f.Contract.Class == policy.Strong {
			continue
		}
		r, err := c.cfg.Source.Load(ctx, n, source.Caller{Region: c.cfg.Region, Audit: true})
		if err != nil {
			return fmt.Errorf("prewarming: %w", err)
		}
		e := entryOf(r)
		age := time.Duration(position(i) * float64(f.Contract.TTL))
		e.t0 -= int64(age)
		if left := (c.ttl(f) - age).Truncate(time.Millisecond); left > 0 && !e.absent {
			items = append(items, store.Item{Key: k, Value: []byte(e.encode()), TTL: left})
		}
	}
	if err := c.cfg.Shared.SetAll(ctx, items); err != nil {
		return fmt.Errorf("prewarming: %w", err)
	}
	return nil
}

// strong reads from the source, with as few reads as correctness allows.
func (c *textbook) strong(ctx context.Context, k string, n key.Name) (reference.Answer, error) {
	c.mu.Lock()
	fs := c.flights[k]
	if fs == nil {
		fs = &flights{}
		c.flights[k] = fs
	}
	var f *flight
	switch {
	case fs.now == nil:
		f = &flight{done: make(chan struct{})}
		fs.now = f
		c.running.Go(func() { c.fly(k, n, fs) })
	case c.bugs.earlyJoin:
		f = fs.now
	case fs.next == nil:
		f = &flight{done: make(chan struct{})}
		fs.next = f
	default:
		f = fs.next
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return reference.Answer{}, ctx.Err()
	}
}

// fly reads until no reader waits any more.
func (c *textbook) fly(k string, n key.Name, fs *flights) {
	for {
		f := fs.now // set before, and changed below only
		ctx, cancel := context.WithTimeout(c.life, patience)
		f.answer, f.err = c.GetBypass(ctx, n, false)
		cancel()
		close(f.done)
		c.mu.Lock()
		fs.now, fs.next = fs.next, nil
		over := fs.now == nil
		if over {
			delete(c.flights, k)
		}
		c.mu.Unlock()
		if over {
			return
		}
	}
}
