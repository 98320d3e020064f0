package purge

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Family is a family as far as a purge must know it: whose keys are its, how long its copies live,
// and where they are.
type Family struct {
	Schema   key.Schema
	Contract policy.Family
	Pool     string // the pool that has its copies; "": the region's own Redis
}

// Selector says what is to be purged: one Name, or a Family, a Tenant or both, or a Prefix, or All.
// The zero Selector selects nothing and is refused.
type Selector struct {
	Name   key.Name // this one, under the key that its family's schema builds now
	Family string   // the keys of a family, of whichever version of its schema
	Tenant string   // the keys of a tenant, in all families that vary by it; with Family only that one's
	Prefix string   // the families' keys that begin so, as they stand in Redis: "tenant:acme:product:17"
	All    bool     // the keys of all families
}

// ErrSelector marks a selector that can't be understood. It selects nothing.
var ErrSelector = errors.New("what to purge is not clear")

// Selection is a [Selector] that was checked against families. The memory of a worker purges by it.
type Selection struct {
	key, family, tenant, prefix string // key is the Name's
	all                         bool
	of                          []Family // whose keys may be meant
}

func (s Selector) compile(families map[string]Family) (Selection, error) {
	out := Selection{family: s.Family, tenant: s.Tenant, prefix: s.Prefix, all: s.All}
	if s.Name != (key.Name{}) {
		f, ok := families[s.Name.Family]
		if !ok {
			return Selection{}, fmt.Errorf("%w: %w %q", ErrSelector, key.ErrFamily, s.Name.Family)
		}
		var err error
		if out.key, err = f.Schema.Build(s.Name); err != nil {
			return Selection{}, fmt.Errorf("%w: %w", ErrSelector, err)
		}
		out.of = []Family{f}
	}
	return out.check(families)
}

// check refuses what is empty, what says two things, and what can't match anything. It finds the
// families that are meant.
func (s Selection) check(families map[string]Family) (Selection, error) {
	ways := 0
	for _, given := range []bool{s.key != "", s.family != "" || s.tenant != "", s.prefix != "", s.all} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return Selection{}, fmt.Errorf("%w: it is empty; to purge everything, say All", ErrSelector)
	case ways > 1:
		return Selection{}, fmt.Errorf("%w: give a name, or a family and a tenant, or a prefix, or all", ErrSelector)
	case strings.Trim(s.prefix, keyCharacters) != "":
		return Selection{}, fmt.Errorf("%w: no key holds %q; what is not a letter, a digit, a dot, a dash or an underscore stands there as %%XX",
			ErrSelector, strings.Trim(s.prefix, keyCharacters))
	case s.family != "":
		f, ok := families[s.family]
		if !ok {
			return Selection{}, fmt.Errorf("%w: %w %q", ErrSelector, key.ErrFamily, s.family)
		}
		if s.tenant != "" && !f.Schema.Varies(key.Tenant) {
			return Selection{}, fmt.Errorf("%w: family %s does not vary by tenant", ErrSelector, s.family)
		}
		s.of = []Family{f}
	case s.key == "":
		for _, f := range families {
			if s.tenant == "" || f.Schema.Varies(key.Tenant) {
				s.of = append(s.of, f)
			}
		}
		if len(s.of) == 0 {
			return Selection{}, fmt.Errorf("%w: no family varies by tenant", ErrSelector)
		}
		slices.SortFunc(s.of, func(a, b Family) int { return strings.Compare(a.Schema.Family, b.Schema.Family) })
	}
	return s, nil
}

const keyCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_%:"

// owner says whether a key is selected, and of which family it is.
func (s Selection) owner(k string) (Family, bool) {
	if s.key != "" {
		if k != s.key {
			return Family{}, false
		}
		return s.of[0], true
	}
	if !strings.HasPrefix(k, s.prefix) {
		return Family{}, false
	}
	for _, f := range s.of {
		if s.tenant != "" && f.Schema.OwnsFor(s.tenant, k) || s.tenant == "" && f.Schema.Owns(k) {
			return f, true
		}
	}
	return Family{}, false
}

// Key is the one key that is selected; "" for a selection of many.
func (s Selection) Key() string { return s.key }

// Selects says whether a key is selected.
func (s Selection) Selects(k string) bool {
	_, selected := s.owner(k)
	return selected
}

// pools lists the pools of the selected families, each once.
func (s Selection) pools() (all []string) {
	for _, f := range s.of {
		if !slices.Contains(all, f.Pool) {
			all = append(all, f.Pool)
		}
	}
	return all
}

// in is what is selected of one pool.
func (s Selection) in(pool string) Selection {
	var here []Family
	for _, f := range s.of {
		if f.Pool == pool {
			here = append(here, f)
		}
	}
	s.of = here
	return s
}

// pieces is the pattern of a scan that finds every selected key, and few others.
func (s Selection) pieces() []string {
	switch {
	case s.family != "":
		return s.of[0].Schema.Pieces(s.tenant)
	case s.tenant != "":
		return []string{"tenant:" + key.Escape(s.tenant) + ":"}
	case s.prefix != "":
		return []string{s.prefix}
	}
	return nil
}

// String says what is selected, as the audit log and the progress show it. Tenants are written as
// they stand in keys.
func (s Selection) String() string {
	switch {
	case s.key != "":
		return "key " + s.key
	case s.family != "" && s.tenant != "":
		return "family " + s.family + " of tenant " + key.Escape(s.tenant)
	case s.family != "":
		return "family " + s.family
	case s.tenant != "":
		return "tenant " + key.Escape(s.tenant)
	case s.prefix != "":
		return "prefix " + s.prefix
	}
	return "everything"
}

// message is the selection as the bus carries it, without a space.
func (s Selection) message() string {
	v := url.Values{}
	for name, value := range map[string]string{"key": s.key, "family": s.family, "tenant": s.tenant, "prefix": s.prefix} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if s.all {
		v.Set("all", "yes")
	}
	return v.Encode()
}

// ParseSelection reads a selection from a message of the invalidation bus. Families are those of
// the worker, by name.
func ParseSelection(message string, families map[string]Family) (Selection, error) {
	v, err := url.ParseQuery(message)
	if err != nil {
		return Selection{}, fmt.Errorf("%w: %w", ErrSelector, err)
	}
	s := Selection{key: v.Get("key"), family: v.Get("family"), tenant: v.Get("tenant"), prefix: v.Get("prefix"), all: v.Get("all") == "yes"}
	if s.key != "" {
		s.of = make([]Family, 1)
	}
	return s.check(families)
}
