package source

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
)

// ModelConfig describes a [Model].
type ModelConfig struct {
	Servers     int                      // requests served at a time, at least 1
	ServiceTime time.Duration            // mean time of a load, apart from queueing
	FamilyTime  map[string]time.Duration // the mean of particular families
	VersionTime time.Duration            // mean time of a version read; 0: a fifth of the load's
	WriteTime   time.Duration            // mean time of a store, and of a fence
	Queue       int                      // requests that may wait; more are shed with [ErrShed]. 0: no bound
	// ServeAbandoned serves loads whose callers have given up, as a database does that was not
	// informed: they keep their place in the queue and take their time.
	ServeAbandoned bool
	Seed           uint64       // of the service times
	Now            func() int64 // the source's clock, monotonic, nanoseconds; nil: since NewModel
	OnLoad         func(Load)   // called after each load ended, concurrently; may be nil
}

// Load is one load as counted at the source.
type Load struct {
	Name    key.Name
	Caller  Caller
	Arrived int64 // source clock, before queueing
	Done    int64
	Version uint64
	Check   bool // only the version was asked for
	Failed  bool
	Width   int   // loads of this name from this region under way at arrival, itself included; 0 of a check
	Queued  int64 // nanoseconds between arrival and the moment at which a server took it up
	// Abandoned says that its caller gave up at Done, and that it will be served all the same:
	// wasted work.
	Abandoned bool
}

// Model is a source of truth in memory with the queueing of a real one: a number of servers that
// each take a service time per request, and a first-come queue before them. Service times vary by
// up to a quarter around their mean, determined by the seed and the order of arrival.
type Model struct {
	cfg     ModelConfig
	servers chan struct{}
	waiting atomic.Int64
	drawn   atomic.Uint64
	log     *Log
	meter   Meter

	life    context.Context // ends loads without a waiter
	end     context.CancelFunc
	orphans sync.WaitGroup

	mu    sync.Mutex // the commit lock: T0 and At are stamped under it
	rows  map[key.Name]row
	realm map[string]string // owners
}

type row struct {
	value   []byte
	version uint64
	deleted bool
	fence   string
}

var _ Applier = (*Model)(nil)

// NewModel makes an empty model. The zero ModelConfig with Servers set answers at once.
func NewModel(cfg ModelConfig) (*Model, error) {
	if cfg.Servers < 1 {
		return nil, fmt.Errorf("a source needs at least 1 server, not %d", cfg.Servers)
	}
	if cfg.Now == nil {
		began := time.Now()
		cfg.Now = func() int64 { return int64(time.Since(began)) }
	}
	m := &Model{cfg: cfg, servers: make(chan struct{}, cfg.Servers), log: newLog(), rows: map[key.Name]row{}, realm: map[string]string{},
		meter: Meter{Now: cfg.Now, OnLoad: cfg.OnLoad}}
	m.life, m.end = context.WithCancel(context.Background())
	return m, nil
}

// Close ends the loads without a waiter.
func (m *Model) Close() {
	m.end()
	m.orphans.Wait()
}

// Log is the commit log.
func (m *Model) Log() *Log { return m.log }

// Seal gives every commit after index, and the source's clock at a moment before which there was no
// other.
func (m *Model) Seal(index uint64) (after []Entry, now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after, _ = m.log.After(index, 0)
	return after, m.cfg.Now()
}

// Clock implements [Source].
func (m *Model) Clock(context.Context) (int64, error) { return m.cfg.Now(), nil }

// Seed commits a value at once, as something that was there before.
func (m *Model) Seed(n key.Name, value []byte, token string) Record {
	r, _ := m.commit(Entry{Name: n, Token: token}, value, "") // fails only under a fence
	return r
}

// Peek reads a name at once: no queue, no time, no count.
func (m *Model) Peek(n key.Name) Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[n]
	return Record{Value: r.value, Version: r.version, Deleted: r.deleted, Fenced: r.fence != "", T0: m.cfg.Now()}
}

// Load implements [Source]. The value is that of the moment at which a server takes the request up;
// its service time passes after that, as in a database whose snapshot is taken at the start of the
// query. A slow load can so carry a value that was superseded meanwhile.
func (m *Model) Load(ctx context.Context, n key.Name, by Caller) (Record, error) {
	if by.Audit {
		return m.Peek(n), ctx.Err()
	}
	return m.read(ctx, Load{Name: n, Caller: by})
}

// Version implements [Source], as Load does.
func (m *Model) Version(ctx context.Context, n key.Name, by Caller) (Record, error) {
	if by.Audit {
		return m.Peek(n).withoutValue(), ctx.Err()
	}
	rec, err := m.read(ctx, Load{Name: n, Caller: by, Check: true})
	return rec.withoutValue(), err
}

func (r Record) withoutValue() Record {
	r.Value = nil
	return r
}

func (m *Model) read(ctx context.Context, l Load) (Record, error) {
	m.meter.Arrive(&l)
	if !m.cfg.ServeAbandoned {
		rec, err := m.load(ctx, &l)
		m.meter.Leave(l)
		m.meter.Tell(l, rec, err)
		return rec, err
	}
	type result struct {
		rec    Record
		err    error
		queued int64
	}
	done := make(chan result, 1)
	served := l
	m.orphans.Go(func() {
		rec, err := m.load(m.life, &served)
		m.meter.Leave(served)
		done <- result{rec, err, served.Queued}
	})
	answer := done
	if ctx.Err() != nil {
		answer = nil // given up before it was asked, however fast it is served
	}
	select {
	case r := <-answer:
		l.Queued = r.queued
		m.meter.Tell(l, r.rec, r.err)
		return r.rec, r.err
	case <-ctx.Done():
		l.Abandoned = true
		l.Queued = m.cfg.Now() - l.Arrived
		err := fmt.Errorf("loading %s:%s: %w", l.Name.Family, l.Name.ID, ctx.Err())
		m.meter.Tell(l, Record{}, err)
		return Record{}, err
	}
}

