package load

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/cachedrill/cachedrill/targets"
)

// Mix is one family's part of a workload.
type Mix struct {
	Family string
	Share  float64 // of all operations, 0..1; the shares of a workload sum to 1
	Keys   int     // distinct keys, counted over all tenants, locales and currencies; 1 or more
	Zipf   float64 // exponent of the popularity of keys; 0 is uniform, any finite value of 0 or more goes
	Writes float64 // of this family's operations, 0..1

	// Deletes is the share of deletes in this family's operations, 0..1; with Writes at most 1.
	Deletes float64

	// Absent is the share of keys, 0..1, that don't exist at the start, and not until a write
	// creates them. Each key is one of them with this probability, hot or not: by seed, family and
	// rank alone.
	Absent float64

	// The dimensions that the family varies by; those that it does not vary by are empty.
	Tenants, Locales, Currencies []string
}

// Workload says what is asked for.
type Workload struct {
	Seed  uint64
	Run   string // names the run in the tokens of writes: not empty, without dots; changes nothing else
	Mixes []Mix

	Regions []string // where clients are, uniformly; empty: requests name no region

	// Sessions is how many clients there are, numbered from 1; with 0 requests name no session. A
	// client stays in one region, number s in that with index (s-1) mod len(Regions), unless there
	// are fewer clients than regions.
	Sessions int
}

// Generator makes the operations of a workload. It is immutable, so any number of goroutines may
// use it at once.
type Generator struct {
	seed     uint64
	run      string
	families []family
	regions  []string
	sessions uint64
}

type family struct {
	keys   *keyspace
	share  float64
	upTo   float64 // the shares of this and all earlier families
	writes float64
	change float64 // writes and deletes
	absent float64
	salt   uint64 // for the draw that makes a key absent
}

// NewGenerator checks a workload and makes its generator. It takes 12 bytes a key, and 24 more for
// each distinct ID.
func NewGenerator(w Workload) (*Generator, error) {
	if len(w.Mixes) == 0 {
		return nil, errors.New("workload has no families")
	}
	if w.Sessions < 0 {
		return nil, fmt.Errorf("workload has %d sessions", w.Sessions)
	}
	if err := distinct("regions", w.Regions); err != nil {
		return nil, err
	}
	g := &Generator{seed: w.Seed, run: w.Run, regions: append([]string(nil), w.Regions...), sessions: uint64(w.Sessions)}
	sum, names := 0.0, make([]string, 0, len(w.Mixes))
	for _, m := range w.Mixes {
		if err := m.check(w.Run); err != nil {
			return nil, fmt.Errorf("family %q: %w", m.Family, err)
		}
		names = append(names, m.Family)
		sum += m.Share
		g.families = append(g.families, family{
			keys: newKeyspace(m), share: m.Share, upTo: sum, writes: m.Writes, change: m.Writes + m.Deletes,
			absent: m.Absent, salt: xxhash.Sum64String(m.Family),
		})
	}
	if err := distinct("families", names); err != nil {
		return nil, err
	}
	if math.Abs(sum-1) > rounding {
		return nil, fmt.Errorf("the shares of the families sum to %.6g: they must sum to 1", sum)
	}
	for i := range g.families {
		g.families[i].upTo /= sum
	}
	return g, nil
}

func (m Mix) check(run string) error {
	unit := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case !unit(m.Share):
		return fmt.Errorf("share %v is not within 0 and 1", m.Share)
	case !unit(m.Writes):
		return fmt.Errorf("writes %v is not within 0 and 1", m.Writes)
	case !unit(m.Deletes):
		return fmt.Errorf("deletes %v is not within 0 and 1", m.Deletes)
	case m.Writes+m.Deletes > 1+rounding:
		return fmt.Errorf("writes %v and deletes %v make more than 1", m.Writes, m.Deletes)
	case !unit(m.Absent):
		return fmt.Errorf("absent %v is not within 0 and 1", m.Absent)
	case m.Writes > 0 && (run == "" || strings.Contains(run, ".")):
		return fmt.Errorf("writes need a run whose name is not empty and has no dots, not %q", run)
	case m.Keys < 1 || m.Keys > maxRanks:
		return fmt.Errorf("%d keys: want 1 to %d", m.Keys, maxRanks)
	case !(m.Zipf >= 0) || math.IsInf(m.Zipf, 0):
		return fmt.Errorf("zipf exponent %v is not a finite number of 0 or more", m.Zipf)
	}
	return errors.Join(distinct("tenants", m.Tenants), distinct("locales", m.Locales), distinct("currencies", m.Currencies))
}

