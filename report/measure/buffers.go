package measure

import (
	"sync"
	"time"
)

const (
	shards    = 8
	batchSize = 256
	batchAge  = 250 * time.Millisecond // at low rates, nothing waits longer for company than this
)

// buffers collects items in shards. The zero value is ready.
type buffers[T any] struct {
	shard [shards]struct {
		sync.Mutex
		items  []T
		oldest time.Duration
		_      [64]byte // a cache line of its own for each
	}
	spare sync.Pool
}

// add keeps an item that is known since the given time, and hands back a batch when one is due.
func (b *buffers[T]) add(n uint64, item T, at time.Duration) (full []T) {
	s := &b.shard[n%shards]
	s.Lock()
	defer s.Unlock()
	if s.items == nil {
		if spare, ok := b.spare.Get().(*[]T); ok {
			s.items = *spare
		}
	}
	if len(s.items) == 0 {
		s.oldest = at
	}
	s.items = append(s.items, item)
	if len(s.items) < batchSize && at-s.oldest < batchAge {
		return nil
	}
	full, s.items = s.items, nil
	return full
}

func (b *buffers[T]) recycle(batch []T) {
	clear(batch)
	batch = batch[:0]
	b.spare.Put(&batch)
}

func (b *buffers[T]) drain(fold func([]T)) {
	for i := range b.shard {
		s := &b.shard[i]
		s.Lock()
		items := s.items
		s.items = nil
		s.Unlock()
		if len(items) > 0 {
			fold(items)
		}
	}
}
