// Package virtual makes places for drills within the process: a store in memory for each Redis, wires for
// network links, and no socket. In a bubble of testing/synctest a whole drill takes milliseconds there, so
// that thousands of seeds can be tried. Service, caches, load, oracle and verdicts are the real ones.
package virtual

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/service"
)

// What a client does that does not have the redis-deadline control: go-redis's defaults, rounded.
var (
	patient   = store.Patience{Command: 5 * time.Second, Dial: 400 * time.Millisecond}
	impatient = store.Patience{Command: 150 * time.Millisecond}
)

// memoryCopies is how many copies a worker keeps in memory: small drills have few keys, and room for
// thousands would take longer to make than such a drill takes to run.
const memoryCopies = 256

// Place makes the place of one drill. It fits [drill.Options.Place].
func Place(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (*environment.Place, error) {
	_, p, err := build(ctx, sc, opt)
	return p, err
}

func build(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (*world, *environment.Place, error) {
	w := &world{stores: map[string]*store.Memory{}, wires: map[string]*wire{}, seed: opt.Seed}
	for _, name := range sc.Target.Redises() {
		w.stores[name] = store.NewMemory()
	}
	patience := patient
	if opt.Policy.Controls.Has(policy.RedisDeadline) {
		patience = impatient
	}
	var err error
	w.service, err = service.New(service.Config{Spec: sc.Target, Policy: opt.Policy, Seed: opt.Seed, Tenants: sc.Tenants(), InProcess: &service.InProcess{
		Store: func(edge string) store.Store {
			_, name, _ := strings.Cut(edge, " -> redis@")
			return w.stores[name].Client(w.wire(edge), patience)
		},
		Wire:   func(edge string) store.Wire { return w.wire(edge) },
		L1Size: memoryCopies,
	}})
	if err != nil {
		return nil, nil, err
	}
	if err := w.service.Start(ctx, nil); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("starting the service: %w", err), w.service.Close())
	}
	site := faults.Site{Relays: map[string]faults.Relay{}, Pattern: w.service.Pattern}
	for _, r := range sc.Target.Regions {
		site.Relays[r.Name] = relay{w.service.Relay(r.Name)}
	}
	return w, &environment.Place{
		Service: w.service, Site: site, Adapt: w.local, Sleep: time.Sleep, Close: w.service.Close,
	}, nil
}

// world is what a place is made of.
type world struct {
	service *service.Service
	stores  map[string]*store.Memory
	seed    uint64

	mu    sync.Mutex
	wires map[string]*wire
}

func (w *world) wire(edge string) *wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wires[edge] == nil {
		w.wires[edge] = &wire{rng: rand.New(rand.NewPCG(w.seed, uint64(len(w.wires))))}
	}
	return w.wires[edge]
}

// wire is a network link: each way takes a moment, and when it is cut nothing comes through and nothing
// says so.
type wire struct {
	mu      sync.Mutex
	rng     *rand.Rand
	cut     bool
	carried int64 // since it was last cut or mended
	lost    int64
}

// One way takes between these times.
const (
	shortest = 100 * time.Microsecond
	longest  = 500 * time.Microsecond
)

// Carry implements [store.Wire].
func (w *wire) Carry(ctx context.Context) error {
	w.mu.Lock()
	took := shortest + time.Duration(w.rng.Int64N(int64(longest-shortest)))
	w.mu.Unlock()
	t := time.NewTimer(took)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	cut := w.cut
	if cut {
		w.lost++
	} else {
		w.carried++
	}
	w.mu.Unlock()
	if !cut {
		return nil
	}
	limit := time.NewTimer(silence)
	defer limit.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return context.DeadlineExceeded
	}
}

// silence is after how long of it somebody who set no deadline gives up.
const silence = 600 * time.Millisecond

// Open implements [store.Wire].
func (w *wire) Open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.carried, w.lost = cut, 0, 0
}

func (w *wire) counts() (carried, lost int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.carried, w.lost
}

// relay lets faults handle an invalidation relay.
type relay struct{ *invalidation.Relay }

func (r relay) Delivered() faults.Delivery {
	s := r.Stats()
	return faults.Delivery{Events: s.Delivered, Held: s.Held, Delayed: s.Delayed, MaxLag: s.MaxLag}
}