// rounding is how far sums of shares may be off.
const rounding = 1e-6

// distinct refuses values that could not be distinguished.
func distinct(what string, values []string) error {
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		if v == "" {
			return fmt.Errorf("one of the %s has no name", what)
		}
		if seen[v] {
			return fmt.Errorf("%s: %q is there twice", what, v)
		}
		seen[v] = true
	}
	return nil
}

// Request makes operation n: a pure function of the workload's seed and n. Only the token of a
// write depends on the run as well.
//
// Every operation makes the same draws in the same order, used or not, so that a change of one
// number in a workload changes as little else as possible.
func (g *Generator) Request(n uint64) targets.Request {
	d := newDraws(g.seed, n)
	which, kind, rank, region, session := d.unit(), d.unit(), d.next(), d.next(), d.next()

	f := g.family(which)
	r := targets.Request{Seq: n, Key: f.keys.key(f.keys.popularity.rank(rank))}
	switch {
	case kind < f.writes:
		r.Kind = targets.Write
		r.Token = targets.NewToken(g.run, n, r.Key)
	case kind < f.change:
		r.Kind = targets.Delete
	}
	where := uint64(0)
	regions := uint64(len(g.regions))
	if regions > 0 {
		where = below(region, regions)
		r.Region = g.regions[where]
	}
	switch {
	case g.sessions == 0:
	case regions == 0 || g.sessions < regions:
		r.Session = 1 + below(session, g.sessions)
	default:
		here := (g.sessions - where + regions - 1) / regions
		r.Session = 1 + where + regions*below(session, here)
	}
	return r
}

func (g *Generator) family(at float64) *family {
	last := len(g.families) - 1
	for i := range g.families[:last] {
		if at < g.families[i].upTo {
			return &g.families[i]
		}
	}
	return &g.families[last]
}

// Keys are all keys of a family by popularity, the most popular first; none for an unknown family.
func (g *Generator) Keys(family string) []targets.Key {
	k := g.named(family)
	if k == nil {
		return nil
	}
	keys := make([]targets.Key, k.keys.len())
	for rank := range keys {
		keys[rank] = k.keys.key(rank)
	}
	return keys
}

// Seeded are the keys of a family that exist before the first operation: all but the absent ones,
// in the order of [Generator.Keys].
func (g *Generator) Seeded(family string) []targets.Key {
	k := g.named(family)
	if k == nil {
		return nil
	}
	keys := make([]targets.Key, 0, k.keys.len())
	for rank := range k.keys.len() {
		if !g.absent(k, rank) {
			keys = append(keys, k.keys.key(rank))
		}
	}
	return keys
}

func (g *Generator) absent(f *family, rank int) bool {
	d := newDraws(mix64(g.seed)^f.salt, uint64(rank))
	return d.unit() < f.absent
}

// Probability is how likely an operation is to ask for the family's key of a popularity rank, 0
// being the most popular: 0..1, of all operations of the workload.
func (g *Generator) Probability(family string, rank int) float64 {
	if k := g.named(family); k != nil {
		return k.share * k.keys.popularity.probability(rank)
	}
	return 0
}

func (g *Generator) named(name string) *family {
	for i := range g.families {
		if g.families[i].keys.family == name {
			return &g.families[i]
		}
	}
	return nil
}
