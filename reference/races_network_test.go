package reference

import (
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// sourceShed is an answer of the source after which no worker asks again at once.
var sourceShed = source.ErrShed

func (w *raceWorld) isCopy(m policy.Meta) bool {
	return m.Kind == policy.Value || m.Kind == policy.Absence
}

// wait lets virtual time pass.
func (w *raceWorld) wait(d time.Duration) {
	time.Sleep(d)
	w.settle()
}

// Races with a network that delivers late, and with a Redis that forgets.
var networkRaces = []race{
	{
		name:  "fill in the network lands after a newer one",
		wrong: "a command that its sender has given up overwrites what came after it",
		ways:  []loss{alone("versioned-store"), {"version-compare", []string{"fill-lease"}}, {"version-compare", []string{"token-compare"}}},
		run: func(w *raceWorld) bool {
			late := w.workers[0].redis.queue("store")
			w.get(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.get(1, lasting)
			late.land()
			return w.stale(lasting)
		},
	},
	{
		name:  "fill in the network lands after a restart of Redis",
		wrong: "Redis has forgotten what the command would be compared with",
		ways:  []loss{alone("fill-lease"), alone("token-compare"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			late := w.workers[0].redis.queue("store")
			w.get(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.restart()
			late.land()
			return w.stale(lasting)
		},
	},
	{
		name:  "Redis forgets while a fill is under way",
		wrong: "the knowledge that the value was superseded is gone when the fill ends",
		ways:  []loss{alone("fill-lease"), alone("token-compare"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.restart()
			w.finish(fill, reader)
			return w.stale(lasting)
		},
	},
	{
		name:  "write reaches the source and not Redis",
		wrong: "the old value stays in Redis and in memory, though the write was acknowledged",
		ways:  []loss{alone("bus")},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			w.get(1, lasting)
			w.workers[2].redis.place("before supersede").fail(errSilence)
			w.put(2, lasting)
			w.event(lasting)
			return w.stale(lasting)
		},
	},
	{
		name:  "entry written in half",
		wrong: "the part of a value that arrived is served as the whole",
		ways:  []loss{alone("checksum")},
		run: func(w *raceWorld) bool {
			w.get(0, lasting)
			k := w.keyOf(lasting)
			raw, _, err := w.direct.Get(w.t.Context(), k)
			if err != nil {
				w.t.Fatal(err)
			}
			half := raw[:len(raw)-1]
			if w.away["checksum"] {
				half = summed(half)
			}
			if err := w.direct.Set(w.t.Context(), k, half, time.Hour); err != nil {
				w.t.Fatal(err)
			}
			return w.stale(lasting)
		},
	},
	{
		name:  "write-behind in a crash",
		wrong: "a write that was acknowledged is gone",
		ways:  []loss{alone("journal")},
		test:  "reference/journal TestNothingAcknowledgedIsLostInACrash",
	},
}