func (m *Model) load(ctx context.Context, l *Load) (Record, error) {
	n := l.Name
	err := m.enter(ctx)
	l.Queued = m.cfg.Now() - l.Arrived
	if err != nil {
		return Record{}, fmt.Errorf("loading %s:%s: %w", n.Family, n.ID, err)
	}
	defer m.leave()
	mean := m.cfg.ServiceTime
	if t, ok := m.cfg.FamilyTime[n.Family]; ok {
		mean = t
	}
	if l.Check {
		if mean /= 5; m.cfg.VersionTime > 0 {
			mean = m.cfg.VersionTime
		}
	}
	rec := m.Peek(n)
	if err := pause(ctx, m.draw(mean)); err != nil {
		return Record{}, fmt.Errorf("loading %s:%s: %w", n.Family, n.ID, err)
	}
	return rec, nil
}

// Store implements [Source]. The commit happens at the end of the service time; a caller that gave
// up before then left no effect.
func (m *Model) Store(ctx context.Context, n key.Name, value []byte, token string, by Caller) (rec Record, err error) {
	err = m.change(ctx, n, "storing", func() (err error) {
		rec, err = m.commit(Entry{Name: n, Token: token, Origin: by.Region}, value, by.Fence)
		return err
	})
	return rec, err
}

// Delete implements [Source], as Store does.
func (m *Model) Delete(ctx context.Context, n key.Name, by Caller) (rec Record, err error) {
	err = m.change(ctx, n, "deleting", func() (err error) {
		rec, err = m.commit(Entry{Name: n, Deleted: true, Origin: by.Region}, nil, by.Fence)
		return err
	})
	return rec, err
}

// Fence implements [Source], as Store does.
func (m *Model) Fence(ctx context.Context, n key.Name, fence string, take bool, _ Caller) error {
	return m.change(ctx, n, "fencing", func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		r := m.rows[n]
		if r.fence != "" && r.fence != fence && !take {
			return ErrFenced
		}
		r.fence = fence
		m.rows[n] = r
		return nil
	})
}

// Own implements [Applier].
func (m *Model) Own(_ context.Context, realm, owner string, take bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if has := m.realm[realm]; has != "" && owner != "" && has != owner && !take {
		return fmt.Errorf("owning %s: %w", realm, ErrOwned)
	}
	m.realm[realm] = owner
	return nil
}

// Apply implements [Applier], as Store does.
func (m *Model) Apply(ctx context.Context, c Change, by Caller) (needed bool, err error) {
	err = m.change(ctx, c.Name, "applying", func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if c.Version == 0 || m.realm[c.Realm] != c.Owner {
			return ErrOwned
		}
		if needed = c.Version > m.rows[c.Name].version; needed {
			m.put(Entry{Name: c.Name, Version: c.Version, Token: c.Token, Deleted: c.Deleted, Origin: by.Region}, c.Value, m.rows[c.Name].fence)
		}
		return nil
	})
	return needed, err
}

// change makes one at the end of its service time. Whatever fails has had no effect.
func (m *Model) change(ctx context.Context, n key.Name, doing string, do func() error) error {
	fail := func(err error) error {
		return fmt.Errorf("%s %s:%s: %w: %w", doing, n.Family, n.ID, ErrNotApplied, err)
	}
	if err := m.enter(ctx); err != nil {
		return fail(err)
	}
	defer m.leave()
	if err := pause(ctx, m.draw(m.cfg.WriteTime)); err != nil {
		return fail(err)
	}
	if err := do(); err != nil {
		return fail(err)
	}
	return nil
}

// commit gives e its version and time and appends it to the log.
func (m *Model) commit(e Entry, value []byte, fence string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.rows[e.Name]
	if fence != "" {
		if old.fence != fence {
			return Record{}, ErrFenced
		}
		old.fence = ""
	}
	e.Version = old.version + 1
	return m.put(e, value, old.fence), nil
}

// put is called under the commit lock.
func (m *Model) put(e Entry, value []byte, fence string) Record {
	e.At = m.cfg.Now()
	m.rows[e.Name] = row{value: value, version: e.Version, deleted: e.Deleted, fence: fence}
	m.log.append(e)
	return Record{Value: value, Version: e.Version, Deleted: e.Deleted, Fenced: fence != "", T0: e.At}
}

// enter waits for a free server.
func (m *Model) enter(ctx context.Context) error {
	select {
	case m.servers <- struct{}{}:
		return nil
	default:
	}
	if q := m.waiting.Add(1); m.cfg.Queue > 0 && q > int64(m.cfg.Queue) {
		m.waiting.Add(-1)
		return ErrShed
	}
	defer m.waiting.Add(-1)
	select {
	case m.servers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Model) leave() { <-m.servers }

// draw gives the next service time: uniform within a quarter around the mean.
func (m *Model) draw(mean time.Duration) time.Duration {
	x := m.cfg.Seed + m.drawn.Add(1)*0x9E3779B97F4A7C15 // SplitMix64 (Steele, Lea, Flood 2014)
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	x ^= x >> 31
	u := float64(x>>11) / (1 << 53)
	return time.Duration(math.Round(float64(mean) * (0.75 + 0.5*u)))
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil { // else a timer that is over as well would win by chance
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
