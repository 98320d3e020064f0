package reference

import "github.com/cachedrill/cachedrill/reference/internal/sourceguard"

// Races of fills with what supersedes the value that they bring.
var fillRaces = []race{
	{
		name:  "slow fill after an invalidation",
		wrong: "a load that read before a write ends after it, and brings the old value back",
		ways:  []loss{alone("versioned-store"), {"version-compare", []string{"fill-lease"}}, {"version-compare", []string{"lease-void"}}},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.finish(fill, reader)
			return w.stale(lasting)
		},
	},
	{
		name:  "newer entry evicted before an older fill ends",
		wrong: "nothing is left in Redis that an older value could be compared with",
		ways:  []loss{alone("fill-lease"), alone("lease-void"), alone("token-compare"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			w.evict(lasting)
			w.finish(fill, reader)
			return w.stale(lasting)
		},
	},
	{
		name:  "version stamped after the source was read",
		wrong: "an old value takes the version of the write that has overtaken it, and nothing can replace it any more",
		ways:  []loss{alone("version-with-value")},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.put(1, lasting)
			w.event(lasting)
			answered := w.finish(fill, reader)
			return w.torn(answered) || w.stale(lasting)
		},
	},
	{
		name:  "create over a negative entry",
		wrong: "a name that exists is not found, because it was looked for before",
		ways:  []loss{alone("bus")},
		run: func(w *raceWorld) bool {
			w.get(0, created)
			w.get(1, created)
			w.put(2, created)
			w.event(created)
			return w.stale(created)
		},
	},
	{
		name:  "create while a load finds nothing",
		wrong: "that nothing was found is kept after something is there",
		ways:  []loss{alone("versioned-store"), {"version-compare", []string{"fill-lease"}}},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, created)
			w.put(1, created)
			w.event(created)
			w.finish(fill, reader)
			return w.stale(created)
		},
	},
	{
		name:  "purge while a load is under way",
		wrong: "what was to be purged is put back by a load that read it before",
		ways:  []loss{alone("fill-lease"), alone("token-compare"), {"purges-kept", []string{"refusal-heeded"}}},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, lasting)
			w.purge("lasting")
			w.finish(fill, reader)
			return w.isCopy(w.inRedis(lasting)) || w.isCopy(w.inMemory(0, lasting))
		},
	},
	{
		name:  "reader joins a load that read too long ago",
		wrong: "in a bounded family a reader gets a value that was older than the bound when it came",
		ways:  []loss{alone("age-clamp")},
		run: func(w *raceWorld) bool {
			fill, first := w.slowGet(0, soon)
			w.commit(soon)
			w.wait(raceSoon.Contract.Within * 3 / 2)
			second := w.goGet(0, soon)
			w.settle()
			w.finish(fill, first)
			return (<-second).Version != w.version(soon)
		},
	},
}

// Races about the lease under which a worker loads.
var leaseRaces = []race{
	{
		name:  "lease ends while its load is under way",
		wrong: "who lost the lease stores all the same, and over the lease of who has it now",
		ways:  []loss{alone("token-compare")},
		run: func(w *raceWorld) bool {
			first, one := w.slowGet(0, lasting)
			w.redis.Step(2 * leaseTTL) // Redis's clock jumps
			w.commit(lasting)
			w.event(lasting)
			second, two := w.slowGet(1, lasting)
			w.evict(lasting)
			w.finish(first, one)
			broke := w.isCopy(w.inRedis(lasting))
			w.finish(second, two)
			return broke || w.inRedis(lasting).Version != w.version(lasting) || w.stale(lasting)
		},
	},
	{
		name:  "lease shorter than its load",
		wrong: "a slow load is doubled by the next worker",
		ways:  []loss{alone("lease-outlives-load")},
		run: func(w *raceWorld) bool {
			fill, one := w.slowGet(0, lasting)
			w.wait(sourceguard.AttemptTimeout * 3 / 4)
			two := w.goGet(1, lasting)
			w.settle()
			w.finish(fill, one)
			<-two
			return w.loads.Load() > 1
		},
	},
	{
		name:  "lease of another given back",
		wrong: "who lost the lease ends that of who has it now, so that a third one loads too",
		ways:  []loss{alone("own-release")},
		run: func(w *raceWorld) bool {
			first, one := w.slowGet(0, lasting)
			w.redis.Step(2 * leaseTTL)
			second, two := w.slowGet(1, lasting)
			first.fail(sourceShed)
			<-one
			three := w.goGet(2, lasting)
			w.settle()
			broke := w.loads.Load() > 2
			w.finish(second, two)
			<-three
			return broke
		},
	},
}
