package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Controls is a set of protective controls.
type Controls uint32

// The controls of the reference cache. Each can be removed by its name; see [Table].
const (
	L1 Controls = 1 << iota
	Jitter
	SingleFlight
	FillLease
	StaleWhileRevalidate
	VersionedStore
	AgeClamp
	Bus
	ClassRouting
	RedisDeadline
	Shedding
	RetryBudget
	EarlyRefresh
	HotRefresh
	NegativeCaching
	StaleIfError
	Breaker
	GapDetection
	Compression
	Fence
	Journal
)

// Has says whether every control of c is on.
func (s Controls) Has(c Controls) bool { return s&c == c }

// Control describes one control for people.
type Control struct {
	Control  Controls
	Name     string // as `without:` takes it
	Protects string // the property or cost it protects
	Backup   string // the controls that hide its loss while they stand
	Shows    string // what shows when it and its backups are removed
}

// Table lists every control, in the order in which a read meets them.
var Table = []Control{
	{ClassRouting, "class-routing", "strong families: what is cached is served only as the version that the source says is current",
		"", "strong reads older than an acknowledged write"},
	{Fence, "fence", "strong families with a read lease: a change is announced at the source, and made when no worker may answer from its memory any more",
		"", "a worker serves from its memory what another has changed"},
	{L1, "l1", "latency, and load on Redis: each worker keeps its own copies",
		"", "every hit costs a round trip; copies are gone with Redis"},
	{AgeClamp, "age-clamp", "bounded families: no copy is served at an age beyond the bound, whatever was lost",
		"the TTL, while it is within the bound", "a bounded read older than its bound"},
	{StaleWhileRevalidate, "stale-while-revalidate", "latency at expiry: readers get the old copy within the bound while one refresh runs",
		"early-refresh and hot-refresh, for keys that are read often", "every expiry makes a reader wait for the source"},
	{EarlyRefresh, "early-refresh", "latency at expiry: one of many readers renews a copy shortly before its end, at random",
		"stale-while-revalidate; hot-refresh", "every expiry makes a reader wait for the source"},
	{HotRefresh, "hot-refresh", "latency at expiry: each worker renews the copies that it serves most before their end, whether or not a reader comes",
		"stale-while-revalidate; early-refresh", "every expiry makes a reader wait for the source"},
	{NegativeCaching, "negative-caching", "source load: that there is no value is kept like a value, for a fifth of the time, and dropped when one is created",
		"", "every read of what does not exist goes to the source"},
	{StaleIfError, "stale-if-error", "availability: a copy past its TTL and within the bound is served when the source fails",
		"stale-while-revalidate, until the TTL", "errors as soon as copies end while the source is away"},
	{SingleFlight, "single-flight", "source load: one load of a key per worker at a time",
		"fill-lease", "as many loads of one key as there are readers on a worker"},
	{FillLease, "fill-lease", "source load: one load of a key per region at a time, by a token that an invalidation voids",
		"single-flight narrows it to one per worker", "as many loads of one key as there are workers"},
	{Jitter, "jitter", "source load: copies made together do not end together",
		"stale-while-revalidate", "waves of loads one TTL after a mass fill"},
	{VersionedStore, "versioned-store", "staleness: an older fill never replaces a newer value or its floor",
		"age-clamp, for bounded families", "a slow fill brings a superseded value back for a whole TTL"},
	{Bus, "bus", "staleness: writes drop the copies in other workers' memory and in Redis",
		"age-clamp, for bounded families", "copies live on until their TTL after a write"},
	{GapDetection, "gap-detection", "staleness: a worker notices that it missed messages, and renews what it has in memory",
		"age-clamp, for bounded families; the TTL", "after the loss of a message a worker's memory serves the old value for a whole TTL"},
	{Journal, "journal", "writes that were acknowledged before the source has them: they are on disk by then",
		"", "a crash of their owner loses acknowledged writes"},
	{Breaker, "breaker", "latency: after a few failures in a row no reader waits for Redis until one caller has found it answering",
		"", "every miss waits for the deadline of a Redis that is away"},
	{Compression, "compression", "memory of Redis, and the network: large values are stored compressed where that makes them smaller",
		"", "large values take their full size"},
	{RedisDeadline, "redis-deadline", "latency: a Redis that does not answer costs milliseconds, not seconds",
		"breaker, after the first few waits", "reads wait for Redis's client defaults: seconds, and retries"},
	{Shedding, "shedding", "the source, from queues in which every load times out: a worker asks for no more at a time than the source answers in time, and refuses at once what would come too late",
		"", "after a burst of misses every load times out in the source's queue, for ever"},
	{RetryBudget, "retry-budget", "the source, from retries that multiply its load when it is slowest: at most one retry for ten loads",
		"shedding", "load rises when the source slows down, and the failure sustains itself"},
}

// All is every control there is.
func All() Controls {
	var all Controls
	for _, c := range Table {
		all |= c.Control
	}
	return all
}

// Names lists the names of all controls, sorted.
func Names() []string {
	names := make([]string, 0, len(Table))
	for _, c := range Table {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// Recommended has every control on.
func Recommended() Policy { return Policy{Name: "recommended", Controls: All()} }

// Naive is what most teams start with: plain TTL cache-aside in Redis, a bare delete on write, and
// messages to the other region that delete there.
func Naive() Policy { return Policy{Name: "naive", Controls: Bus} }

// Presets are the policies that can be built upon by name.
var Presets = map[string]func() Policy{"recommended": Recommended, "naive": Naive}

// RenamedControls maps the former names of controls to the names that they have.
var RenamedControls = map[string]string{"lease": "fill-lease", "fail-safe": "stale-if-error"}

// Without gives the policy with one control removed. The error for an unknown name lists the names
// there are; that for a former name gives the present one.
func (p Policy) Without(name string) (Policy, error) {
	for _, c := range Table {
		if c.Name == name {
			p.Controls &^= c.Control
			return p, nil
		}
	}
	if now, ok := RenamedControls[name]; ok {
		return p, fmt.Errorf("control %s is now %s", name, now)
	}
	return p, fmt.Errorf("unknown control %q (known: %s)", name, strings.Join(Names(), ", "))
}
