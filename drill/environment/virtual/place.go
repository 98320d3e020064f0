// Package virtual makes places for drills within the process: a store in memory for each Redis,
// wires for network links, and no socket. In a bubble of testing/synctest a whole drill takes
// milliseconds there, so that thousands of seeds can be tried. Service, caches, load, oracle and
// verdicts are the real ones.
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

// memoryCopies is how many copies a worker keeps in memory: small drills have few keys, and room
// for thousands would take longer to make than such a drill takes to run.
const memoryCopies = 256

// Open makes the environment of one drill. It is an [environment.Open].
func Open(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (environment.Environment, error) {
	w, err := build(ctx, sc, opt)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func build(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (*world, error) {
	spec, err := sc.Reference()
	if err != nil {
		return nil, err
	}
	w := &world{stores: map[string]*store.Memory{}, wires: map[string]*wire{}, seed: opt.Seed}
	for _, name := range spec.Redises() {
		w.stores[name] = store.NewMemory()
	}
	patience := patient
	if opt.Policy.Controls.Has(policy.RedisDeadline) {
		patience = impatient
	}
	w.service, err = service.New(service.Config{Spec: spec, Policy: opt.Policy, Seed: opt.Seed, Tenants: sc.Tenants(), InProcess: &service.InProcess{
		Store: func(edge string) store.Store {
			_, name, _ := strings.Cut(edge, " -> redis@")
			return w.stores[name].Client(w.wire(edge), patience)
		},
		Wire:   func(edge string) store.Wire { return w.wire(edge) },
		L1Size: memoryCopies,
	}})
	if err != nil {
		return nil, err
	}
	if err := w.service.Start(ctx, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the service: %w", err), w.service.Close())
	}
	w.Base = environment.NewBase(w.service, w.service, w.site(spec), opt)
	return w, nil
}

// Capabilities implements [environment.Environment].
func (w *world) Capabilities() environment.Capabilities {
	c := w.Base.Capabilities()
	c.VirtualTime = true
	return c
}

// Close implements [environment.Environment].
func (w *world) Close() error { return w.service.Close() }

// world is the environment of one drill.
type world struct {
	*environment.Base
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
		w.wires[edge] = newWire(rand.New(rand.NewPCG(w.seed, uint64(len(w.wires)))))
	}
	return w.wires[edge]
}
