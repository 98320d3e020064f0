package reference

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
)

// listenAgain is the time between two attempts to begin listening.
const listenAgain = 50 * time.Millisecond

// listen drops the worker's copies as the bus announces newer versions. Messages are lost while the
// connection is: then the copies that the worker has are suspect. A Redis that is away at first is
// listened to when it comes.
func (c *Cache) listen(ctx context.Context) {
	sub, err := c.cfg.Shared.Subscribe(ctx, bus.Channel)
	_ = c.work.Go(func() { // nothing has closed it yet
		life := c.work.Context()
		for err != nil {
			if background.Sleep(life, listenAgain) != nil {
				return
			}
			sub, err = c.cfg.Shared.Subscribe(life, bus.Channel)
		}
		defer sub.Close()
		r := receiver{cache: c, to: c.instrumented.listener(memoryListener{c})}
		for {
			select {
			case message, ok := <-sub.Messages():
				if !ok {
					return
				}
				r.onMessage(message)
			case <-life.Done():
				return
			}
		}
	})
}

// receiver follows the bus for a worker.
type receiver struct {
	cache  *Cache
	cursor bus.Cursor
	to     listener
}

func (r *receiver) onMessage(message string) {
	m, ok := bus.Parse(message)
	if !ok {
		return
	}
	first := r.cursor.Epoch == ""
	if r.cursor.Missed(m) {
		if first {
			memoryListener{r.cache}.gap() // before the first message nothing can have been missed that an observer should hear of
		} else {
			r.to.gap()
		}
	}
	switch m.Kind {
	case bus.Purge:
		if what, err := purge.ParseSelection(m.Purge, r.cache.purgeable()); err == nil { // else it is about families that this worker has not
			r.to.purge(what)
		}
	case bus.Event:
		if f, known := r.cache.families[m.Family]; known {
			r.to.superseded(f, m)
		}
	}
}

// purgeable gives the cache's families, by name, as a purge must know them.
func (c *Cache) purgeable() map[string]purge.Family {
	out := make(map[string]purge.Family, len(c.families))
	for _, f := range PurgeFamilies(c.cfg.Families) {
		out[f.Schema.Family] = f
	}
	return out
}

// memoryListener changes the worker's memory.
type memoryListener struct{ *Cache }

func (l memoryListener) gap() {
	if l.policy.Controls.Has(policy.GapDetection) {
		l.l1.AddGap()
	}
}

func (l memoryListener) purge(what purge.Selection) {
	life := time.Duration(0)
	for _, f := range l.families {
		life = max(life, l.policy.Keep(f.Contract))
	}
	l.l1.Purge(what, l.clock.Now(), int64(life))
}

func (l memoryListener) superseded(f *family, m bus.Message) {
	l.invalidateL1(m.Key, f.Contract, m.Version)
	if l.cfg.OnInvalidated != nil && l.policy.Controls.Has(policy.L1) {
		l.cfg.OnInvalidated(Invalidated{m.Key, m.Version})
	}
}
