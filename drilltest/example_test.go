package drilltest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/drilltest"
	"github.com/cachedrill/cachedrill/targets"
)

// shop is a small service with a cache in memory: what is under test.
type shop struct {
	mu     sync.Mutex
	db     map[string]string
	cache  map[string]entry
	ttl    time.Duration
	forget bool // a write forgets to drop the cached copy: the mistake that a drill should find

	down   atomic.Bool  // the database does not answer
	failed atomic.Int64 // how often it did not
}

type entry struct {
	value string
	until time.Time
}

func newShop(ttl time.Duration) *shop {
	return &shop{db: map[string]string{}, cache: map[string]entry{}, ttl: ttl}
}

var errDown = errors.New("the database is down")

func (s *shop) Get(id string) (value string, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, hit := s.cache[id]; hit && time.Now().Before(e.until) {
		return e.value, true, nil
	}
	if s.down.Load() {
		s.failed.Add(1)
		return "", false, errDown
	}
	if value, ok = s.db[id]; ok {
		s.cache[id] = entry{value, time.Now().Add(s.ttl)}
	}
	return value, ok, nil
}

// Stored is what the database itself holds.
func (s *shop) Stored(id string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok = s.db[id]
	return value, ok
}

func (s *shop) Put(id, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		s.failed.Add(1)
		return errDown
	}
	s.db[id] = value
	if !s.forget {
		delete(s.cache, id)
	}
	return nil
}

// target puts the shop into the words of a drill. Tokens are values like any others.
type target struct{ shop *shop }

func (t target) Do(_ context.Context, r targets.Request) (targets.Reply, error) {
	switch {
	case r.Kind == targets.Write:
		if err := t.shop.Put(r.Key.ID, r.Token); err != nil {
			return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err) // known to have had no effect
		}
		return targets.Reply{}, nil
	case r.Instance == targets.SourceInstance:
		value, ok := t.shop.Stored(r.Key.ID)
		return targets.Reply{Token: value, Absent: !ok}, nil
	}
	value, ok, err := t.shop.Get(r.Key.ID)
	return targets.Reply{Token: value, Absent: !ok && err == nil}, err
}

func (target) Close() error { return nil }

// Instances are where the audit reads at the end: as everybody does, and past the cache. The latter
// shows which writes are lost.
func (target) Instances() []string { return []string{"", targets.SourceInstance} }

// databaseDown breaks the shop's database, and tells what proves it: calls that failed.
func (s *shop) databaseDown(context.Context) (func(context.Context) (string, error), error) {
	before := s.failed.Load()
	s.down.Store(true)
	return func(context.Context) (string, error) {
		s.down.Store(false)
		n := s.failed.Load() - before
		if n == 0 {
			return "", nil // not noticed: no evidence
		}
		return fmt.Sprintf("%d calls of the database failed", n), nil
	}, nil
}

// promises are what the shop says of itself: no product is older than 100 ms, and no write is lost.
func promises(s *shop) drilltest.Scenario {
	return drilltest.Scenario{
		Name: "database-down", Why: "reads from memory outlive the database",
		Rate:     600,
		Families: []drilltest.Family{{Name: "product", Class: drilltest.Bounded, Within: 100 * time.Millisecond, Keys: 20, Zipf: 1, Writes: 0.05}},
		Phases:   drilltest.Phases{Warmup: 200 * time.Millisecond, Steady: 600 * time.Millisecond, Fault: 300 * time.Millisecond, Recovery: 300 * time.Millisecond},
		Faults:   []drilltest.Fault{{Name: "database down", Inject: s.databaseDown, For: 250 * time.Millisecond}},
		Objectives: drilltest.Objectives{
			Fault:  []string{"errors < 50%"},
			Always: []string{"violations == 0", "lost_writes == 0"},
		},
	}
}

// A drill outside of a test. Inside of one, drilltest.Run(t, target{s}, promises(s)) makes a
// subtest of each objective.
func Example() {
	correct, forgetful := newShop(10*time.Second), newShop(10*time.Second)
	forgetful.forget = true
	for _, s := range []*shop{correct, forgetful} {
		rep, err := drilltest.Measure(context.Background(), target{s}, promises(s))
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, o := range rep.Scenarios[0].SLOs {
			if o.Expr == "violations == 0" {
				fmt.Println(o.Expr, o.Outcome)
			}
		}
	}
	// Output:
	// violations == 0 pass
	// violations == 0 fail
}
