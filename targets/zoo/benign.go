package zoo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets/service"
)

// wrapped is a correct cache with an unusual get or put around it.
type wrapped struct {
	service.Cache
	put func(ctx context.Context, c service.Cache, n key.Name, value []byte, token string) (source.Record, error)
	get func(ctx context.Context, c service.Cache, n key.Name) (reference.Answer, error)
}

func (w wrapped) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	if w.put == nil {
		return w.Cache.Put(ctx, n, value, token)
	}
	return w.put(ctx, w.Cache, n, value, token)
}

func (w wrapped) Get(ctx context.Context, n key.Name) (reference.Answer, error) {
	if w.get == nil {
		return w.Cache.Get(ctx, n)
	}
	return w.get(ctx, w.Cache, n)
}

// around makes a design of the reference cache with something around each worker's.
func around(make func() wrapped) service.Design {
	return service.Design{Cache: func(ctx context.Context, cfg reference.Config) (service.Cache, error) {
		c, err := reference.New(ctx, cfg)
		if err != nil {
			return nil, err
		}
		w := make()
		w.Cache = c
		return w, nil
	}}
}

// every counts calls, and says of one in n that it is its turn.
type every struct {
	n     uint64
	calls atomic.Uint64
}

func (e *every) turn() bool { return e.calls.Add(1)%e.n == 0 }

// slowAcks holds every acknowledgement back, long after its commit.
func slowAcks() wrapped {
	return wrapped{put: func(ctx context.Context, c service.Cache, n key.Name, v []byte, token string) (source.Record, error) {
		r, err := c.Put(ctx, n, v, token)
		if err == nil {
			err = pause(ctx, 300*time.Millisecond)
		}
		return r, err
	}}
}

var errLost = errors.New("the connection broke before the answer came")

// lostAcks loses one acknowledgement in ten: the write stands, and its client does not know.
func lostAcks() wrapped {
	turns := &every{n: 10}
	return wrapped{put: func(ctx context.Context, c service.Cache, n key.Name, v []byte, token string) (source.Record, error) {
		r, err := c.Put(ctx, n, v, token)
		if err == nil && turns.turn() {
			return source.Record{}, errLost
		}
		return r, err
	}}
}

// twice stores one write in five a second time, a moment later, as a network does that delivers a
// request twice.
func twice() wrapped {
	turns := &every{n: 5}
	return wrapped{put: func(ctx context.Context, c service.Cache, n key.Name, v []byte, token string) (source.Record, error) {
		r, err := c.Put(ctx, n, v, token)
		if err != nil || !turns.turn() {
			return r, err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return r, nil
		}
		if again, err := c.Put(ctx, n, v, token); err == nil {
			return again, nil
		}
		return r, nil
	}}
}

var errBusy = errors.New("busy: try again later")

// busy refuses one operation in twenty, and says so.
func busy() wrapped {
	reads, writes := &every{n: 20}, &every{n: 20}
	return wrapped{
		put: func(ctx context.Context, c service.Cache, n key.Name, v []byte, token string) (source.Record, error) {
			if writes.turn() {
				return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, errBusy)
			}
			return c.Put(ctx, n, v, token)
		},
		get: func(ctx context.Context, c service.Cache, n key.Name) (reference.Answer, error) {
			if reads.turn() {
				return reference.Answer{}, errBusy
			}
			return c.Get(ctx, n)
		},
	}
}

// uncached asks the source every time, as a cache does that has failed over to it.
func uncached() wrapped {
	return wrapped{get: func(ctx context.Context, c service.Cache, n key.Name) (reference.Answer, error) {
		return c.GetBypass(ctx, n, false)
	}}
}

// shuffled delivers every event three times: the second time behind the next event, and once more
// much later.
type shuffled struct {
	into service.Reference

	mu    sync.Mutex
	last  *invalidation.Event
	older []invalidation.Event
}

// memoryOfOlder is how many events later an event comes for the third time.
const memoryOfOlder = 50

func newShuffled(_ string, p policy.Policy, families []reference.Family, shared store.Store) service.Invalidator {
	return &shuffled{into: service.Reference{Into: reference.NewInvalidator(p, families, shared)}}
}

func (s *shuffled) Apply(ctx context.Context, e invalidation.Event) error {
	if err := s.into.Apply(ctx, e); err != nil {
		return err
	}
	s.mu.Lock()
	again := s.last
	s.last = &e
	s.older = append(s.older, e)
	var oldest *invalidation.Event
	if len(s.older) > memoryOfOlder {
		oldest = &s.older[0]
		s.older = s.older[1:]
	}
	s.mu.Unlock()
	for _, late := range []*invalidation.Event{again, oldest} {
		if late != nil {
			_ = s.into.Apply(ctx, *late) // it was delivered before
		}
	}
	return nil
}
