package reference

import (
	"errors"

	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Races of strong families, whose readers must see every write that was acknowledged before they
// came.
var strongRaces = []race{
	{
		name:  "strong read of what another worker has replaced",
		wrong: "a copy is served that was current when it was made",
		ways:  []loss{alone("class-routing")},
		run: func(w *raceWorld) bool {
			w.get(1, strong)
			w.put(0, strong)
			return w.get(1, strong).Version != w.version(strong)
		},
	},
	{
		name:  "strong read joins a check from before the write",
		wrong: "the reader came after the acknowledgement, and gets what was true before",
		ways:  []loss{alone("later-rounds")},
		run: func(w *raceWorld) bool {
			w.get(0, strong)
			return w.joinEarlier("after version")
		},
	},
	{
		name:  "strong read joins a load from before the write",
		wrong: "the reader came after the acknowledgement, and gets what was read before",
		ways:  []loss{alone("later-rounds")},
		run:   func(w *raceWorld) bool { return w.joinEarlier("after load") },
	},
	{
		name:  "write while a worker holds the value",
		wrong: "a worker serves from its memory, without asking, what another has replaced",
		ways:  []loss{alone("fence")},
		run: func(w *raceWorld) bool {
			w.get(1, leased)
			w.put(0, leased)
			return w.get(1, leased).Version != w.version(leased)
		},
	},
	{
		name:  "load from before a fence ends after the write",
		wrong: "a worker holds from the end of its load on what was replaced during it",
		ways:  []loss{alone("held-from-asking")},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(1, leased)
			w.put(0, leased)
			w.finish(fill, reader)
			w.stamp("held-from-asking", 1, leased, func(c *Cache, made *l1.Copy) { made.Asked = c.clock.Instant() })
			return w.get(1, leased).Version != w.version(leased)
		},
	},
	{
		name:  "load between a fence and its write",
		wrong: "a worker holds what is about to be replaced, and the writer waits for it no more",
		ways:  []loss{alone("fence-seen")},
		run: func(w *raceWorld) bool {
			commit := w.workers[0].source.place("before commit")
			acked := w.goPut(0, leased)
			commit.await() // the wait is over
			w.get(1, leased)
			commit.pass()
			if err := <-acked; err != nil {
				w.t.Fatal(err)
			}
			return w.get(1, leased).Version != w.version(leased)
		},
	},
	{
		name:  "late commit after its fence was taken over",
		wrong: "the value changes without an announcement that stands, while workers hold the one before",
		ways:  []loss{alone("fence-id")},
		run: func(w *raceWorld) bool {
			commit := w.workers[0].source.place("before commit")
			late := w.goPut(0, leased)
			commit.await()
			w.put(1, leased) // takes the fence over
			w.get(2, leased)
			commit.pass()
			if err := <-late; err != nil && !(errors.Is(err, source.ErrNotApplied) && errors.Is(err, source.ErrFenced)) {
				w.t.Fatal(err)
			}
			return w.get(2, leased).Version != w.version(leased)
		},
	},
}

// joinEarlier has a reader come after a write to a question that was asked before it.
func (w *raceWorld) joinEarlier(where string) bool {
	asking := w.workers[0].source.place(where)
	before := w.goGet(0, strong)
	asking.await()
	w.put(1, strong)
	after := w.goGet(0, strong)
	w.settle()
	w.finish(asking, before)
	return (<-after).Version != w.version(strong)
}
