package http

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/targets"
)

// Answer has the extractors of a family's answers. What the service does not answer has no
// extractor, and what depends on it is unknown then.
type Answer struct {
	token   extractor
	version extractor
	owner   map[string]extractor // by dimension: the key that the value belongs to
	tier    extractor
	tiers   map[string]string // the service's own words for its tiers, in lower case
	worker  extractor
}

// tierWords are common words of services for the tier of an answer, in lower case.
var tierWords = map[string]string{
	"l1": targets.TierL1, "memory": targets.TierL1, "local": targets.TierL1,
	"l2": targets.TierL2, "redis": targets.TierL2, "hit": targets.TierL2, "cache": targets.TierL2, "stale": targets.TierL2, "updating": targets.TierL2,
	"l3": targets.TierSource, "source": targets.TierSource, "miss": targets.TierSource, "expired": targets.TierSource, "db": targets.TierSource,
	"database": targets.TierSource, "revalidated": targets.TierSource,
	"bypass": targets.TierBypass,
}

// tierOf translates the service's word. An unknown word gives no tier.
func (a *Answer) tierOf(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	if t, ok := a.tiers[word]; ok {
		return t
	}
	return tierWords[word]
}

// GarbledError is an answer with a good status that does not hold what it should.
type GarbledError struct{ Why string }

func (e *GarbledError) Error() string { return targets.ErrUnreadable.Error() + ": " + e.Why }

// Is says that it is a [targets.ErrUnreadable].
func (e *GarbledError) Is(target error) bool { return target == targets.ErrUnreadable }

// foreignValue stands for a value that no write of a drill stored, where the value itself has no
// text.
const foreignValue = "(empty)"

// read takes the reply out of a good answer to a read.
func (a *Answer) read(from *received, k targets.Key, tokens *targets.Tokens) (targets.Reply, error) {
	var r targets.Reply
	garbled := func(at extractor, what string, err error) error {
		why := "nothing at " + at.String()
		if err != nil {
			why = err.Error()
		}
		return &GarbledError{fmt.Sprintf("%s: %s; it begins with %s", what, why, from.shown())}
	}
	if a.token.set() {
		text, ok, err := from.find(a.token)
		if err != nil || !ok {
			return r, garbled(a.token, "token", err)
		}
		r.Token = tokenIn(text, k, tokens)
	}
	if a.version.set() {
		v, _, err := a.versionIn(from)
		if err != nil {
			return r, garbled(a.version, "version", err)
		}
		r.Version = v // 0: this answer has none
	}
	r.Tier, r.Worker = a.origin(from)
	// The owner is known only of values that this run wrote; others may describe theirs as they
	// like.
	if len(a.owner) > 0 && targets.Holds(tokens.Run(), r.Token) != targets.NoToken {
		r.Owner = k
		for dimension, at := range a.owner {
			text, ok, err := from.find(at)
			if err != nil || !ok {
				return r, garbled(at, "owner", err)
			}
			*field(&r.Owner, dimension) = text
		}
	}
	return r, nil
}

// versionIn finds a version, which may be written as an entity tag.
func (a *Answer) versionIn(from *received) (v uint64, ok bool, err error) {
	text, ok, err := from.find(a.version)
	if err != nil || !ok {
		return 0, false, err
	}
	v, err = strconv.ParseUint(strings.Trim(strings.TrimPrefix(text, "W/"), `"`), 10, 64)
	if err != nil || v == 0 {
		return 0, false, fmt.Errorf("%q at %s is no whole number from 1 on", text, a.version)
	}
	return v, true, nil
}

// origin gives the tier and the worker that an answer names, if it does.
func (a *Answer) origin(from *received) (tier, worker string) {
	if text, ok, _ := from.find(a.tier); ok {
		tier = a.tierOf(text)
	}
	worker, _, _ = from.find(a.worker)
	return tier, worker
}

// field is the part of a key that a dimension names.
func field(k *targets.Key, dimension string) *string {
	switch dimension {
	case "tenant":
		return &k.Tenant
	case "locale":
		return &k.Locale
	case "currency":
		return &k.Currency
	case "variant":
		return &k.Variant
	}
	return &k.ID
}

var dimensions = []string{"tenant", "locale", "currency", "variant", "key"}

// tokenIn finds the token that a run's write stored, in a text that may hold more, such as a title
// around it. A text without a token is a foreign value, and is given as it is.
func tokenIn(text string, k targets.Key, tokens *targets.Tokens) string {
	token, _ := tokens.Read(text, k)
	if token == "" {
		return foreignValue
	}
	return token
}

// codes are statuses of HTTP that mean one thing.
type codes []int

func (c codes) has(status int) bool { return slices.Contains(c, status) }
