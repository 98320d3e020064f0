package reference

import (
	"encoding/hex"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l1"
)

// summed gives an entry the sum that it should have.
func summed(raw []byte) []byte {
	out := append([]byte{}, raw...)
	hex.Encode(out[entry.HeadSum:entry.HeadLength], entry.Sum(raw))
	return out
}

// Races of the workers' memory with Redis and with messages.
var memoryRaces = []race{
	{
		name:  "memory refilled from Redis during a write",
		wrong: "the writer's own memory, just cleared, takes the old value from a Redis that has yet to drop it",
		ways:  []loss{{"versioned-store", []string{"bus"}}},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			late := w.workers[0].redis.place("before supersede")
			acked := w.goPut(0, lasting)
			late.await()
			w.get(0, lasting)
			late.pass()
			if err := <-acked; err != nil {
				w.t.Fatal(err)
			}
			w.event(lasting)
			return w.stale(lasting)
		},
	},
	{
		name:  "memory informed before Redis has changed",
		wrong: "a worker clears its memory, and takes the old value again from a Redis that has yet to drop it",
		ways:  []loss{{"one-step", []string{"versioned-store"}}},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			w.get(1, lasting)
			w.commit(lasting)
			between := w.bus.place("published")
			applied := make(chan error, 1)
			go func() { applied <- w.apply(lasting) }()
			w.settle()
			w.get(1, lasting)
			between.pass()
			if err := <-applied; err != nil {
				w.t.Fatal(err)
			}
			return w.stale(lasting)
		},
	},
	{
		name:  "memory filled by a read of Redis that was overtaken",
		wrong: "what was read from Redis before an event is put into memory after it, and no other event will come",
		ways:  []loss{alone("versioned-store")},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			look := w.workers[1].redis.place("after get")
			reader := w.goGet(1, lasting)
			look.await()
			w.commit(lasting)
			w.event(lasting)
			w.finish(look, reader)
			return w.stale(lasting)
		},
	},
	{
		name:  "memory of another worker after a write",
		wrong: "a worker goes on to serve what another one has replaced",
		ways:  []loss{alone("bus")},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			w.get(1, lasting)
			w.put(0, lasting)
			w.event(lasting)
			return w.stale(lasting)
		},
	},
	{
		name:  "message lost on the way to a worker",
		wrong: "its memory serves the old value, and no other event will come",
		ways:  []loss{alone("gap-detection")},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			w.get(1, lasting)
			w.workers[1].ears.deaf.Store(true)
			w.put(0, lasting)
			w.event(lasting)
			w.workers[1].ears.deaf.Store(false)
			w.beat()
			return w.stale(lasting)
		},
	},
	{
		name:  "load under way while a message is lost",
		wrong: "a load that began before the loss was noticed puts the old value into memory after it",
		ways:  []loss{{"gap-detection", []string{"refusal-heeded"}}, {"gaps-at-begin", []string{"refusal-heeded"}}},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.workers[0].ears.deaf.Store(true)
			w.commit(lasting)
			w.event(lasting)
			w.workers[0].ears.deaf.Store(false)
			w.beat()
			w.finish(fill, reader)
			w.stamp("gaps-at-begin", 0, lasting, func(c *Cache, made *l1.Copy) { made.Gaps = c.l1.Gaps() })
			return w.stale(lasting)
		},
	},
	{
		name:  "read of Redis under way while a message is lost",
		wrong: "what was read before the loss was noticed is put into memory after it",
		ways:  []loss{alone("gap-detection"), alone("gaps-at-begin")},
		run: func(w *raceWorld) bool {
			w.get(1, lasting)
			look := w.workers[0].redis.place("after get")
			reader := w.goGet(0, lasting)
			look.await()
			w.workers[0].ears.deaf.Store(true)
			w.commit(lasting)
			w.event(lasting)
			w.workers[0].ears.deaf.Store(false)
			w.beat()
			w.finish(look, reader)
			w.stamp("gaps-at-begin", 0, lasting, func(c *Cache, made *l1.Copy) { made.Gaps = c.l1.Gaps() })
			return w.stale(lasting)
		},
	},
	{
		name:  "read of Redis under way during a purge",
		wrong: "what was to be purged is put into memory by a reader who had it before",
		ways:  []loss{alone("purges-kept")},
		run: func(w *raceWorld) bool {
			w.get(1, lasting)
			look := w.workers[0].redis.place("after get")
			reader := w.goGet(0, lasting)
			look.await()
			w.purge("lasting")
			w.finish(look, reader)
			return w.isCopy(w.inMemory(0, lasting))
		},
	},
	{
		name:  "newer entry evicted from memory before an older fill ends",
		wrong: "nothing is left in memory that an older value could be compared with",
		ways:  []loss{alone("refusal-heeded")},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.workers[0].l1.Delete(w.keyOf(lasting))
			w.finish(fill, reader)
			return w.stale(lasting)
		},
	},
}

// What no control prevents: memory may evict what it knows of a version while a read of Redis is on
// its way, and keep then what that read brings. It ends with the copy: a TTL after that was read at
// the source.
func TestMemoryForgetsDuringAReadOfRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRaceWorld(t, "hot-refresh") // it might end it before
		w.get(0, lasting)
		look := w.workers[1].redis.place("after get")
		reader := w.goGet(1, lasting)
		look.await()
		w.commit(lasting)
		w.event(lasting)
		w.workers[1].l1.Delete(w.keyOf(lasting))
		w.finish(look, reader)
		require.True(t, w.stale(lasting))
		w.wait(raceLasting.Contract.TTL)
		require.False(t, w.stale(lasting))
	})
}
