// Package zoo keeps caches to test drills with. The broken ones are what real teams wrote, each
// with one mistake, and the reference cache without one of its controls: each names the drill and
// the objective that must catch it. The benign ones are unusual but correct, and must never be
// accused.
//
// zoo.yaml is the suite of drills; every specimen is a policy of it.
package zoo

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets/service"
)

// Suite is the YAML of the drills that the specimens are shown to.
//
//go:embed zoo.yaml
var Suite []byte

// Specimen is one cache.
type Specimen struct {
	Name  string
	What  string // what is wrong with it, or unusual, in a few words
	Drill string // of a broken one: the drill that must catch it
	// Objective that must catch a broken one, as it begins; "" of a correct one.
	Objective string
	// Cost says that only an objective about cost or latency can catch it: what it answers is
	// right.
	Cost bool
	// Costly says that a correct one asks the source more, or takes longer, than the drills'
	// objectives about cost allow.
	Costly bool
	Policy service.Policy
}

// Correct reports whether the specimen must not be accused of anything.
func (a Specimen) Correct() bool { return a.Objective == "" }

// AboutCost says whether an objective is about how often the source is asked, or how long something
// takes: a cache that misses it may still be right.
func AboutCost(expr string) bool {
	return slices.ContainsFunc([]string{"hit_ratio", "stampede", "source_qps", "p95", "invalidation_lag"}, func(metric string) bool {
		return strings.HasPrefix(expr, metric)
	})
}

// Specimens lists every one.
func Specimens() []Specimen { return slices.Concat(mutants(), broken(), benign()) }

// Presets are the specimens, as policies that a suite can name.
func Presets() map[string]service.Policy {
	all := map[string]service.Policy{}
	for _, a := range Specimens() {
		all[a.Name] = a.Policy
	}
	return all
}

// mutants are the reference cache without a control, and without what would hide that.
func mutants() []Specimen {
	var out []Specimen
	for _, m := range []struct {
		control          string
		backups          []string
		drill, objective string
		cost             bool
	}{
		{"class-routing", nil, "split", "violations", false},
		{"fence", nil, "leases", "violations", false},
		{"l1", nil, "calm", "hit_ratio{tier=l1, family=page}", true},
		{"age-clamp", nil, "calm", "violations", false},
		{"stale-while-revalidate", []string{"early-refresh", "hot-refresh"}, "warm", "hit_ratio{family=page}", true},
		{"single-flight", []string{"fill-lease", "l1"}, "herd", "stampede.max{family=slow}", true},
		{"fill-lease", []string{"single-flight", "l1"}, "herd", "stampede.max{family=slow}", true},
		{"jitter", []string{"stale-while-revalidate", "l1"}, "wave", "source_qps.peak{family=batch}", true},
		{"versioned-store", nil, "overtaken", "invalidation_lag.max{family=page}", true},
		{"bus", nil, "calm", "invalidation_lag.max{family=page}", true},
		{"redis-deadline", []string{"breaker"}, "restart", "p95{family=page, kind=read}", true},
	} {
		p := policy.Recommended()
		what := "the reference cache without " + m.control
		for _, name := range append([]string{m.control}, m.backups...) {
			p, _ = p.Without(name) // a name that is wrong here changes nothing, and the specimen isn't caught
		}
		for _, b := range m.backups {
			what += " and " + b
		}
		p.Name = "without-" + m.control
		out = append(out, Specimen{Name: p.Name, What: what, Drill: m.drill, Objective: m.objective, Cost: m.cost, Policy: service.Policy{Policy: p}})
	}
	return out
}

// broken are textbook caches with a mistake.
func broken() []Specimen {
	return []Specimen{
		textbookWith("lock-thief", "the lock expires under a load and is deleted by a worker that does not own it", "herd", "stampede.max{family=slow}", true,
			bugs{lockThief: true}),
		textbookWith("late-version", "the version is asked for after the value was read", "calm", "corruptions", false, bugs{lateVersion: true}),
		textbookWith("early-join", "a strong read joins a load that began before the write it must see", "joins", "violations", false, bugs{earlyJoin: true}),
		textbookWith("no-clamp", "the TTL begins anew in every tier, and no copy's age is looked at", "split", "violations", false, bugs{noClamp: true}),
		textbookWith("negative-forever", "'not found' is cached and a create does not void it", "calm", "violations", false, bugs{negativeForever: true}),
		textbookWith("tenant-blind", "the tenant is left out of the key", "calm", "leaks", false, bugs{tenantBlind: true}),
		textbookWith("dual-write", "source, then Redis, without an outbox: a worker that misses the one message stays stale", "restart", "violations", false,
			bugs{unheard: true, noClamp: true, longTTL: true}),
		textbookWith("delete-first", "the copy is deleted before the write: a reader in between brings it back", "calm", "violations", false,
			bugs{deleteFirst: true, unheard: true, noClamp: true, longTTL: true}),
		textbookWith("slow-fill", "a fill that was overtaken by a write is stored all the same", "calm", "violations", false,
			bugs{slowFill: true, noClamp: true, longTTL: true}),
		textbookWith("deaf-memory", "memory does not get the invalidations", "calm", "violations", false, bugs{deaf: true, noClamp: true, longTTL: true}),
		textbookWith("write-behind", "writes are acknowledged once they are in Redis, without a journal", "restart", "lost_writes", false, bugs{writeBehind: true}),
		textbookWith("falsy", "an empty value is taken for a miss", "warm", "hit_ratio{tier=l1, family=page}", true, bugs{falsy: true}),
	}
}

func textbookWith(name, what, drill, objective string, cost bool, q bugs) Specimen {
	a := Specimen{Name: name, What: what, Drill: drill, Objective: objective, Cost: cost}
	a.Policy = service.Policy{Policy: policy.Recommended(), Design: textbookDesign(q)}
	a.Policy.Name = name
	return a
}

func textbookDesign(q bugs) service.Design {
	return service.Design{
		Cache: func(ctx context.Context, cfg reference.Config) (service.Cache, error) {
			return newTextbook(ctx, cfg, q)
		},
		Invalidator: func(region string, _ policy.Policy, families []reference.Family, shared store.Store) service.Invalidator {
			return newInvalidator(region, families, shared, q)
		},
	}
}

// benign are unusual caches that are correct.
func benign() []Specimen {
	like := func(name, what string, d service.Design) Specimen {
		p := policy.Recommended()
		p.Name = name
		return Specimen{Name: name, What: what, Policy: service.Policy{Policy: p, Design: d}}
	}
	return []Specimen{
		like("recommended", "the reference cache", service.Design{}),
		costly(like("textbook", "the textbook cache without a mistake", textbookDesign(bugs{}))),
		like("slow-acks", "acknowledgements come 300 ms after the commit", around(slowAcks)),
		like("lost-acks", "one acknowledgement in ten never comes", around(lostAcks)),
		like("twice", "one write in five is stored twice, as networks do", around(twice)),
		like("busy", "one operation in twenty is refused, honestly", around(busy)),
		costly(like("uncached", "every read goes to the source, as after a failover", around(uncached))),
		costly(like("shuffled", "invalidations come three times, and out of order", service.Design{Invalidator: newShuffled})),
	}
}

func costly(a Specimen) Specimen {
	a.Costly = true
	return a
}
