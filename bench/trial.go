package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/targets/redis"
)

// The two tests.
const (
	workers         = 4
	stampedeReaders = 256
	stampedeLoad    = 50 * time.Millisecond
	flushReaders    = 64
	flushKeys       = 2_000
	flushReads      = 200 // a reader
	flushZipf       = 1.0
	flushLoad       = 20 * time.Millisecond
	valueBytes      = 200
)

// origin is the source of truth. It serves any number of loads at a time, each in the same time,
// and counts them.
type origin struct {
	takes time.Duration
	mu    sync.Mutex
	loads map[string]int
}

func newOrigin(takes time.Duration) *origin { return &origin{takes: takes, loads: map[string]int{}} }

var value = make([]byte, valueBytes)

func (o *origin) load(ctx context.Context, id string) ([]byte, error) {
	o.mu.Lock()
	o.loads[id]++
	o.mu.Unlock()
	if o.takes == 0 {
		return value, nil
	}
	t := time.NewTimer(o.takes)
	defer t.Stop()
	select {
	case <-t.C:
		return value, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (o *origin) count() (all, distinct int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.loads {
		all += n
	}
	return all, len(o.loads)
}

// measured is what is known of one library.
type measured struct {
	stampedeLoads, stampedeSlowest, flushLoads, flushTime series
	memoryHit, memoryRatio, redisHit, redisRatio          series
}

// trial is one run of everything.
type trial struct {
	node   redis.Node
	rounds int
	got    map[string]*measured
}

func (t *trial) of(name string) *measured {
	if t.got == nil {
		t.got = map[string]*measured{}
	}
	if t.got[name] == nil {
		t.got[name] = &measured{}
	}
	return t.got[name]
}

// turns runs something for every library in every round, in another order each time.
func (t *trial) turns(ctx context.Context, do func(l library) error) error {
	for round := range t.rounds {
		for i := range libraries {
			l := libraries[(round+i)%len(libraries)]
			if err := do(l); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// fleet runs do with new workers, whose memory is empty, on an empty Redis.
func (t *trial) fleet(ctx context.Context, l library, o *origin, do func([]worker) error) error {
	if err := t.node.Client().FlushAll(ctx).Err(); err != nil {
		return err
	}
	var all []worker
	defer func() {
		for _, w := range all {
			w.close()
		}
	}()
	for range workers {
		w, err := l.open(ctx, t.node.Addr(), o, l.name != bare)
		if err != nil {
			return err
		}
		all = append(all, w)
	}
	return do(all)
}

// together lets all readers go at once, and gives the time that each of them took.
func together(readers int, read func(reader int) error) ([]time.Duration, error) {
	took := make([]time.Duration, readers)
	start := make(chan struct{})
	var ready sync.WaitGroup
	var g errgroup.Group
	ready.Add(readers)
	for i := range readers {
		g.Go(func() error {
			ready.Done()
			<-start
			began := time.Now()
			err := read(i)
			took[i] = time.Since(began)
			return err
		})
	}
	ready.Wait()
	close(start)
	return took, g.Wait()
}

func longest(all []time.Duration) (most time.Duration) {
	for _, d := range all {
		most = max(most, d)
	}
	return most
}

// stampedes has all readers ask for one key that is nowhere. The workers have had to do with each
// other's key before, so that connections and scripts are there.
func (t *trial) stampedes(ctx context.Context) error {
	return t.turns(ctx, func(l library) error {
		o := newOrigin(stampedeLoad)
		return t.fleet(ctx, l, o, func(all []worker) error {
			for i, w := range all {
				if _, err := w.get(ctx, fmt.Sprint("warm", i)); err != nil {
					return err
				}
			}
			before, _ := o.count()
			took, err := together(stampedeReaders, func(i int) error {
				_, err := all[i%workers].get(ctx, "hot")
				return err
			})
			after, _ := o.count()
			m := t.of(l.name)
			m.stampedeLoads = append(m.stampedeLoads, float64(after-before))
			m.stampedeSlowest = append(m.stampedeSlowest, float64(longest(took)))
			return err
		})
	})
}

// flushes has all readers draw keys, none of which is anywhere. The draws are the same for every
// library.
func (t *trial) flushes(ctx context.Context) error {
	draws := make([][]int, flushReaders)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range draws {
		draws[i] = zipf(rng, flushReads)
	}
	return t.turns(ctx, func(l library) error {
		o := newOrigin(flushLoad)
		return t.fleet(ctx, l, o, func(all []worker) error {
			began := time.Now()
			_, err := together(flushReaders, func(i int) error {
				for _, k := range draws[i] {
					if _, err := all[i%workers].get(ctx, fmt.Sprint(k)); err != nil {
						return err
					}
				}
				return nil
			})
			m := t.of(l.name)
			loads, distinct := o.count()
			m.flushTime = append(m.flushTime, float64(time.Since(began)))
			m.flushLoads = append(m.flushLoads, float64(loads)/float64(distinct))
			return err
		})
	})
}

// zipf draws keys, rank r with a probability proportional to (r+1)^-flushZipf.
func zipf(rng *rand.Rand, n int) []int {
	up := make([]float64, flushKeys)
	sum := 0.0
	for r := range up {
		sum += math.Pow(float64(r+1), -flushZipf)
		up[r] = sum
	}
	out := make([]int, n)
	for i := range out {
		out[i] = sort.SearchFloat64s(up, rng.Float64()*sum)
	}
	return out
}

// memoryHits and redisHits time one reader's hits of one key.
func (t *trial) memoryHits(ctx context.Context) error {
	err := t.hits(ctx, true, 100_000, func(m *measured) *series { return &m.memoryHit })
	for _, l := range libraries {
		m := t.of(l.name)
		m.memoryRatio = ratios(m.memoryHit, t.of(ours).memoryHit)
	}
	return err
}

func (t *trial) redisHits(ctx context.Context) error {
	err := t.hits(ctx, false, 2_000, func(m *measured) *series { return &m.redisHit })
	for _, l := range libraries {
		m := t.of(l.name)
		m.redisRatio = ratios(m.redisHit, t.of(ours).redisHit)
	}
	return err
}

func (t *trial) hits(ctx context.Context, memory bool, reads int, into func(*measured) *series) error {
	if err := t.node.Client().FlushAll(ctx).Err(); err != nil {
		return err
	}
	o := newOrigin(0)
	open := map[string]worker{}
	defer func() {
		for _, w := range open {
			w.close()
		}
	}()
	for i, l := range libraries {
		w, err := l.open(ctx, t.node.Addr(), o, memory)
		if err != nil {
			return err
		}
		if w.get == nil {
			continue
		}
		open[l.name] = w
		if err := settle(ctx, w, fmt.Sprint("hit", i), t.node); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	before, _ := o.count()
	err := t.turns(ctx, func(l library) error {
		w, there := open[l.name]
		if !there {
			return nil
		}
		id := ""
		for i := range libraries {
			if libraries[i].name == l.name {
				id = fmt.Sprint("hit", i)
			}
		}
		began := time.Now()
		for range reads {
			if w.forget != nil {
				w.forget(id)
			}
			if v, err := w.get(ctx, id); err != nil || len(v) != valueBytes {
				return fmt.Errorf("a hit gave %d bytes: %w", len(v), err)
			}
		}
		s := into(t.of(l.name))
		*s = append(*s, float64(time.Since(began))/float64(reads))
		return nil
	})
	if after, _ := o.count(); err == nil && after != before {
		err = fmt.Errorf("%d hits were loads", after-before)
	}
	return err
}

// settle has a value in every tier of a worker: some store it after they have answered.
func settle(ctx context.Context, w worker, id string, node redis.Node) error {
	if _, err := w.get(ctx, id); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, err := node.Client().Exists(ctx, redisKey(id)).Result(); err != nil || n == 1 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not in redis", redisKey(id))
		}
	}
}
